use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::credential::ApiKey;
use crate::judge::{Judge, Verdict};
use crate::policy::Policy;
use crate::time::Timestamp;

fn event<'a>(name: &'a str, data: &'a str) -> sse::Event<'a> {
    sse::Event::new(name, data, "")
}

fn read(name: &str, data: &str) -> Event {
    Event::read(&event(name, data), false)
}

/// The event as the policy's watch hands it over.
fn redacted(policy: &Policy, name: &str, data: &str) -> Event {
    let mut read = Event::read(&event(name, data), policy.keep_raw());
    read.redact(data, policy.redactor());
    read
}

fn verdict(policy: &Policy, name: &str, data: &str) -> Verdict {
    Judge::default().event(&read(name, data), None, policy, Timestamp::ZERO)
}

fn reason(name: &str, data: &str) -> Option<MalformedReason> {
    match read(name, data) {
        Event::Malformed { name: kept, data: also_kept, reason } => {
            assert_eq!((kept.as_str(), also_kept.as_str()), (name, data), "the event's text was lost");
            Some(reason)
        }
        _ => None,
    }
}

#[test]
fn a_state_carries_every_known_field() {
    let json = r#"{"status":"Starting","id":"i","instance_id":"n","name":"m","uptime":"1s","exited_at":"e",
        "boot_progress":"booting","boot_error":"disk","shutdown_progress":"s","vcpu":2}"#;
    let Event::State(state) = read("state", json) else { panic!("not a state") };
    let text = serde_json::to_string(&*state).unwrap();
    assert_eq!(
        text,
        r#"{"status":"Starting","id":"i","instance_id":"n","name":"m","uptime":"1s","exited_at":"e","boot_progress":"booting","boot_error":"disk","shutdown_progress":"s"}"#
    );
}

#[test]
fn a_known_optional_field_of_the_wrong_type_reads_as_absent() {
    let json = r#"{"status":"running","id":7,"name":["x"],"uptime":{},"boot_error":false,"boot_progress":1.5}"#;
    let Event::State(state) = read("state", json) else { panic!("not a state") };
    assert_eq!(*state, CvmState::with_status("running"));
}

#[test]
fn an_empty_boot_error_or_progress_means_none() {
    let json = r#"{"status":"running","boot_error":"","boot_progress":""}"#;
    let Event::State(state) = read("state", json) else { panic!("not a state") };
    assert_eq!(*state, CvmState::with_status("running"));
}

#[test]
fn the_target_is_matched_without_regard_to_ascii_case_only() {
    let policy = Policy::builder("running").build().unwrap();
    for (status, at_target) in
        [("running", true), ("RUNNING", true), ("runnıng", false), ("running ", false), ("", false)]
    {
        let json = format!(r#"{{"status":"{status}"}}"#);
        assert_eq!(verdict(&policy, "state", &json) == Verdict::Reached, at_target, "{status}");
        assert_eq!(verdict(&policy, "complete", &json) == Verdict::Completed, at_target, "{status}");
    }
}

#[test]
fn a_timeout_counts_by_its_name_readable_or_not() {
    let event = read("timeout", r#"{"error":"late","target":"running","elapsed":300.5}"#);
    assert!(event.is_timeout());
    let expected =
        ServerTimeout { error: Some("late".into()), target: Some("running".into()), elapsed: Some(300.5), raw: None };
    assert_eq!(event, Event::Timeout(expected));
    for data in ["", "nonsense", "[]"] {
        assert!(read("timeout", data).is_timeout(), "{data}");
        assert!(!read("error", data).is_timeout(), "{data}");
        assert!(reason("timeout", data).is_some(), "{data}");
    }
}

#[test]
fn the_text_of_an_error_is_its_message_else_its_error_else_the_unreadable_data() {
    for (data, text) in [
        (r#"{"error":"e","message":"m"}"#, Some("m")),
        (r#"{"error":"e","message":""}"#, Some("e")),
        (r#"{"error":"e","elapsed":1}"#, Some("e")),
        (r#"{"detail":"d"}"#, Some("d")),
        (r#"{"error":{"code":7,"message":"inner"}}"#, Some("inner")),
        (r#"{"message":{"detail":"inner"}}"#, Some("inner")),
        (r#"{"detail":{"error":"inner"}}"#, Some("inner")),
        (r#"{"error":null,"detail":[{"loc":["query"],"msg":"inner"}]}"#, Some("query: inner")),
        ("{}", None),
        ("out of luck", Some("out of luck")),
    ] {
        assert_eq!(read("error", data).error_text().as_deref(), text, "{data}");
        assert_eq!(read("state", data).error_text(), None, "{data}");
        let unnamed = text.filter(|_| data.starts_with('{'));
        assert_eq!(read("", data).error_text().as_deref(), unnamed, "{data}");
        assert_eq!(read("other", data).error_text(), None, "{data}");
    }
}

#[test]
fn other_names_match_exactly_and_keep_their_text() {
    for name in ["State", "STATE", " state", "state ", "ping"] {
        assert_eq!(read(name, "not json"), Event::Other { name: name.to_string(), data: "not json".into() });
    }
    assert_eq!(read("", "x"), Event::Other { name: "message".into(), data: "x".into() });
}

#[test]
fn unreadable_data_says_why() {
    let deep = format!(r#"{{"status":"running","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for name in ["state", "complete"] {
        assert_eq!(reason(name, "{"), Some(MalformedReason::NotJson));
        assert_eq!(reason(name, "[]"), Some(MalformedReason::NotAnObject));
        assert_eq!(reason(name, "{}"), Some(MalformedReason::NoStatus));
        assert_eq!(reason(name, r#"{"status":null}"#), Some(MalformedReason::NoStatus));
        assert_eq!(reason(name, r#"{"status":"running","status":1}"#), Some(MalformedReason::NoStatus));
        assert_eq!(reason(name, &deep), Some(MalformedReason::TooDeep));
        assert_eq!(reason(name, r#"{"status":"running"}"#), None);
    }
}

#[test]
fn a_repeated_key_is_redacted_in_every_string_of_every_event() {
    let key = ApiKey::new("phak_1").unwrap();
    let policy = Policy::builder("phak_1").credential(key).keep_raw(true).build().unwrap();
    let echo = r"a\u0070hak_1 phak_1";
    let fields = [
        "status",
        "id",
        "instance_id",
        "name",
        "uptime",
        "exited_at",
        "boot_progress",
        "boot_error",
        "shutdown_progress",
        "target",
        "error",
        "message",
        "unknown",
    ];
    let all: Vec<_> = fields.iter().map(|field| format!(r#""{field}":"{echo}""#)).collect();
    let json = format!("{{{}}}", all.join(","));
    for name in ["state", "complete", "timeout", "error", "phak_1"] {
        let event = redacted(&policy, name, &json);
        let shown = format!("{event:?}");
        assert!(!shown.contains("hak_1"), "{name}: {shown}");
        assert!(shown.contains("a*** ***"), "{name}: {shown}");
    }
    // The text that the server sent is judged, not the redacted one.
    assert_eq!(verdict(&policy, "state", r#"{"status":"phak_1"}"#), Verdict::Reached);
}

#[test]
fn the_raw_text_is_kept_to_the_letter_only_when_asked_for() {
    let json = r#" {"b":1.50, "status":"running", "a":[ ]}"#;
    let Event::State(state) = Event::read(&event("state", json), true) else { panic!("not a state") };
    assert_eq!(state.raw.as_deref(), Some(json));
    let Event::State(state) = read("state", json) else { panic!("not a state") };
    assert_eq!(state.raw, None);
}
