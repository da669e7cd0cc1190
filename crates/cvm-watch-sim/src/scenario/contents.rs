//! Streams that differ in what their events hold.

use serde_json::json;

use super::{Scenario, StateRequest, always, done, stream};
use crate::script::{Attempt, Split};

pub(super) static SCENARIOS: &[Scenario] = &[
    stream("malformed-", "events of unreadable data between good ones, then complete", malformed),
    stream("odd-fields-", "known fields of wrong types and unknown fields, then complete", odd_fields),
    stream("other-event-", "events of unknown names and of none, then complete", other_event),
    stream("odd-format-", "BOM, CR and CRLF, comments, data over several lines, then complete", odd_format),
    stream("bytewise-", "each byte in a separate packet, then complete", bytewise),
    stream("hostile-text-", "terminal escapes and CI commands in a boot_error, then complete", hostile_text),
    always("echo-key-", "403 and an error text that repeat the key sent", echo_key),
];

/// Nested deeper than any reader of the contract accepts.
const TOO_DEEP: usize = 200;

fn malformed(request: &StateRequest) -> Attempt {
    let deep = format!("{{\"status\":\"starting\",\"deep\":{}{}}}", "[".repeat(TOO_DEEP), "]".repeat(TOO_DEEP));
    let attempt = Attempt::stream()
        .progress("starting", "booting")
        .event("state", "not JSON")
        .event("state", "[\"starting\"]")
        .event("state", "{\"status\":")
        .event("state", json!({ "boot_progress": "booting" }))
        .event("state", json!({ "status": 7 }))
        .event("state", deep)
        .event("complete", "{}")
        .event("error", "not JSON");
    done(attempt, request)
}

fn odd_fields(request: &StateRequest) -> Attempt {
    let attempt = Attempt::stream()
        .event("state", json!({ "status": "starting", "boot_progress": 3, "name": ["a"], "node": { "id": 1 } }))
        .event("state", json!({ "status": "starting", "boot_progress": "", "boot_error": "" }))
        .event("state", json!({ "status": "a status from the future" }));
    done(attempt, request)
}

fn other_event(request: &StateRequest) -> Attempt {
    let attempt = Attempt::stream()
        .event("heartbeat", json!({ "at": 1 }))
        .event("State", json!({ "status": request.target() }))
        .event("", json!({ "status": request.target() }));
    done(attempt, request)
}

fn odd_format(request: &StateRequest) -> Attempt {
    let attempt = Attempt::stream()
        .bytes("\u{feff}event: state\r\ndata: {\"status\":\r\ndata: \"starting\"}\r\n\r\n")
        .bytes("event:state\rdata:{\"status\":\"starting\",\"boot_progress\":\"booting\"}\r\r")
        .bytes(": a comment\nevent: state\n: another\nunknown: x\ndata: {\"status\":\"starting\"}\n\n")
        .bytes("data\n\nevent: state\nevent\n\n");
    done(attempt, request)
}

fn bytewise(request: &StateRequest) -> Attempt {
    let attempt = Attempt::stream().progress("starting", "booting").event("note", "h\u{e9}\u{1f680}");
    done(attempt, request).split(Split::Packets(1))
}

fn hostile_text(request: &StateRequest) -> Attempt {
    let text = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n::error::injected\n##[error]injected\u{9b}31m\u{202e}";
    let attempt = Attempt::stream()
        .event("state", json!({ "status": "starting", "boot_progress": text, "boot_error": text }))
        .error(text);
    done(attempt, request)
}

fn echo_key(request: &StateRequest) -> Attempt {
    let key = request.key.as_deref().unwrap_or_default();
    let body = json!({ "detail": { "message": format!("key {key} may not do this"), "code": "forbidden" } });
    Attempt::json(403, body).header("x-request-id", &header_text(&format!("req-{key}")))
}

/// The part of a text that may stand in a header.
fn header_text(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Step;

    #[test]
    fn a_repeated_key_cannot_break_out_of_its_header() {
        let request = StateRequest { key: Some("a\r\nb: c".to_owned()), ..StateRequest::new("a") };
        let attempt = echo_key(&request);
        let Some(Step::Head(head)) = attempt.steps().first() else { panic!("{attempt:?}") };
        assert_eq!(head.value("x-request-id"), Some(b"req-ab:c".as_slice()));
    }

    #[test]
    fn malformed_data_really_is() {
        let attempt = malformed(&StateRequest::new("a"));
        let text = format!("{attempt:?}");
        assert!(text.contains("not JSON") && text.contains("event: complete"));
        let deep = attempt.steps().iter().filter(|step| match step {
            Step::Body(payload) => payload.len() > 2 * 128,
            _ => false,
        });
        assert_eq!(deep.count(), 1);
    }
}
