//! How each event of a stream is reported, and which ones end the attempt.

use cvm_watch_sim::{Attempt, Script, Split};

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, done};

/// Contract row 5.
#[test]
fn a_timeout_event_fails_the_attempt_by_its_name_and_closes_the_connection_first() {
    for (data, said) in [
        (r#"{"error":"late","target":"running","elapsed":300}"#, "timeout"),
        ("nonsense", "malformed \"timeout\": the data is not JSON"),
        ("[]", "malformed \"timeout\": the data is not a JSON object"),
    ] {
        let script = Script::new().then(Attempt::stream().event("timeout", data).stall()).then(done());
        scripted(script).check(&format!(
            "0.000 connect 1, timeout 300
             0.000 {said}
             0.000 disconnect
             0.000 reconnect in 5s: the server's timeout for this stream was reached
             5.000 connect 2, timeout 300
             5.000 complete running
             5.000 disconnect
             5.000 resolve status=running"
        ));
    }
}

/// Contract row 6.
#[test]
fn an_error_event_is_reported_and_the_stream_goes_on() {
    scripted(Attempt::stream().error("hiccup").wait(SECOND).complete("running")).check(
        "0.000 connect 1, timeout 300
         0.000 error hiccup
         1.000 complete running
         1.000 disconnect
         1.000 resolve status=running",
    );
}

/// Contract row 6.
#[test]
fn the_text_of_an_error_event_is_kept_for_the_final_failure() {
    for (data, text) in [
        (r#"{"error":"CVM not found"}"#, "CVM not found"),
        (r#"{"error":"e","message":"no disk\nleft"}"#, "no disk\\nleft"),
        (r#"{"error":{"message":"inner"}}"#, "inner"),
        (r#"{"detail":"no such CVM"}"#, "no such CVM"),
        ("plain words", "plain words"),
    ] {
        let end = scripted(Attempt::stream().event("error", data).close()).with(|c| c.max_retries(0)).end();
        assert_eq!(end, format!("0.000 fail max_retries_exceeded: gave up after 1 attempt: the stream ended: {text}"));
    }
}

/// Contract row 6.
#[test]
fn an_error_without_an_event_name_or_without_a_field_is_kept_too() {
    let failed = |body: &str, script: Attempt| {
        let end = scripted(script).with(|c| c.max_retries(0)).end();
        let cause = "gave up after 1 attempt: the response was cut off: boom";
        assert_eq!(end, format!("0.000 fail max_retries_exceeded: {cause}"), "{body}");
    };
    for body in [
        "data: {\"error\":\"boom\"}\n\n",
        "event: message\ndata: {\"message\":\"boom\"}\n\n",
        "{\"detail\":\"boom\"}",
        "{\"detail\":\"boom\"}\n",
        "event: state\ndata: {\"status\":\"starting\"}\n\n{\"error\":{\"message\":\"boom\"}}",
        "{\n  \"message\": \"boom\"\n}\n",
    ] {
        failed(body, Attempt::stream().bytes(body).truncate());
        let bytewise = body.bytes().fold(Attempt::stream(), |attempt, byte| attempt.bytes([byte]));
        failed(body, bytewise.truncate());
    }
    // Other events of no name say nothing of an error.
    let end = scripted(Attempt::stream().bytes("data: {\"status\":\"x\"}\n\ndata: boom\n\n").truncate());
    let end = end.with(|c| c.max_retries(0)).end();
    assert_eq!(end, "0.000 fail max_retries_exceeded: gave up after 1 attempt: the response was cut off");
}

/// Contract row 6.
#[test]
fn an_answer_without_a_message_keeps_the_text_of_an_error_event() {
    let silent = Attempt::new().head(503, &[]).close();
    let script = Script::new().then(Attempt::stream().error("no disk left").close()).then(silent);
    let end = scripted(script).with(|c| c.max_retries(1)).end();
    assert_eq!(end, "5.000 fail max_retries_exceeded: gave up after 2 attempts: HTTP 503: no disk left");
}

/// Contract row 6.
#[test]
fn the_last_error_text_is_kept() {
    let busy = Attempt::new().head(503, &[]).bytes("busy").close();
    let script = Script::new().then(Attempt::stream().error("no disk left").close()).then(busy);
    let end = scripted(script).with(|c| c.max_retries(1)).end();
    assert_eq!(end, "5.000 fail max_retries_exceeded: gave up after 2 attempts: HTTP 503: busy");
}

/// Contract row 7.
#[test]
fn an_unknown_name_or_none_is_reported_as_other() {
    let stream = Attempt::stream()
        .event("State", "{}")
        .bytes("event: complete \ndata: {\"status\":\"running\"}\n\n")
        .bytes("data: hello\n\n")
        .bytes("event: x\ndata: 1\n\n");
    scripted(stream.complete("running")).check(
        "0.000 connect 1, timeout 300
         0.000 other State \"{}\"
         0.000 other complete  \"{\\\"status\\\":\\\"running\\\"}\"
         0.000 other message \"hello\"
         0.000 other x \"1\"
         0.000 complete running
         0.000 disconnect
         0.000 resolve status=running",
    );
}

/// Contract row 8.
#[test]
fn an_unreadable_event_is_reported_with_its_reason_and_the_stream_goes_on() {
    let nested = |levels| format!(r#"{{"status":"starting","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let stream = Attempt::stream()
        .event("state", "{")
        .event("state", "[1]")
        .event("state", r#"{"name":"x"}"#)
        .event("complete", r#"{"status":7}"#)
        .event("state", nested(128))
        .event("state", nested(127))
        .event("state", r#"{"status":"starting","name":7,"boot_error":""}"#);
    scripted(stream.complete("running")).check(
        "0.000 connect 1, timeout 300
         0.000 malformed \"state\": the data is not JSON
         0.000 malformed \"state\": the data is not a JSON object
         0.000 malformed \"state\": the status is missing or not a string
         0.000 malformed \"complete\": the status is missing or not a string
         0.000 malformed \"state\": the data nests deeper than 128 levels
         0.000 state starting
         0.000 state starting
         0.000 complete running
         0.000 disconnect
         0.000 resolve status=running",
    );
}

/// Contract row 9.
#[test]
fn an_event_over_the_limit_is_dropped_and_reading_goes_on_at_the_next_blank_line() {
    let limit = |c: cvm_watch_core::PolicyBuilder| c.max_event_bytes(100);
    let stream = Attempt::stream()
        .bytes("event: complete\n")
        .bytes(format!("data: {{\"status\":\"running\",\"x\":\"{}\"}}\n", "x".repeat(100)))
        .bytes("data: more\n\n")
        .bytes(format!(": {}\nfield: {}\n", "c".repeat(9999), "f".repeat(9999)))
        .complete("running");
    scripted(stream).with(limit).check(
        "0.000 connect 1, timeout 300
         0.000 malformed \"\": the event is larger than 100 bytes
         0.000 complete running
         0.000 disconnect
         0.000 resolve status=running",
    );
}

/// Contract row 9.
#[test]
fn an_event_at_the_limit_is_read_however_it_is_cut() {
    let stream = |data| Attempt::stream().event("other", "x".repeat(data)).complete("running");
    for split in [Split::Whole, Split::Chunks(1), Split::Chunks(7)] {
        let run = |data| scripted(stream(data).split(split)).with(|c| c.max_event_bytes(100)).trace();
        assert!(run(95).contains("0.000 other other"), "{split:?}");
        assert!(run(96).contains("malformed \"\": the event is larger than 100 bytes"), "{split:?}");
    }
}
