//! Options of a policy: failing early, readiness and changes of status; and what a policy refuses.

use std::time::Duration;

use cvm_watch_core::{Action, ApiKey, CvmId, FailEarly, Input, Phase, Policy, ResponseHead, Timestamp, Watch};
use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;

const SECOND: Duration = Duration::from_secs(1);

/// An attempt whose stream sends these states, a second apart.
fn states(states: &[&str]) -> Attempt {
    states.iter().fold(Attempt::stream(), |attempt, json| attempt.event("state", json).wait(SECOND))
}

fn attempts(attempts: impl IntoIterator<Item = Attempt>) -> Script {
    attempts.into_iter().fold(Script::new(), Script::then)
}

fn status(status: &str) -> String {
    format!(r#"{{"status":"{status}"}}"#)
}

#[test]
fn two_unreachable_states_in_a_row_fail_the_watch() {
    let error = status("error");
    scripted(states(&[&error, &status("starting"), &error, &error]).stall())
        .with(|c| c.fail_early(FailEarly::of_a_boot()))
        .check(
            r#"
            0.000 connect 1, timeout 300
            0.000 state error
            1.000 state starting
            2.000 state error
            3.000 state error
            3.000 disconnect
            3.000 fail unreachable: "running" can no longer be reached: the status is "error"
            "#,
        );
}

#[test]
fn the_row_continues_over_a_failed_attempt() {
    let exited = status("Exited");
    scripted(attempts([states(&[&exited]).reset(), states(&[&exited]).stall()]))
        .with(|c| c.fail_early(FailEarly::of_a_boot()))
        .check(
            r#"
            0.000 connect 1, timeout 300
            0.000 state Exited
            1.000 retry in 5s: the connection was reset
            6.000 connect 2, timeout 300
            6.000 state Exited
            6.000 disconnect
            6.000 fail unreachable: "running" can no longer be reached: the status is "Exited"
            "#,
        );
}

#[test]
fn a_state_repeated_by_another_stream_within_an_interval_is_not_a_second_check() {
    let exited = status("exited");
    let script =
        [states(&[&exited]).reset(), states(&[&exited]).reset(), states(&[&exited]).reset(), states(&[&exited])];
    scripted(attempts(script))
        .with(|c| c.fail_early(FailEarly::of_a_boot()).interval(8 * SECOND).retry_delay(2 * SECOND))
        .check(
            r#"
            0.000 connect 1, timeout 300
            0.000 state exited
            1.000 retry in 2s: the connection was reset
            3.000 connect 2, timeout 300
            3.000 state exited
            4.000 retry in 2s: the connection was reset
            6.000 connect 3, timeout 300
            6.000 state exited
            7.000 retry in 2s: the connection was reset
            9.000 connect 4, timeout 300
            9.000 state exited
            9.000 disconnect
            9.000 fail unreachable: "running" can no longer be reached: the status is "exited"
            "#,
        );
    // A second state of the same stream is a second check.
    let second = states(&[&exited, &exited]).stall();
    let end = scripted(attempts([states(&[&exited]).reset(), second]))
        .with(|c| c.fail_early(FailEarly::of_a_boot()).interval(30 * SECOND).retry_delay(SECOND));
    assert!(end.end().starts_with("3.000 fail unreachable"));
    // An answer that arrives a little earlier than the interval still is a second check.
    let [slow, quick] = [SECOND, Duration::from_millis(200)]
        .map(|latency| Attempt::stream().wait(latency).event("state", &exited).reset());
    let end = scripted(attempts([slow, quick]))
        .with(|c| c.fail_early(FailEarly::of_a_boot()).retry_delay(Duration::from_millis(4100)))
        .end();
    assert!(end.starts_with("5.300 fail unreachable"), "{end}");
    // Another status in between ends the row, and the time since it began.
    let between = states(&[&exited, &status("starting"), &exited]).reset();
    let third = states(&[&exited, &status("running")]).stall();
    let end = scripted(attempts([between, third]))
        .with(|c| c.fail_early(FailEarly::of_a_boot()).interval(5 * SECOND).retry_delay(SECOND))
        .end();
    assert_eq!(end, "7.000 resolve status=running");
}

#[test]
fn failing_early_is_off_unless_asked_for_and_a_start_may_begin_at_stopped() {
    let (error, stopped) = (status("error"), status("stopped"));
    let boot = |first: &str| states(&[first, first, first]).event("complete", status("running"));
    assert_eq!(scripted(boot(&error)).end(), "3.000 resolve status=running");
    let early = scripted(boot(&stopped)).with(|c| c.fail_early(FailEarly::of_a_boot()));
    assert_eq!(early.end(), "3.000 resolve status=running");
    let chosen = scripted(boot(&stopped)).with(|c| c.fail_early(FailEarly::on(["stopped"])));
    assert_eq!(chosen.end(), r#"1.000 fail unreachable: "running" can no longer be reached: the status is "stopped""#);
}

#[test]
fn a_boot_error_counts_when_it_is_new_and_the_boot_not_done() {
    let with = |error: &str, progress: &str| {
        format!(r#"{{"status":"starting","boot_error":"{error}","boot_progress":"{progress}"}}"#)
    };
    let (old, new) = (with("no disk", "booting"), with("no keys", "booting"));
    let end = |seen: &[&str]| {
        let script = states(seen).event("complete", status("running"));
        scripted(script).with(|c| c.fail_early(FailEarly::of_a_boot())).end()
    };
    let failed =
        r#"fail unreachable: "running" can no longer be reached: the status is "starting"; boot error: no keys"#;
    assert_eq!(end(&[&status("starting"), &new, &new]), format!("2.000 {failed}"));
    assert_eq!(end(&[&old, &new, &new]), format!("2.000 {failed}"));
    for harmless in [
        // It is left over from the previous boot.
        [&old, &old, &old],
        // One such state is not enough.
        [&new, &old, &new],
    ] {
        let harmless: Vec<_> = harmless.iter().map(|json| json.as_str()).collect();
        assert!(end(&harmless).contains("resolve"), "{harmless:?}");
    }
    let done = with("no keys", "done");
    assert!(end(&[&old, &done, &done]).contains("resolve"), "the boot is done");
    let only_statuses = scripted(states(&[&old, &new, &new]).event("complete", status("running")))
        .with(|c| c.fail_early(FailEarly::on(["error"])));
    assert!(only_statuses.end().contains("resolve"), "boot errors do not count here");
}

#[test]
fn a_state_at_the_target_never_counts_as_unreachable() {
    let failing = r#"{"status":"running","boot_error":"no keys","boot_progress":"booting"}"#;
    let script = states(&[&status("starting"), failing, failing]).stall();
    assert_eq!(
        scripted(script).with(|c| c.fail_early(FailEarly::of_a_boot())).end(),
        "3.000 resolve boot_error=no keys boot_progress=booting status=running"
    );
}

#[test]
fn ready_is_running_and_booted_and_without_an_error() {
    let with = |more: &str| format!(r#"{{"status":"running"{more}}}"#);
    for (state, is_ready) in [
        (with(""), true),
        (with(r#","boot_progress":"done""#), true),
        (with(r#","boot_progress":"","boot_error":"""#), true),
        (with(r#","boot_progress":"starting containers""#), false),
        (with(r#","boot_progress":"done","boot_error":"no disk""#), false),
        (with(r#","boot_error":"no disk""#), false),
    ] {
        let ready = states(&[&state]).event("complete", status("running"));
        let end = scripted(attempts([ready, states(&[&status("running")]).stall()])).with(|c| c.ready(true)).end();
        let when = if is_ready { "1.000 resolve" } else { "8.000 resolve" };
        assert!(end.starts_with(when), "{state}: {end}");
    }
}

#[test]
fn a_complete_before_the_cvm_is_ready_is_checked_again_each_interval_without_a_retry() {
    let booting = r#"{"status":"running","boot_progress":"booting"}"#;
    let done = r#"{"status":"running","boot_progress":"done"}"#;
    let look = |json: &str| states(&[json]).event("complete", status("running"));
    scripted(attempts([look(booting), look(booting), look(done)]))
        .with(|c| c.ready(true).max_retries(0).interval(7 * SECOND))
        .check(
            r#"
            0.000 connect 1, timeout 300
            0.000 state running
            1.000 complete running
            1.000 disconnect
            1.000 retry in 7s: the server completed before the CVM was ready
            8.000 connect 2, timeout 300
            8.000 state running
            9.000 complete running
            9.000 disconnect
            9.000 retry in 7s: the server completed before the CVM was ready
            16.000 connect 3, timeout 300
            16.000 state running
            17.000 complete running
            17.000 disconnect
            17.000 resolve boot_progress=done status=running
            "#,
        );
}

#[test]
fn what_counts_as_no_retry_does_not_count_when_it_gives_up() {
    let booting = r#"{"status":"running","boot_progress":"booting"}"#;
    let look = states(&[booting]).event("complete", status("running"));
    let end =
        scripted(attempts([look.clone(), look, Attempt::stream().reset()])).with(|c| c.ready(true).max_retries(0));
    assert_eq!(end.end(), "12.000 fail max_retries_exceeded: gave up after 1 attempt: the connection was reset");
}

#[test]
fn progress_that_is_no_longer_reported_does_not_hold_a_ready_cvm_back() {
    let booting = states(&[r#"{"status":"running","boot_progress":"booting"}"#]).event("complete", status("running"));
    let wordless = Attempt::stream().event("complete", status("running"));
    let again = || [booting.clone(), wordless.clone(), wordless.clone()];
    scripted(attempts(again())).with(|c| c.ready(true).max_retries(0)).check(
        r#"
        0.000 connect 1, timeout 300
        0.000 state running
        1.000 complete running
        1.000 disconnect
        1.000 retry in 5s: the server completed before the CVM was ready
        6.000 connect 2, timeout 300
        6.000 complete running
        6.000 disconnect
        6.000 retry in 5s: the server completed before the CVM was ready
        11.000 connect 3, timeout 300
        11.000 complete running
        11.000 disconnect
        11.000 resolve boot_progress=booting status=running
        "#,
    );
    // A state resets the count of attempts without one.
    let end = scripted(attempts([booting.clone(), wordless.clone()].into_iter().chain(again())))
        .with(|c| c.ready(true).max_retries(0))
        .end();
    assert_eq!(end, "22.000 resolve boot_progress=booting status=running");
}

#[test]
fn a_target_that_was_there_before_does_not_count_until_another_status_was_seen() {
    let running = status("running");
    let stale = states(&[&running]).event("complete", &running);
    let fresh = states(&[&running, &status("restarting"), &running]).event("complete", &running);
    scripted(attempts([stale, fresh])).with(|c| c.after_change(60 * SECOND).max_retries(0)).check(
        r#"
        0.000 connect 1, timeout 300
        0.000 state running
        1.000 complete running
        1.000 disconnect
        1.000 retry in 5s: the server completed before another status was seen
        6.000 connect 2, timeout 300
        6.000 state running
        7.000 state restarting
        8.000 state running
        9.000 complete running
        9.000 disconnect
        9.000 resolve status=running
        "#,
    );
}

#[test]
fn a_steady_target_counts_after_its_limit_and_is_reported() {
    let running = status("running");
    // However the stream goes on: silent, repeated, or completed repeatedly.
    let silent = states(&[&running]).stall();
    scripted(silent).with(|c| c.after_change(60 * SECOND)).check(
        r#"
        0.000 connect 1, timeout 300
        0.000 state running
        60.000 no other status for 60s, the target counts
        60.000 disconnect
        60.000 resolve status=running
        "#,
    );
    let repeating = (0..9).fold(Attempt::stream(), |a, _| a.event("state", &running).wait(7 * SECOND)).stall();
    let end = scripted(repeating).with(|c| c.after_change(30 * SECOND)).trace();
    assert!(end.contains("30.000 no other status for 30s"), "{end}");
    let again = states(&[&running]).event("complete", &running);
    let trace = scripted(again).with(|c| c.after_change(20 * SECOND).max_retries(0)).trace();
    let last: Vec<_> = trace.lines().skip_while(|line| !line.starts_with("24.")).collect();
    let expected = [
        "24.000 connect 5, timeout 300",
        "24.000 state running",
        "24.000 no other status for 20s, the target counts",
        "25.000 complete running",
        "25.000 disconnect",
        "25.000 resolve status=running",
    ];
    assert_eq!(last, expected, "{trace}");
}

#[test]
fn a_complete_at_the_very_end_of_the_limit_counts() {
    let running = status("running");
    let complete = states(&[&running]).wait(19 * SECOND).event("complete", &running).stall();
    let end = scripted(complete).with(|c| c.after_change(20 * SECOND)).end();
    assert_eq!(end, "20.000 resolve status=running");
    let policy = Policy::builder("running").after_change(20 * SECOND).build().unwrap();
    let mut watch = Watch::new(policy.into(), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    watch.handle(Timestamp::ZERO, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    for (now, said) in [(0, "state"), (20, "complete")] {
        let bytes = format!("id: {now}\nevent: {said}\ndata: {running}\n\n");
        let _ = watch.receive(Timestamp::from_secs(now), attempt, bytes.as_bytes());
        assert!(matches!(watch.poll_action(), Some(Action::Emit { .. } | Action::SteadyTarget { .. })));
        assert_eq!(watch.last_event_id(), now.to_string());
    }
    let rest: Vec<_> = std::iter::from_fn(|| watch.poll_action()).collect();
    assert!(matches!(rest.last(), Some(Action::Resolve(_))), "{rest:?}");
}

#[test]
fn another_status_in_a_complete_is_a_change() {
    let elsewhere = Attempt::stream().event("complete", status("stopped"));
    let running = states(&[&status("running")]).stall();
    let end = scripted(attempts([elsewhere, running])).with(|c| c.after_change(60 * SECOND)).end();
    assert_eq!(end, "7.000 resolve status=running");
}

#[test]
fn after_a_resume_a_watch_reconnects_at_once_without_a_retry() {
    let policy = Policy::builder("running").max_retries(0).build().unwrap();
    let mut watch = Watch::new(policy.into(), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
    for number in 1..=3 {
        let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
        assert_eq!(attempt.number(), number);
        // Hours later: every timer of the attempt has passed, but only because of the system sleep.
        let now = Timestamp::from_secs(7200 * number);
        if number == 2 {
            watch.handle(Timestamp::from_secs(7200), Input::Head { attempt, head: ResponseHead::new(200), wall: None });
        }
        watch.handle(now, Input::Resumed);
        assert_eq!(watch.poll_action(), Some(Action::Disconnect { attempt }));
        let Some(Action::Retrying { delay, cause, .. }) = watch.poll_action() else { panic!("not reported") };
        assert_eq!((delay, cause.to_string().as_str()), (Duration::ZERO, "the machine was suspended"));
        assert_eq!(watch.phase(), Phase::Connecting);
    }
    // A `Connect` that was not polled yet is not from before the suspend.
    watch.handle(Timestamp::from_secs(99_000), Input::Resumed);
    assert!(matches!(watch.poll_action(), Some(Action::Connect { attempt, .. }) if attempt.number() == 4));
}

#[test]
fn after_a_resume_a_watch_at_its_target_resolves() {
    let policy = Policy::builder("running").build().unwrap();
    let mut watch = Watch::new(policy.into(), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    watch.handle(Timestamp::ZERO, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    let _ = watch.receive(Timestamp::ZERO, attempt, b"event: state\ndata: {\"status\":\"running\"}\n\n");
    watch.handle(Timestamp::from_secs(1), Input::Resumed);
    let ends = std::iter::from_fn(|| watch.poll_action()).filter(|action| matches!(action, Action::Resolve(_)));
    assert_eq!(ends.count(), 1);
}

#[test]
fn what_contradicts_the_target_is_refused_when_built() {
    let build = |target: &str| Policy::builder(target);
    for (builder, message) in [
        (
            build("running").fail_early(FailEarly::on(["Running"])),
            r#"fail on "Running" is the target itself, "running"; leave it out"#,
        ),
        (
            build("running").fail_early(FailEarly::on(["error", " "])),
            r#"fail on " " must not hold a blank status; leave it out"#,
        ),
        (
            build("stopped").ready(true),
            r#"target "stopped" is no status to be ready at; readiness goes with the target running only"#,
        ),
        (
            build("running").after_change(Duration::ZERO),
            r#"after change "0s" must be more than zero; leave it out for the default"#,
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
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
