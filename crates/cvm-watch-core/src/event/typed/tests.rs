use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::policy::PolicyBuilder;
use crate::secret::ApiKey;

fn event<'a>(name: &'a str, data: &'a str) -> sse::Event<'a> {
    sse::Event::new(name, data, "")
}

fn policy(set: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
    set(Policy::builder("running")).build().unwrap()
}

fn look(at_target: bool) -> Meaning {
    Meaning::State(Look { at_target, ready: true, hopeless: false })
}

fn read(name: &str, data: &str) -> (Meaning, Event) {
    Reader::new(&policy(|c| c)).read(&event(name, data))
}

fn reason(name: &str, data: &str) -> Option<MalformedReason> {
    match read(name, data).1 {
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
    let (meaning, Event::State(state)) = read("state", json) else { panic!("not a state") };
    assert_eq!(meaning, look(false));
    let text = serde_json::to_string(&*state).unwrap();
    assert_eq!(
        text,
        r#"{"status":"Starting","id":"i","instance_id":"n","name":"m","uptime":"1s","exited_at":"e","boot_progress":"booting","boot_error":"disk","shutdown_progress":"s"}"#
    );
}

#[test]
fn a_known_optional_field_of_the_wrong_type_reads_as_absent() {
    let json = r#"{"status":"running","id":7,"name":["x"],"uptime":{},"boot_error":false,"boot_progress":1.5}"#;
    let (_, Event::State(state)) = read("state", json) else { panic!("not a state") };
    assert_eq!(*state, CvmState::with_status("running"));
}

#[test]
fn an_empty_boot_error_or_progress_means_none() {
    let json = r#"{"status":"running","boot_error":"","boot_progress":""}"#;
    let (_, Event::State(state)) = read("state", json) else { panic!("not a state") };
    assert_eq!(*state, CvmState::with_status("running"));
}

#[test]
fn the_target_is_matched_without_regard_to_ascii_case_only() {
    for (status, at_target) in
        [("running", true), ("RUNNING", true), ("runnıng", false), ("running ", false), ("", false)]
    {
        let json = format!(r#"{{"status":"{status}"}}"#);
        assert_eq!(read("state", &json).0, look(at_target), "{status}");
        assert_eq!(read("complete", &json).0, Meaning::Complete { at_target }, "{status}");
    }
}

#[test]
fn a_timeout_counts_by_its_name_readable_or_not() {
    let (meaning, event) = read("timeout", r#"{"error":"late","target":"running","elapsed":300.5}"#);
    assert_eq!(meaning, Meaning::Timeout);
    let expected =
        ServerTimeout { error: Some("late".into()), target: Some("running".into()), elapsed: Some(300.5), raw: None };
    assert_eq!(event, Event::Timeout(expected));
    for data in ["", "nonsense", "[]"] {
        assert_eq!(read("timeout", data).0, Meaning::Timeout, "{data}");
        assert!(reason("timeout", data).is_some(), "{data}");
    }
}

#[test]
fn the_text_of_an_error_is_its_message_else_its_error_else_the_unreadable_data() {
    for (data, text) in [
        (r#"{"error":"e","message":"m"}"#, Some("m")),
        (r#"{"error":"e","message":""}"#, Some("e")),
        (r#"{"error":"e","elapsed":1}"#, Some("e")),
        ("{}", None),
        ("out of luck", Some("out of luck")),
    ] {
        let (meaning, event) = read("error", data);
        assert_eq!((meaning, event.error_text()), (Meaning::Error, text), "{data}");
    }
}

#[test]
fn other_names_match_exactly_and_keep_their_text() {
    for name in ["State", "STATE", " state", "state ", "ping"] {
        let (meaning, event) = read(name, "not json");
        assert_eq!(meaning, Meaning::Nothing);
        assert_eq!(event, Event::Other { name: name.to_string(), data: "not json".into() });
    }
    assert_eq!(read("", "x").1, Event::Other { name: "message".into(), data: "x".into() });
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
fn an_echoed_key_is_masked_in_every_string_of_every_event() {
    let key = ApiKey::new("phak_1").unwrap();
    let policy = Policy::builder("phak_1").api_key(key).keep_raw(true).build().unwrap();
    let reader = Reader::new(&policy);
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
        let (_, event) = reader.read(&event(name, &json));
        let shown = format!("{event:?}");
        assert!(!shown.contains("hak_1"), "{name}: {shown}");
        assert!(shown.contains("a*** ***"), "{name}: {shown}");
    }
    // The judgement is made on what the server said, not on the mask.
    let (meaning, _) = reader.read(&event("state", r#"{"status":"phak_1"}"#));
    assert_eq!(meaning, look(true));
}

#[test]
fn the_raw_text_is_kept_to_the_letter_only_when_asked_for() {
    let json = r#" {"b":1.50, "status":"running", "a":[ ]}"#;
    let policy = policy(|c| c.keep_raw(true));
    let reader = Reader::new(&policy);
    let (_, Event::State(state)) = reader.read(&event("state", json)) else { panic!("not a state") };
    assert_eq!(state.raw.as_deref(), Some(json));
    let (_, Event::State(state)) = read("state", json) else { panic!("not a state") };
    assert_eq!(state.raw, None);
}
