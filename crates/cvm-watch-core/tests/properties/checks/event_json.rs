//! Compares events with a simple JSON reader and the rules of row 8.

use cvm_watch_core::{Event, MalformedReason, sse};

use super::answer::error_in_object;
use super::choices::Choices;
use super::json::{self, Json};

/// Asserts: a payload is read if and only if it is one JSON object that nests to 128 levels at
/// most, with a string `status` where one is needed; a known field of another type reads as
/// absent, the last of several counts, unknown ones change nothing; a name that is not known gives
/// `Other`; the raw text is kept as it came.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let name = choices.pick(&["state", "complete", "timeout", "error", "", "State", "note"]);
    let text = String::from_utf8_lossy(choices.rest()).replace('\r', "\n");
    let event = read(name, &text);
    if let Event::Other { name: found, data, .. } = &event {
        assert_eq!((found.as_str(), data), (if name.is_empty() { "message" } else { name }, &text));
        assert!(!["state", "complete", "timeout", "error"].contains(&name));
        return;
    }
    let whole = json::parse(&text);
    let fields = match (&event, &whole) {
        (Event::Malformed { name: found, data, reason, .. }, whole) => {
            assert_eq!((found.as_str(), data), (name, &text));
            return assert_unreadable(name, whole.as_ref(), *reason, &text);
        }
        (_, Some(whole @ Json::Object(fields))) if whole.depth() <= 128 => Fields(fields),
        _ => panic!("{event:?} was read from {text:?}"),
    };
    match (name, &event) {
        ("state", Event::State(state)) => {
            let not_empty = |name| fields.text(name).filter(|text| !text.is_empty());
            assert_eq!(Some(&state.status), fields.text("status"));
            assert_eq!(state.id.as_ref(), fields.text("id"));
            assert_eq!(state.instance_id.as_ref(), fields.text("instance_id"));
            assert_eq!(state.name.as_ref(), fields.text("name"));
            assert_eq!(state.uptime.as_ref(), fields.text("uptime"));
            assert_eq!(state.exited_at.as_ref(), fields.text("exited_at"));
            assert_eq!(state.boot_progress.as_ref(), not_empty("boot_progress"));
            assert_eq!(state.boot_error.as_ref(), not_empty("boot_error"));
            assert_eq!(state.shutdown_progress.as_ref(), fields.text("shutdown_progress"));
            assert_eq!(state.raw.as_deref(), Some(text.as_str()));
        }
        ("complete", Event::Complete(complete)) => {
            assert_eq!(Some(&complete.status), fields.text("status"));
            assert_eq!(complete.target.as_ref(), fields.text("target"));
            fields.assert_elapsed(complete.elapsed);
            assert_eq!(complete.raw.as_deref(), Some(text.as_str()));
        }
        ("timeout", Event::Timeout(timeout)) => {
            assert_eq!(timeout.error.as_ref(), fields.text("error"));
            assert_eq!(timeout.target.as_ref(), fields.text("target"));
            fields.assert_elapsed(timeout.elapsed);
            assert_eq!(timeout.raw.as_deref(), Some(text.as_str()));
        }
        ("error", Event::Error(error)) => {
            assert_eq!(error.error.as_ref(), fields.text("error"));
            let (message, text_of_error) = (fields.text("message"), fields.text("error"));
            let has_text = [message, text_of_error].into_iter().flatten().any(|text| !text.is_empty());
            // Row 6: without text in both, the text is in another field or in an object.
            let expected = if has_text { message.cloned() } else { error_in_object(&text) };
            assert_eq!(error.message, expected);
            fields.assert_elapsed(error.elapsed);
            assert_eq!(error.raw.as_deref(), Some(text.as_str()));
        }
        _ => panic!("{name} was read as {event:?}"),
    }
}

fn assert_unreadable(name: &str, whole: Option<&Json>, reason: MalformedReason, text: &str) {
    match (reason, whole) {
        // For text that is not JSON either reason may be given, since its brackets may nest to any depth.
        (MalformedReason::NotJson | MalformedReason::TooDeep, None) => {}
        (MalformedReason::TooDeep, Some(whole)) => assert!(whole.depth() > 128, "too deep: {text:?}"),
        (MalformedReason::NotAnObject, Some(whole)) => {
            assert!(!matches!(whole, Json::Object(_)) && whole.depth() <= 128, "not an object: {text:?}");
        }
        (MalformedReason::NoStatus, Some(whole @ Json::Object(fields))) => {
            assert!(["state", "complete"].contains(&name), "{name} needs no status");
            assert!(Fields(fields).text("status").is_none() && whole.depth() <= 128, "no status: {text:?}");
        }
        _ => panic!("{reason:?} of {text:?}"),
    }
}

struct Fields<'a>(&'a [(Option<String>, Json)]);

impl<'a> Fields<'a> {
    fn last(&self, name: &str) -> Option<&'a Json> {
        self.0.iter().rev().find(|(found, _)| found.as_deref() == Some(name)).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&'a String> {
        match self.last(name) {
            Some(Json::Text(text)) => text.as_ref(),
            _ => None,
        }
    }

    fn assert_elapsed(&self, found: Option<f64>) {
        let expected = match self.last("elapsed") {
            Some(Json::Number(number)) => *number,
            _ => None,
        };
        // The last bit of a number with 17 digits may differ.
        let close = |a: f64, b: f64| (a - b).abs() <= 4.0 * f64::EPSILON * a.abs().max(b.abs()) || a == b;
        let same = match (found, expected) {
            (Some(found), Some(expected)) => close(found, expected),
            (None, None) => true,
            // At the end of the range one may round to infinity and the other not.
            (Some(edge), None) | (None, Some(edge)) => edge.abs() >= f64::MAX / (1.0 + 8.0 * f64::EPSILON),
        };
        assert!(same, "elapsed {found:?}, expected {expected:?}");
    }
}

fn read(name: &str, data: &str) -> Event {
    Event::parse(&sse::Event::new(name, data, ""))
}
