//! Streams told apart by what their events hold.

use serde_json::json;

use super::{Play, Scenario, Visit, scenario};
use crate::script::{Attempt, Split};

pub(super) static SCENARIOS: &[Scenario] = &[
    scenario("malformed-", "events of unreadable data between good ones, then complete", Play::Stream(malformed)),
    scenario("odd-fields-", "known fields of wrong types and unknown fields, then complete", Play::Stream(odd_fields)),
    scenario("other-event-", "events of unknown names and of none, then complete", Play::Stream(other_event)),
    scenario(
        "odd-format-",
        "BOM, CR and CRLF, comments, data over several lines, then complete",
        Play::Stream(odd_format),
    ),
    scenario("bytewise-", "each byte in a packet of its own, then complete", Play::Stream(bytewise)),
    scenario(
        "hostile-text-",
        "terminal escapes and CI commands in a boot_error, then complete",
        Play::Stream(hostile_text),
    ),
    scenario("echo-key-", "403 and an error text that repeat the key sent", Play::Always(echo_key)),
];

/// Nested deeper than any reader of the contract accepts.
const TOO_DEEP: usize = 200;

fn done(attempt: Attempt, visit: &Visit) -> Attempt {
    attempt.state(visit.target()).complete(visit.target())
}

fn malformed(visit: &Visit) -> Attempt {
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
    done(attempt, visit)
}

fn odd_fields(visit: &Visit) -> Attempt {
    let attempt = Attempt::stream()
        .event("state", json!({ "status": "starting", "boot_progress": 3, "name": ["a"], "node": { "id": 1 } }))
        .event("state", json!({ "status": "starting", "boot_progress": "", "boot_error": "" }))
        .event("state", json!({ "status": "a status from the future" }));
    done(attempt, visit)
}

fn other_event(visit: &Visit) -> Attempt {
    let attempt = Attempt::stream()
        .event("heartbeat", json!({ "at": 1 }))
        .event("State", json!({ "status": visit.target() }))
        .event("", json!({ "status": visit.target() }));
    done(attempt, visit)
}

fn odd_format(visit: &Visit) -> Attempt {
    let attempt = Attempt::stream()
        .bytes("\u{feff}event: state\r\ndata: {\"status\":\r\ndata: \"starting\"}\r\n\r\n")
        .bytes("event:state\rdata:{\"status\":\"starting\",\"boot_progress\":\"booting\"}\r\r")
        .bytes(": a comment\nevent: state\n: another\nunknown: x\ndata: {\"status\":\"starting\"}\n\n")
        .bytes("data\n\nevent: state\nevent\n\n");
    done(attempt, visit)
}

fn bytewise(visit: &Visit) -> Attempt {
    let attempt = Attempt::stream().progress("starting", "booting").event("note", "h\u{e9}\u{1f680}");
    done(attempt, visit).split(Split::Packets(1))
}

fn hostile_text(visit: &Visit) -> Attempt {
    let text = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\n::error::injected\n##[error]injected\u{9b}31m\u{202e}";
    let attempt = Attempt::stream()
        .event("state", json!({ "status": "starting", "boot_progress": text, "boot_error": text }))
        .error(text);
    done(attempt, visit)
}

fn echo_key(visit: &Visit) -> Attempt {
    let key = visit.key.as_deref().unwrap_or_default();
    let body = json!({ "detail": { "message": format!("key {key} may not do this"), "code": "forbidden" } });
    Attempt::json(403, body).header("x-request-id", &header_text(&format!("req-{key}")))
}

/// What may stand in a header: a key is only echoed there as far as it is plain.
fn header_text(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Step;

    #[test]
    fn an_echoed_key_can_not_break_out_of_its_header() {
        let visit = Visit { key: Some("a\r\nb: c".to_owned()), ..Visit::new("a") };
        let attempt = echo_key(&visit);
        let Some(Step::Head(head)) = attempt.steps().first() else { panic!("{attempt:?}") };
        assert_eq!(head.value("x-request-id"), Some(b"req-ab:c".as_slice()));
    }

    #[test]
    fn malformed_data_really_is() {
        let attempt = malformed(&Visit::new("a"));
        let text = format!("{attempt:?}");
        assert!(text.contains("not JSON") && text.contains("event: complete"));
        let deep = attempt.steps().iter().filter(|step| match step {
            Step::Body(payload) => payload.len() > 2 * 128,
            _ => false,
        });
        assert_eq!(deep.count(), 1);
    }
}
