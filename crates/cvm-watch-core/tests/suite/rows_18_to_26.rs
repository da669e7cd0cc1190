//! Deadlines, abort, the id to resume from, secrets and refusals.

use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{Action, ApiKey, CloseCause, CvmId, Input, Policy, ResponseHead, Timestamp, Watch};
use cvm_watch_sim::{Attempt, Script};

use crate::world::world;

const SECOND: Duration = Duration::from_secs(1);

fn done() -> Attempt {
    Attempt::stream().complete("running")
}

/// Contract row 18.
#[test]
fn an_attempt_older_than_its_timeout_and_ten_seconds_is_lost_even_while_bytes_flow() {
    let beats = Attempt::stream().repeat(": beat\n", SECOND, u64::MAX);
    let states = Attempt::stream().repeat("event: state\ndata: {\"status\":\"starting\"}\n\n", SECOND, u64::MAX);
    for stream in [beats, states, Attempt::stream().stall()] {
        let script = Script::new().then(stream).then(done());
        let trace = world(script).with(|c| c.timeout(60 * SECOND)).trace();
        assert!(trace.contains("70.000 disconnect\n70.000 retry in 5s: the stream outlived its timeout"), "{trace}");
        assert!(trace.ends_with("75.000 resolve status=running\n"), "{trace}");
    }
}

/// Contract row 19.
#[test]
fn silence_for_the_idle_timeout_is_a_loss_and_any_byte_puts_it_off() {
    let script = || {
        let beats = Attempt::stream().wait(8 * SECOND).bytes(":").wait(9 * SECOND).comment("beat").stall();
        Script::new().then(beats).then(done())
    };
    let trace = world(script()).with(|c| c.idle_timeout(10 * SECOND)).trace();
    assert!(trace.contains("27.000 retry in 5s: nothing was received within the idle timeout"), "{trace}");
}

/// Contract row 19.
#[test]
fn idleness_counts_from_the_head_and_is_off_by_default() {
    let script = || Script::new().then(Attempt::new().wait(7 * SECOND).head(200, &[]).stall()).then(done());
    let trace = world(script()).with(|c| c.idle_timeout(10 * SECOND)).trace();
    assert!(trace.contains("17.000 retry"), "{trace}");
    assert!(world(script()).trace().contains("310.000 retry in 5s: the stream outlived"));
}

/// Contract row 20.
#[test]
fn the_overall_deadline_fails_exactly_then_with_the_last_status() {
    let end =
        world(Attempt::stream().state("starting").stall()).with(|c| c.deadline(Duration::from_millis(12_345))).end();
    assert_eq!(end, "12.345 fail deadline_exceeded: the deadline of 12.345s passed; the last status was \"starting\"");
}

/// Contract row 20.
#[test]
fn the_overall_deadline_is_kept_in_every_phase() {
    for (phase, script) in [
        ("connecting", Attempt::new().stall()),
        ("streaming", Attempt::stream().stall()),
        ("streaming, with bytes", Attempt::stream().repeat(": beat\n", Duration::from_millis(70), u64::MAX)),
        ("reading an error", Attempt::new().wait(SECOND).head(503, &[]).stall()),
        ("waiting to retry", Attempt::new().refuse()),
    ] {
        let end = world(script).with(|c| c.deadline(Duration::from_millis(2345))).end();
        assert!(end.starts_with("2.345 fail deadline_exceeded: the deadline of 2.345s passed"), "{phase}: {end}");
    }
}

/// Contract row 20.
#[test]
fn the_deadline_cuts_a_retry_delay() {
    let end = world(Attempt::new().refuse()).with(|c| c.retry_delay(60 * SECOND).deadline(7 * SECOND)).trace();
    assert!(end.contains("0.000 retry in 7s:"), "{end}");
    assert!(end.lines().last().unwrap().starts_with("7.000 fail deadline_exceeded"), "{end}");
}

/// Contract row 20.
#[test]
fn the_timeout_sent_shrinks_to_the_time_left_in_whole_seconds_and_ten_at_least() {
    let script = Attempt::stream().wait(Duration::from_millis(900)).timeout("running", 1.0);
    let trace = world(script).with(|c| c.timeout(30 * SECOND).retry_delay(6 * SECOND).deadline(40 * SECOND)).trace();
    let timeouts: Vec<_> =
        trace.lines().filter_map(|line| line.split_once(", timeout ")).map(|(_, timeout)| timeout).collect();
    // 40, 33.1, 26.2, 19.3, 12.4 and 5.5 seconds are left.
    assert_eq!(timeouts, ["30", "30", "27", "20", "13", "10"], "{trace}");
}

/// Contract row 20.
#[test]
fn an_answer_that_is_being_read_at_the_deadline_is_the_reason() {
    let end = world(Attempt::new().head(404, &[]).bytes("gone").stall()).with(|c| c.deadline(SECOND)).end();
    assert_eq!(end, "1.000 fail rejected: the server rejected the watch: HTTP 404: gone");
    let end = world(Attempt::new().head(503, &[]).bytes("busy").stall()).with(|c| c.deadline(SECOND)).end();
    assert_eq!(end, "1.000 fail deadline_exceeded: the deadline of 1s passed; no status was seen (HTTP 503): busy");
}

/// Contract row 21.
#[test]
fn an_abort_ends_it_at_once_in_every_phase() {
    for (phase, script, closes) in [
        ("connecting", Attempt::new().stall(), true),
        ("streaming", Attempt::stream().state("starting").stall(), true),
        ("reading an error", Attempt::new().head(500, &[]).stall(), true),
        ("waiting to retry", Attempt::new().refuse(), false),
    ] {
        let trace = world(script).abort_at(1500).trace();
        let end = if closes { "1.500 disconnect\n" } else { "" };
        assert!(trace.ends_with(&format!("{end}1.500 fail aborted: the watch was aborted\n")), "{phase}: {trace}");
        assert_eq!(trace.contains("1.500 disconnect"), closes, "{phase}: {trace}");
    }
}

fn watch(policy: cvm_watch_core::PolicyBuilder) -> Watch {
    Watch::new(Arc::new(policy.build().unwrap()), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO)
}

fn drain(watch: &mut Watch) -> Vec<Action> {
    std::iter::from_fn(|| watch.poll_action()).collect()
}

/// A watch whose first stream is open.
fn streaming(policy: cvm_watch_core::PolicyBuilder) -> (Watch, cvm_watch_core::AttemptId) {
    let mut watch = watch(policy);
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    watch.handle(Timestamp::ZERO, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    (watch, attempt)
}

/// Contract row 21.
#[test]
fn an_abort_before_the_start_makes_no_request() {
    let mut watch = watch(Policy::builder("running"));
    watch.handle(Timestamp::ZERO, Input::Abort);
    let actions = drain(&mut watch);
    assert!(matches!(&actions[..], [Action::Fail(failure)] if failure.kind() == "aborted"), "{actions:?}");
}

/// Contract row 21.
#[test]
fn an_abort_drops_what_was_not_handed_out_yet() {
    let (mut watch, attempt) = streaming(Policy::builder("running"));
    let event = b"event: state\ndata: {\"status\":\"starting\"}\n\n";
    assert_eq!(watch.receive(Timestamp::ZERO, attempt, event), event.len());
    watch.handle(Timestamp::ZERO, Input::Abort);
    let actions = drain(&mut watch);
    assert!(matches!(&actions[..], [Action::Disconnect { .. }, Action::Fail(_)]), "{actions:?}");
}

/// Contract row 21.
#[test]
fn an_abort_in_a_flood_is_heard_between_two_events() {
    let (mut watch, attempt) = streaming(Policy::builder("running"));
    let flood = b"data: x\n\n".repeat(10_000);
    let taken = watch.receive(Timestamp::ZERO, attempt, &flood);
    assert_eq!((taken, drain(&mut watch).len()), (9, 1));
    watch.handle(Timestamp::ZERO, Input::Abort);
    assert_eq!(watch.receive(Timestamp::ZERO, attempt, &flood[taken..]), flood.len() - taken);
    let actions = drain(&mut watch);
    assert!(matches!(&actions[..], [Action::Disconnect { .. }, Action::Fail(_)]), "{actions:?}");
}

/// Contract row 22.
#[test]
fn after_the_end_nothing_does_anything() {
    let (mut watch, attempt) = streaming(Policy::builder("running").deadline(SECOND));
    let event = b"event: complete\ndata: {\"status\":\"running\"}\n\n";
    let _ = watch.receive(Timestamp::ZERO, attempt, event);
    assert_eq!(drain(&mut watch).len(), 3);
    for _ in 0..2 {
        watch.handle(Timestamp::MAX, Input::Abort);
        watch.handle(Timestamp::MAX, Input::Tick);
        watch.handle(Timestamp::MAX, Input::Permit);
        watch.handle(Timestamp::MAX, Input::Yield { attempt });
        watch.handle(Timestamp::MAX, Input::Closed { attempt, cause: CloseCause::Reset });
        watch.handle(Timestamp::MAX, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
        assert_eq!(watch.receive(Timestamp::MAX, attempt, event), event.len());
        assert_eq!((drain(&mut watch), watch.next_wake()), (Vec::new(), None));
    }
}

/// Contract row 23.
#[test]
fn the_streams_id_goes_back_to_the_server_when_it_can_stand_in_a_header() {
    let long = "x".repeat(1025);
    for (stream, sent) in [
        ("id: 7\ndata: x\n\n", ", Last-Event-ID \"7\""),
        ("id: ünï→\n\n", ", Last-Event-ID \"ünï→\""),
        ("id: 7\n\nid\n\n", ""),
        ("id: 7\n\nid: 8\ndata: cut off", ", Last-Event-ID \"7\""),
        ("id: a\u{1}b\n\n", ""),
        ("id: a\u{7f}\n\n", ""),
        (&format!("id: {}\n\n", &long[1..]), &format!(", Last-Event-ID {:?}", &long[1..])),
        (&format!("id: 7\n\nid: {long}\n\n"), ""),
    ] {
        let script = Script::new().then(Attempt::stream().bytes(stream).reset()).then(done());
        let trace = world(script).trace();
        assert!(trace.contains(&format!("5.000 connect 2, timeout 300{sent}\n")), "{stream:?}: {trace}");
    }
}

/// Contract row 23.
#[test]
fn an_id_that_cannot_be_sent_is_still_reported() {
    let script = Script::new().then(Attempt::stream().bytes("id: a\u{1}\ndata: x\n\ndata: y\n\n").reset()).then(done());
    let trace = world(script).trace();
    assert!(trace.contains("other message \"y\" (id \"a\\u{1}\")"), "{trace}");
    assert!(trace.contains("connect 2, timeout 300\n"), "{trace}");
}

/// Contract row 23.
#[test]
fn the_id_survives_attempts_that_bring_none() {
    let script = Script::new()
        .then(Attempt::stream().bytes("id: 7\ndata: x\n\n").reset())
        .then(Attempt::new().refuse())
        .then(Attempt::stream().bytes("data: y\n\n").reset())
        .then(done());
    let trace = world(script).trace();
    assert!(trace.contains("connect 4, timeout 300, Last-Event-ID \"7\""), "{trace}");
    assert!(trace.contains("other message \"y\" (id \"7\")"), "{trace}");
}

/// Contract row 24.
#[test]
fn an_echo_of_the_key_or_a_header_is_masked_wherever_the_server_puts_it() {
    let key = || ApiKey::new("phak_hunter2").unwrap();
    let said =
        r#"{"status":"x phak_hunter2","error":"phak_\u0068unter2","target":"s3cret-s3cret","message":"phak_hunter2"}"#;
    let mut stream = Attempt::stream();
    for name in ["state", "complete", "error", "phak_hunter2", "timeout"] {
        stream = stream.event(name, said);
    }
    let stream = stream.bytes("id: phak_hunter2\ndata: {phak_hunter2\n\n").event("state", "{phak%5Fhunter2").close();
    let page =
        Attempt::new().head(500, &[("x-request-id", "phak_hunter2")]).bytes("<title>phak_hunter2</title>").close();
    let redirect = Attempt::new().head(302, &[("location", "/phak_hunter2")]).close();
    for script in [Script::from(stream.clone()), page.into(), redirect.into()] {
        let settings = |c: cvm_watch_core::PolicyBuilder| {
            c.api_key(key()).header("x-secret", "s3cret-s3cret").keep_raw(true).max_retries(3)
        };
        let trace = world(script.clone()).with(settings).trace();
        assert!(trace.contains("***") && !trace.contains("hunter2") && !trace.contains("s3cret"), "{trace}");
    }
    // And in everything that a program could print of it.
    let (mut watch, attempt) = streaming(Policy::builder("running").api_key(key()).keep_raw(true));
    let event = format!("id: phak_hunter2\nevent: state\ndata: {said}\n\n");
    let _ = watch.receive(Timestamp::ZERO, attempt, event.as_bytes());
    // The id goes back with the next request.
    watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause: CloseCause::Reset });
    watch.handle(Timestamp::from_secs(9), Input::Tick);
    let actions = drain(&mut watch);
    let Some(Action::Connect { request, .. }) = actions.last() else { panic!("no second attempt: {actions:?}") };
    let ids: Vec<_> = request.headers().iter().filter(|header| header.name() == "Last-Event-ID").collect();
    assert!(ids.len() == 1 && ids[0].value() == "phak_hunter2" && ids[0].sensitive(), "{ids:?}");
    let shown = format!("{actions:?} {watch:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("\\\\u0068unter2"), "{shown}");
}

/// Contract row 25.
#[test]
fn what_is_out_of_range_is_refused_before_any_watch_exists() {
    let refused = |policy: cvm_watch_core::PolicyBuilder| policy.build().unwrap_err().to_string();
    let bad_id = |id: &str| CvmId::new(id).unwrap_err().to_string();
    let fresh = || Policy::builder("running");
    let millis = Duration::from_millis;
    for (message, parts) in [
        (refused(fresh().interval(millis(4_000))), ["interval", "4s", "5s to 30s"]),
        (refused(fresh().interval(millis(5_500))), ["interval", "5.5s", "whole seconds"]),
        (refused(fresh().timeout(millis(601_000))), ["timeout", "601s", "10s to 600s"]),
        (refused(Policy::builder(" ")), ["target", "", "must not be blank"]),
        (bad_id(".."), ["id", "..", "is a path"]),
        (bad_id("a\tb"), ["id", "a\\tb", "0x09 at position 1"]),
        (refused(fresh().interval(millis(31_000))), ["interval", "31s", "5s to 30s"]),
        (refused(fresh().timeout(millis(9_000))), ["timeout", "9s", "10s to 600s"]),
        (refused(fresh().connect_timeout(millis(0))), ["connect timeout", "0s", "more than zero"]),
        (refused(fresh().idle_timeout(millis(0))), ["idle timeout", "0s", "more than zero"]),
        (refused(fresh().deadline(millis(0))), ["deadline", "0s", "more than zero"]),
        (bad_id(""), ["id", "", "must not be empty"]),
        (refused(fresh().header("x-a", "s3cret\0")), ["header x-a", "", "0x00 at position 6"]),
        (refused(fresh().header("x-a\r\nEvil", "v")), ["header name", "x-a\\r\\nEvil", "letters, digits"]),
        (ApiKey::new("s3cret\rs3cret").unwrap_err().to_string(), ["api key", "", "0x0d at position 6"]),
        (ApiKey::new(" ").unwrap_err().to_string(), ["api key", "", "PHALA_CLOUD_API_KEY"]),
    ] {
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

/// Contract row 26.
#[test]
fn the_message_of_a_failure_can_move_no_cursor_and_start_no_command() {
    let nasty = "\u{1b}[2J\r\n::error::x\u{202e}##vso[task]\u{85}";
    let long = nasty.repeat(200);
    for attempt in [
        Attempt::stream().error(nasty).close(),
        Attempt::new().head(404, &[]).bytes(long.clone()).close(),
        Attempt::new().head(302, &[("location", &long)]).close(),
        Attempt::new().head(200, &[("content-type", nasty)]).close(),
        Attempt::stream().complete(nasty),
    ] {
        let end = world(attempt).with(|c| c.max_retries(0)).end();
        let harmless = end.chars().all(|char| !char.is_control() && char != '\u{202e}');
        assert!(harmless && !end.contains("##") && end.len() < 500, "{end:?}");
    }
}
