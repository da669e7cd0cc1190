//! When the target counts as reached, and which ends of a stream are failed attempts.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, done};

/// A first attempt that reports the target and then does `more`, and a second one that never reaches it.
fn at_target(more: impl FnOnce(Attempt) -> Attempt) -> Script {
    let first = Attempt::stream().state("starting").wait(SECOND).state("running").wait(SECOND);
    Script::new().then(more(first)).then(Attempt::stream().state("stopped").stall())
}

/// Contract row 1.
#[test]
fn a_complete_at_the_target_resolves_with_the_last_state() {
    let state = r#"{"status":"starting","name":"web","boot_progress":"done"}"#;
    scripted(Attempt::stream().event("state", state).wait(SECOND).complete("RUNNING").stall()).check(
        "0.000 connect 1, timeout 300
         0.000 state starting
         1.000 complete RUNNING
         1.000 disconnect
         1.000 resolve boot_progress=done name=web status=RUNNING",
    );
}

/// Contract row 1.
#[test]
fn a_complete_without_a_state_before_resolves_with_just_the_status() {
    scripted(done()).check(
        "0.000 connect 1, timeout 300
         0.000 complete running
         0.000 disconnect
         0.000 resolve status=running",
    );
}

/// Contract row 2.
#[test]
fn a_complete_with_another_status_fails_the_attempt() {
    let script = Script::new().then(Attempt::stream().complete("stopped").stall()).then(done());
    scripted(script).check(
        "0.000 connect 1, timeout 300
         0.000 complete stopped
         0.000 disconnect
         0.000 retry in 5s: the server completed with status \"stopped\", which is not the target
         5.000 connect 2, timeout 300
         5.000 complete running
         5.000 disconnect
         5.000 resolve status=running",
    );
}

/// Contract row 2.
#[test]
fn a_complete_with_another_status_is_no_success_even_at_the_target() {
    let end = scripted(at_target(|stream| stream.complete("stopped"))).with(|c| c.max_retries(0)).end();
    assert!(end.starts_with("2.000 fail max_retries_exceeded"), "{end}");
}

/// Contract row 3.
#[test]
fn at_the_target_every_end_of_the_attempt_resolves() {
    let hidden = |stream: Attempt| stream.comment("beat");
    for (way, script) in [
        ("clean end", at_target(Attempt::close)),
        ("reset", at_target(Attempt::reset)),
        ("truncation", at_target(Attempt::truncate)),
        ("timeout event", at_target(|stream| stream.timeout("running", 300.0).stall())),
        ("unreadable timeout event", at_target(|stream| stream.event("timeout", "x").stall())),
        ("a comment, then the end", at_target(|stream| hidden(stream).close())),
    ] {
        for retries in [0, 9] {
            let end = scripted(script.clone()).with(|c| c.max_retries(retries)).end();
            assert_eq!(end, "2.000 resolve status=running", "{way}, {retries} retries");
        }
    }
}

/// Contract row 3.
#[test]
fn at_the_target_silence_resolves_two_seconds_after_the_first_such_state() {
    scripted(Attempt::stream().wait(SECOND).state("running").stall()).check(
        "0.000 connect 1, timeout 300
         1.000 state running
         3.000 disconnect
         3.000 resolve status=running",
    );
}

/// Contract row 3.
#[test]
fn at_the_target_the_idle_timeout_and_both_deadlines_resolve() {
    let late = Attempt::stream().state("running").stall();
    let long = |c: cvm_watch_core::PolicyBuilder| c.complete_grace(Duration::from_secs(3600));
    let idle = scripted(late.clone()).with(|c| long(c).idle_timeout(7 * SECOND)).end();
    assert_eq!(idle, "7.000 resolve status=running");
    let attempt = scripted(late.clone()).with(|c| long(c).timeout(30 * SECOND)).end();
    assert_eq!(attempt, "40.000 resolve status=running");
    let overall = scripted(late).with(|c| long(c).deadline(9 * SECOND)).end();
    assert_eq!(overall, "9.000 resolve status=running");
}

/// Contract row 3.
#[test]
fn a_later_other_status_takes_the_target_back() {
    let stream = Attempt::stream().state("running").wait(SECOND).state("stopping").wait(3 * SECOND).close();
    let end = scripted(stream).with(|c| c.max_retries(0)).end();
    assert_eq!(end, "4.000 fail max_retries_exceeded: gave up after 1 attempt: the stream ended");
}

/// Contract row 3.
#[test]
fn a_repeated_target_does_not_restart_the_grace() {
    let stream = Attempt::stream().repeat("event: state\ndata: {\"status\":\"running\"}\n\n", SECOND, u64::MAX);
    // The first comes after a second.
    assert_eq!(scripted(stream).end(), "3.000 resolve status=running");
}

/// Contract row 3.
#[test]
fn a_target_after_another_status_restarts_the_grace() {
    let stream =
        Attempt::stream().state("running").wait(SECOND).state("stopping").wait(SECOND).state("running").stall();
    assert_eq!(scripted(stream).end(), "4.000 resolve status=running");
}

/// Contract row 3.
#[test]
fn an_unreadable_state_does_not_take_the_target_back() {
    let stream = Attempt::stream().state("running").event("state", "{").close();
    assert_eq!(scripted(stream).end(), "0.000 resolve status=running");
}

/// Contract row 3.
#[test]
fn only_the_latest_state_of_this_attempt_counts() {
    // The first attempt reports the target and then another status; the second reports nothing.
    let script = Script::new()
        .then(Attempt::stream().state("running").state("stopping").reset())
        .then(Attempt::stream().close());
    let end = scripted(script).with(|c| c.max_retries(1)).end();
    assert_eq!(end, "5.000 fail max_retries_exceeded: gave up after 2 attempts: the stream ended");
}

/// Contract row 3.
#[test]
fn an_abort_at_the_target_still_aborts() {
    let end = scripted(Attempt::stream().state("running").stall()).abort_at(1000).end();
    assert_eq!(end, "1.000 fail aborted: the watch was aborted");
}

/// Contract row 4.
#[test]
fn an_end_of_stream_is_never_a_success() {
    let states = |stream: Attempt| stream.state("starting").state("stopped");
    for (way, attempt) in [
        ("an empty stream", Attempt::stream().close()),
        ("after states", states(Attempt::stream()).close()),
        ("truncated", states(Attempt::stream()).truncate()),
        ("reset", states(Attempt::stream()).reset()),
        (
            "in an unfinished event",
            Attempt::stream().bytes("event: complete\ndata: {\"status\":\"running\"}\n").close(),
        ),
        ("before any head", Attempt::new().refuse()),
    ] {
        let end = scripted(attempt).with(|c| c.max_retries(2)).end();
        assert!(end.starts_with("10.000 fail max_retries_exceeded: gave up after 3 attempts"), "{way}: {end}");
    }
}

/// Contract row 4.
#[test]
fn what_an_attempt_left_unfinished_is_not_finished_by_the_next() {
    let whole = "event: complete\ndata: {\"status\":\"running\"}\n";
    let big = format!("data: {}", "x".repeat(200));
    for (left, rest) in [
        // An event without its blank line, a name, a line, half a line end, half a mark.
        (whole, "\n"),
        ("event: complete\n", "data: {\"status\":\"running\"}\n\n"),
        ("event: comp", "lete\ndata: {\"status\":\"running\"}\n\n"),
        (&whole[..whole.len() - 1], "\n\n"),
        (&format!("{}\r", &whole[..whole.len() - 1]), "\n"),
    ] {
        let script =
            Script::new().then(Attempt::stream().bytes(left).close()).then(Attempt::stream().bytes(rest).close());
        let end = scripted(script).with(|c| c.max_retries(1)).end();
        assert!(end.contains("gave up after 2 attempts"), "{left:?} and {rest:?}: {end}");
    }
    // Nor does it spoil it: an event over the limit, half a byte order mark, a CR.
    for left in [big.as_str(), "\u{feff}data: x", "data: x\r"] {
        let next = format!("\u{feff}{whole}\n");
        let script =
            Script::new().then(Attempt::stream().bytes(left).close()).then(Attempt::stream().bytes(next).close());
        let end = scripted(script).with(|c| c.max_retries(1).max_event_bytes(100)).end();
        assert!(end.ends_with("resolve status=running"), "{left:?}: {end}");
    }
}
