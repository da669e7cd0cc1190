//! What is retried, how often, and after which delay.

use std::time::Duration;

use cvm_watch_core::{Action, Backoff, CloseCause, Input, Policy, ResponseHead, Timestamp, TlsFault};
use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, answer, answered, done};

/// The delays before the retries of a run, in milliseconds.
fn delays(trace: &str) -> Vec<u128> {
    let delay = |line: &str| {
        let delay = line.split_once("retry in ").or_else(|| line.split_once("reconnect in "))?.1.split_once(':')?.0;
        let (number, unit) = delay.split_at(delay.find(|c: char| c.is_alphabetic()).unwrap());
        let millis = match unit {
            "s" => 1000.0,
            "ms" => 1.0,
            _ => 0.0,
        };
        Some(Duration::from_secs_f64(number.parse::<f64>().unwrap() * millis / 1000.0).as_millis())
    };
    trace.lines().filter_map(delay).collect()
}

/// Contract row 10.
#[test]
fn max_retries_counts_retries_after_the_first_attempt() {
    for (retries, attempts) in [(0, "1 attempt"), (1, "2 attempts"), (4, "5 attempts")] {
        let trace = scripted(Attempt::stream().close()).with(|c| c.max_retries(retries)).trace();
        assert_eq!(trace.matches("connect").count() as u64, retries + 1, "{trace}");
        let end = format!("fail max_retries_exceeded: gave up after {attempts}: the stream ended\n");
        assert!(trace.ends_with(&end), "{trace}");
    }
}

/// Contract row 10.
#[test]
fn without_a_limit_it_retries_until_the_target_is_reached() {
    let script = (0..500).map(|_| Attempt::new().refuse()).chain([done()]).collect::<Script>();
    let trace = scripted(script).trace();
    assert!(trace.contains("connect 501") && trace.ends_with("resolve status=running\n"));
}

/// Contract row 11.
#[test]
fn a_given_delay_is_used_exactly_despite_retry_fields() {
    for delay in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(3600)] {
        let script = Attempt::stream().bytes("retry: 9000\n\n").close();
        let trace = scripted(script).with(|c| c.retry_delay(delay).max_retries(3)).trace();
        assert_eq!(delays(&trace), [delay.as_millis(); 3], "{trace}");
    }
}

/// A run with default delays, whose streams send `body` and end.
fn jittered(
    body: &str,
    change: impl FnOnce(cvm_watch_core::PolicyBuilder) -> cvm_watch_core::PolicyBuilder,
) -> Vec<u128> {
    let fresh = || Policy::builder("running").max_retries(40);
    delays(&scripted(Attempt::stream().bytes(body).close()).with(|_| change(fresh())).trace())
}

/// Contract row 11.
#[test]
fn a_delay_that_is_not_given_is_five_seconds_or_the_streams_own_and_a_little_jitter() {
    for (body, least) in [("", 5000), ("retry: 7000\n", 7000), ("retry: 5\n", 1000), ("retry: 99999999\n", 30_000)] {
        let delays = jittered(body, |c| c);
        assert_eq!(delays.len(), 40);
        assert!(delays.iter().all(|delay| (least..=least * 6 / 5).contains(delay)), "{body}: {delays:?}");
        let spread = delays.iter().max().unwrap() - delays.iter().min().unwrap();
        assert!(spread > least / 20, "{body}: no jitter in {delays:?}");
    }
}

/// Contract row 11.
#[test]
fn the_streams_own_delay_outlives_its_attempt() {
    let script = Script::new()
        .then(Attempt::stream().bytes("retry: 20000\n").close())
        .then(Attempt::new().refuse())
        .then(done());
    let fresh = Policy::builder("running");
    let delays = delays(&scripted(script).with(|_| fresh).trace());
    assert!(delays.iter().all(|delay| (20_000..=24_000).contains(delay)), "{delays:?}");
}

/// Contract row 11.
#[test]
fn backoff_grows_from_the_base_to_its_cap() {
    let delays = jittered("", |c| c.retry_delay(SECOND).backoff(Backoff::up_to(8 * SECOND)));
    for (delay, full) in delays.iter().zip([1000, 2000, 4000, 8000, 8000, 8000]) {
        assert!((full / 2..=full).contains(delay), "{delays:?}");
    }
}

/// Contract row 11.
#[test]
fn backoff_begins_again_after_a_long_lived_attempt_or_a_timeout_event() {
    for (what, lived) in [
        ("a timeout event", Attempt::stream().timeout("running", 300.0)),
        ("sixty seconds of life", Attempt::stream().wait(60 * SECOND).reset()),
    ] {
        let short = || Attempt::new().refuse();
        let script = Script::new().then(short()).then(short()).then(short()).then(lived).then(done());
        let delays = delays(&scripted(script).with(|c| c.retry_delay(SECOND).backoff(Backoff::default())).trace());
        assert!(delays[2] >= 2000 && delays[3] <= 1000, "{what}: {delays:?}");
    }
    // Fifty-nine seconds of streaming are not enough, nor are sixty of connecting.
    let almost = Attempt::stream().wait(59 * SECOND).reset();
    let connecting = Attempt::new().wait(70 * SECOND).refuse();
    for attempt in [almost, connecting] {
        let script = Script::new().then(Attempt::new().refuse()).then(attempt).then(done());
        let settings = |c: cvm_watch_core::PolicyBuilder| {
            c.retry_delay(SECOND).backoff(Backoff::default()).connect_timeout(100 * SECOND)
        };
        let delays = delays(&scripted(script).with(settings).trace());
        assert!(delays[1] >= 1000, "{delays:?}");
    }
}

/// Contract row 11.
#[test]
fn a_routine_end_reconnects_within_a_second_and_is_reported_as_routine() {
    let state = || Attempt::stream().event("state", r#"{"status":"starting"}"#);
    let fresh = || Policy::builder("running");
    for (what, attempt, routine) in [
        ("a timeout event", Attempt::stream().timeout("running", 300.0), true),
        ("a state and a minute", state().wait(60 * SECOND).reset(), true),
        ("a state and less than a minute", state().wait(59 * SECOND).reset(), false),
        ("a minute without a state", Attempt::stream().wait(60 * SECOND).reset(), false),
        ("no stream", Attempt::new().refuse(), false),
    ] {
        let script = || Script::new().then(attempt.clone()).then(done());
        let trace = scripted(script()).with(|_| fresh()).trace();
        let delay = delays(&trace)[0];
        assert_eq!(delay <= 1000, routine, "{what}: {trace}");
        assert!(routine || (5000..=6000).contains(&delay), "{what}: {trace}");
        assert_eq!(trace.contains("reconnect in"), routine, "{what}: {trace}");
        // It counts as a retry all the same, and a delay that was given is used as it is.
        let end = scripted(script()).with(|_| fresh().max_retries(0)).end();
        assert!(end.contains("fail max_retries_exceeded: gave up after 1 attempt"), "{what}: {end}");
        let given = scripted(script()).trace();
        assert_eq!(delays(&given), [5000], "{what}: {given}");
    }
}

/// Contract row 11.
#[test]
fn retry_after_lengthens_the_next_delay_only_and_up_to_five_minutes() {
    // The virtual wall clock begins at 2001-09-09 01:46:40 GMT.
    let date = "Sun, 09 Sep 2001 01:47:40 GMT";
    for (headers, expected) in [
        (&[("retry-after", "9")][..], 9000),
        (&[("retry-after", "2")], 5000),
        (&[("retry-after", "86400")], 300_000),
        (&[("retry-after", date)], 60_000),
        (&[("retry-after", date), ("date", "Sun, 09 Sep 2001 01:47:20 GMT")], 20_000),
        (&[("retry-after", "soon")], 5000),
    ] {
        let script = Script::new().then(answer(503, headers, "")).then(Attempt::new().refuse()).then(done());
        assert_eq!(delays(&scripted(script).trace()), [expected, 5000], "{headers:?}");
    }
}

/// Contract row 12.
#[test]
fn passing_faults_of_the_connection_are_retried() {
    let passing = [
        CloseCause::Dns,
        CloseCause::Refused,
        CloseCause::Reset,
        CloseCause::HostUnreachable,
        CloseCause::Proxy,
        CloseCause::Tls(TlsFault::Other),
        CloseCause::NotHttp,
        CloseCause::HeadTooLarge,
        CloseCause::Truncated,
        CloseCause::Ended,
        CloseCause::Other,
    ];
    let trace = scripted(done()).faults(&passing).trace();
    assert_eq!(trace.matches("retry in 5s").count(), passing.len(), "{trace}");
    assert!(trace.ends_with("resolve status=running\n"), "{trace}");
}

/// Contract row 12.
#[test]
fn every_fault_in_the_middle_of_a_stream_is_retried() {
    let late_certificate = CloseCause::Tls(TlsFault::Certificate);
    for cause in [CloseCause::NotHttp, CloseCause::Truncated, CloseCause::Reset, CloseCause::Other, late_certificate] {
        let (mut watch, attempt) = answered(ResponseHead::new(200));
        watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause });
        let action = watch.poll_action();
        assert!(matches!(action, Some(Action::Retrying { .. })), "{cause:?}: {action:?}");
    }
}

/// Contract row 12.
#[test]
fn a_retried_status_keeps_its_message_for_the_final_failure() {
    for status in [408, 425, 429, 409, 500, 502, 503, 504, 599] {
        let end = scripted(answer(status, &[], r#"{"detail":"too busy"}"#)).with(|c| c.max_retries(1)).end();
        let expected = format!("5.000 fail max_retries_exceeded: gave up after 2 attempts: HTTP {status}: too busy");
        assert_eq!(end, expected);
    }
    // The later attempts bring no answer, so the message stays the last one.
    let script = Script::new().then(answer(503, &[], "too busy")).then(Attempt::new().refuse());
    let end = scripted(script).with(|c| c.max_retries(1)).end();
    assert_eq!(
        end,
        "5.000 fail max_retries_exceeded: gave up after 2 attempts: the server closed the connection without an answer: too busy"
    );
}

/// Contract row 12.
#[test]
fn a_conflict_is_retried_unless_it_has_an_error_code() {
    let retried = scripted(Script::new().then(answer(409, &[], r#"{"message":"busy"}"#)).then(done())).end();
    assert_eq!(retried, "5.000 resolve status=running");
    let coded = scripted(answer(409, &[], r#"{"error_code":"ERR-02","message":"deleted"}"#)).end();
    assert_eq!(coded, "0.000 fail rejected: the server rejected the watch: HTTP 409 (ERR-02): deleted");
}
