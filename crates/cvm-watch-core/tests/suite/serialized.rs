//! Events, causes, failures and policies as JSON.

use std::time::Duration;

use cvm_watch_core::sse::{Chunk, Decoder, Item};
use cvm_watch_core::{
    ApiKey, Backoff, BearerToken, CloseCause, Event, FailEarly, Failure, Policy, RetryCause, TlsFault,
};
use serde::Serialize;

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

fn event(name: &str, data: &str) -> String {
    let stream = format!("event: {name}\ndata: {data}\n\n");
    let mut decoder = Decoder::default();
    let Some(Item::Event(event)) = decoder.decode(&mut Chunk::new(stream.as_bytes())) else {
        panic!("no event in {stream}")
    };
    json(&Event::parse(&event))
}

#[test]
fn an_event_is_named_by_its_kind_and_keeps_the_json_that_came() {
    let state = event("state", r#"{"status":"running","x":1}"#);
    assert!(state.starts_with(r#"{"state":{"status":"running","id":null,"#), "{state}");
    assert!(state.ends_with(r#""raw":"{\"status\":\"running\",\"x\":1}"}}"#), "{state}");
    for (name, data, expected) in [
        ("complete", "{\"status\":\"a\",\"elapsed\":1.5}", r#"{"complete":{"status":"a","target":null,"elapsed":1.5,"#),
        ("timeout", "{}", r#"{"timeout":{"error":null,"target":null,"elapsed":null,"#),
        ("error", "{\"message\":\"m\"}", r#"{"error":{"error":null,"message":"m","elapsed":null,"#),
        ("ping", "x", r#"{"other":{"name":"ping","data":"x"}}"#),
        ("state", "x", r#"{"malformed":{"name":"state","data":"x","reason":"the data is not JSON"}}"#),
    ] {
        let found = event(name, data);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_policy_comes_back_with_every_parameter_and_without_its_secrets() {
    let seconds = Duration::from_secs;
    let policy = Policy::builder("stopped")
        .credential(ApiKey::new("phak_1234567").unwrap())
        .workspace("my-team")
        .api_version(None)
        .interval(seconds(7))
        .timeout(seconds(77))
        .max_retries(3)
        .retry_delay(Duration::from_nanos(1_500_000_001))
        .backoff(Backoff::up_to(Duration::MAX))
        .connect_timeout(seconds(9))
        .idle_timeout(seconds(11))
        .deadline(seconds(600))
        .complete_grace(Duration::ZERO)
        .fail_early(FailEarly::of_a_boot())
        .after_change(seconds(3))
        .max_event_bytes(1000)
        .keep_raw(true)
        .header("X-Trace", "hunter-header")
        .header("X-Short", "abc")
        .redact("hunter-proxy")
        .build()
        .unwrap();
    let token = BearerToken::new("hunter-token").unwrap();
    for policy in [policy, Policy::builder("running").credential(token).ready(true).build().unwrap()] {
        let json = json(&policy);
        for secret in ["phak", "hunter", "abc"] {
            assert!(!json.contains(secret), "{json}");
        }
        let back: Policy = serde_json::from_str(&json).unwrap();
        // `Debug` shows everything but the secrets, of which it shows how many there are.
        let shown = |policy: &Policy| format!("{policy:?}").split(", redactor: ").next().unwrap().to_owned();
        assert_eq!(shown(&back), shown(&policy));
        assert_eq!(back.redactor().redact("*** phak_1234567"), "*** phak_1234567");
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }
}

#[test]
fn a_policy_that_is_read_is_checked() {
    let read = |json: &str| serde_json::from_str::<Policy>(json).map_err(|error| error.to_string());
    let least = read(r#"{"target":"running"}"#).unwrap();
    assert_eq!(format!("{least:?}"), format!("{:?}", Policy::builder("running").build().unwrap()));
    for (refused, expected) in [
        (r#"{"target":"running","interval":{"secs":4,"nanos":0}}"#, "interval \"4s\" must be"),
        (r#"{"target":"running","api_key":"a\nb"}"#, "api key has the control byte"),
        (r#"{"target":"running","credential":{"bearer_token":"a\nb"}}"#, "bearer token has the control byte"),
        (r#"{"target":"running","workspace":" "}"#, "workspace \" \" must not be blank"),
        (r#"{"target":"running","headers":[["X-API-Key","x"]]}"#, "header name \"X-API-Key\" is set by"),
        (r#"{"target":"running","sped":1}"#, "unknown field `sped`"),
        (r#"{}"#, "target must not be blank"),
    ] {
        let error = read(refused).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_close_cause_comes_back_from_its_name() {
    for (cause, expected) in [
        (CloseCause::HostUnreachable, r#""host_unreachable""#),
        (CloseCause::Tls(TlsFault::HostName), r#"{"tls":"host_name"}"#),
    ] {
        assert_eq!(json(&cause), expected);
        assert_eq!(serde_json::from_str::<CloseCause>(expected).unwrap(), cause);
    }
}

#[test]
fn a_cause_and_a_failure_name_their_kind_and_fields() {
    let busy = RetryCause::TooManyStreams { message: Some("five".to_owned()) };
    assert_eq!(json(&busy), r#"{"too_many_streams":{"message":"five"}}"#);
    assert_eq!(json(&RetryCause::Closed(CloseCause::Reset)), r#"{"closed":"reset"}"#);
    let failures = [
        (Failure::Aborted, r#"{"kind":"aborted"}"#),
        (Failure::Tls(TlsFault::Certificate), r#"{"kind":"tls","fault":"certificate"}"#),
        (
            Failure::MaxRetriesExceeded { attempts: 1, last_cause: RetryCause::NoAnswer, last_error: None },
            r#"{"kind":"max_retries_exceeded","attempts":1,"last_cause":"no_answer","last_error":null}"#,
        ),
        (
            Failure::TargetUnreachable {
                target: "running".to_owned(),
                status: "error".to_owned(),
                boot_error: None,
                attempts: 2,
            },
            r#"{"kind":"unreachable","target":"running","status":"error","boot_error":null,"attempts":2}"#,
        ),
    ];
    for (failure, expected) in failures {
        assert_eq!(json(&failure), expected);
        assert!(expected.starts_with(&format!(r#"{{"kind":"{}""#, failure.kind())));
    }
}

#[test]
fn a_state_comes_back_from_json() {
    let mut state = cvm_watch_core::CvmState::default();
    state.status = "running".to_owned();
    state.id = Some("7".to_owned());
    assert_eq!(serde_json::from_str::<cvm_watch_core::CvmState>(&json(&state)).unwrap(), state);
    let least: cvm_watch_core::CvmState = serde_json::from_str(r#"{"status":"running","new":1}"#).unwrap();
    assert_eq!((least.status.as_str(), least.id), ("running", None));
    assert!(serde_json::from_str::<cvm_watch_core::CvmState>("{}").is_err());
}
