//! Time limits: connecting, one attempt, idle time and the overall deadline.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, done};

/// Contract row 17.
#[test]
fn an_attempt_without_a_head_fails_at_the_connect_timeout() {
    let script = || Script::new().then(Attempt::new().stall()).then(done());
    scripted(script()).check(
        "0.000 connect 1, timeout 300
         30.000 disconnect
         30.000 retry in 5s: no response within the connect timeout
         35.000 connect 2, timeout 300
         35.000 complete running
         35.000 disconnect
         35.000 resolve status=running",
    );
    assert_eq!(scripted(script()).with(|c| c.connect_timeout(SECOND)).end(), "6.000 resolve status=running");
}

/// Contract row 17.
#[test]
fn the_connect_timeout_never_goes_beyond_the_attempts_deadline() {
    let script = Script::new().then(Attempt::new().stall()).then(done());
    let trace = scripted(script).with(|c| c.connect_timeout(3600 * SECOND).timeout(30 * SECOND)).trace();
    assert!(trace.contains("40.000 retry in 5s: the stream outlived its timeout"), "{trace}");
}

/// Contract row 18.
#[test]
fn an_attempt_fails_ten_seconds_after_its_timeout_even_while_bytes_arrive() {
    let beats = Attempt::stream().repeat(": beat\n", SECOND, u64::MAX);
    let states = Attempt::stream().repeat("event: state\ndata: {\"status\":\"starting\"}\n\n", SECOND, u64::MAX);
    for (stream, again) in [(beats, "retry"), (states, "reconnect"), (Attempt::stream().stall(), "retry")] {
        let script = Script::new().then(stream).then(done());
        let trace = scripted(script).with(|c| c.timeout(60 * SECOND)).trace();
        let reported = format!("70.000 disconnect\n70.000 {again} in 5s: the stream outlived its timeout");
        assert!(trace.contains(&reported), "{trace}");
        assert!(trace.ends_with("75.000 resolve status=running\n"), "{trace}");
    }
}

/// Contract row 19.
#[test]
fn an_attempt_fails_after_the_idle_timeout_and_any_byte_restarts_it() {
    let script = || {
        let beats = Attempt::stream().wait(8 * SECOND).bytes(":").wait(9 * SECOND).comment("beat").stall();
        Script::new().then(beats).then(done())
    };
    let trace = scripted(script()).with(|c| c.idle_timeout(10 * SECOND)).trace();
    assert!(trace.contains("27.000 retry in 5s: nothing was received within the idle timeout"), "{trace}");
}

/// Contract row 19.
#[test]
fn idle_time_counts_from_the_head_and_is_not_limited_by_default() {
    let script = || Script::new().then(Attempt::new().wait(7 * SECOND).head(200, &[]).stall()).then(done());
    let trace = scripted(script()).with(|c| c.idle_timeout(10 * SECOND)).trace();
    assert!(trace.contains("17.000 retry"), "{trace}");
    assert!(scripted(script()).trace().contains("310.000 retry in 5s: the stream outlived"));
}

/// Contract row 20.
#[test]
fn the_overall_deadline_fails_exactly_then_with_the_last_status() {
    let end =
        scripted(Attempt::stream().state("starting").stall()).with(|c| c.deadline(Duration::from_millis(12_345))).end();
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
        let end = scripted(script).with(|c| c.deadline(Duration::from_millis(2345))).end();
        assert!(end.starts_with("2.345 fail deadline_exceeded: the deadline of 2.345s passed"), "{phase}: {end}");
    }
}

/// Contract row 20.
#[test]
fn the_deadline_cuts_a_retry_delay() {
    let end = scripted(Attempt::new().refuse()).with(|c| c.retry_delay(60 * SECOND).deadline(7 * SECOND)).trace();
    assert!(end.contains("0.000 retry in 7s:"), "{end}");
    assert!(end.lines().last().unwrap().starts_with("7.000 fail deadline_exceeded"), "{end}");
}

/// Contract row 20.
#[test]
fn the_timeout_sent_shrinks_to_the_time_left_in_whole_seconds_and_ten_at_least() {
    let script = Attempt::stream().wait(Duration::from_millis(900)).timeout("running", 1.0);
    let trace = scripted(script).with(|c| c.timeout(30 * SECOND).retry_delay(6 * SECOND).deadline(40 * SECOND)).trace();
    let timeouts: Vec<_> =
        trace.lines().filter_map(|line| line.split_once(", timeout ")).map(|(_, timeout)| timeout).collect();
    // 40, 33.1, 26.2, 19.3, 12.4 and 5.5 seconds are left.
    assert_eq!(timeouts, ["30", "30", "27", "20", "13", "10"], "{trace}");
}

/// Contract row 20.
#[test]
fn an_answer_that_is_being_read_at_the_deadline_is_the_reason() {
    let end = scripted(Attempt::new().head(404, &[]).bytes("gone").stall()).with(|c| c.deadline(SECOND)).end();
    assert_eq!(end, "1.000 fail rejected: the server rejected the watch: HTTP 404: gone");
    let end = scripted(Attempt::new().head(503, &[]).bytes("busy").stall()).with(|c| c.deadline(SECOND)).end();
    assert_eq!(end, "1.000 fail deadline_exceeded: the deadline of 1s passed; no status was seen (HTTP 503): busy");
}
