//! When several things are true at once.

use std::time::Duration;

use cvm_watch_core::{Action, AttemptId, CloseCause, Input, Policy, ResponseHead, Timestamp, Watch};
use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;

const SECOND: Duration = Duration::from_secs(1);

fn done() -> Attempt {
    Attempt::stream().complete("running")
}

#[test]
fn the_overall_deadline_is_judged_before_the_bytes_of_that_call() {
    let end = scripted(Attempt::stream().wait(10 * SECOND).complete("running")).with(|c| c.deadline(10 * SECOND)).end();
    assert!(end.starts_with("10.000 fail deadline_exceeded"), "{end}");
}

#[test]
fn the_attempts_deadline_is_judged_before_the_bytes_of_that_call() {
    let script = Script::new().then(Attempt::stream().wait(20 * SECOND).complete("running")).then(done());
    let trace = scripted(script).with(|c| c.timeout(10 * SECOND)).trace();
    assert!(trace.contains("20.000 retry in 5s: the stream outlived its timeout"), "{trace}");
}

#[test]
fn of_two_deadlines_at_one_moment_the_overall_one_is_the_end() {
    let end = scripted(Attempt::stream().stall()).with(|c| c.timeout(10 * SECOND).deadline(20 * SECOND)).end();
    assert!(end.starts_with("20.000 fail deadline_exceeded"), "{end}");
}

#[test]
fn idle_connect_and_grace_are_judged_after_what_is_ready() {
    let idle = Attempt::stream().wait(10 * SECOND).comment("beat").wait(10 * SECOND).complete("running");
    assert_eq!(scripted(idle).with(|c| c.idle_timeout(10 * SECOND)).end(), "20.000 resolve status=running");
    let connect = Attempt::new().wait(30 * SECOND).head(200, &[]).complete("running");
    assert_eq!(scripted(connect).end(), "30.000 resolve status=running");
    let grace = Attempt::stream().state("running").wait(2 * SECOND).state("stopping").close();
    let end = scripted(grace).with(|c| c.max_retries(0)).end();
    assert!(end.starts_with("2.000 fail max_retries_exceeded"), "{end}");
}

#[test]
fn bytes_that_waited_for_a_slow_caller_prove_that_the_server_is_alive() {
    // The driver is busy for a minute. The heartbeats of that time are read first, and no timer fires.
    let stream = Attempt::stream().repeat(": beat\n", SECOND, 70).complete("running");
    let end = scripted(stream).with(|c| c.idle_timeout(2 * SECOND)).busy_after_head(60 * SECOND).end();
    assert_eq!(end, "70.000 resolve status=running");
}

#[test]
fn an_abort_comes_before_everything_else_of_its_moment() {
    let end =
        scripted(Attempt::stream().wait(SECOND).complete("running")).with(|c| c.deadline(SECOND)).abort_at(1000).end();
    assert_eq!(end, "1.000 fail aborted: the watch was aborted");
}

fn connecting() -> (Watch, AttemptId) {
    let policy = Policy::builder("running").retry_delay(SECOND).build().unwrap();
    let mut watch = Watch::new(policy.into(), "my-cvm".parse().unwrap(), 1, Timestamp::from_secs(100));
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    (watch, attempt)
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let (mut watch, attempt) = connecting();
    watch.handle(Timestamp::from_secs(120), Input::Tick);
    watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause: CloseCause::Reset });
    assert!(matches!(watch.poll_action(), Some(Action::Retrying { .. })));
    assert_eq!(watch.next_wake().unwrap().at, Timestamp::from_secs(121));
}

#[test]
fn late_input_of_a_failed_attempt_is_ignored() {
    let (mut watch, first) = connecting();
    let at = Timestamp::from_secs(131);
    watch.handle(at, Input::Tick);
    assert_eq!(watch.poll_action(), Some(Action::Disconnect { attempt: first }));
    while watch.poll_action().is_some() {}
    watch.handle(at + SECOND, Input::Tick);
    let Some(Action::Connect { attempt: second, .. }) = watch.poll_action() else { panic!("no second attempt") };
    let done = b"event: complete\ndata: {\"status\":\"running\"}\n\n";
    watch.handle(at + SECOND, Input::Head { attempt: first, head: ResponseHead::new(404), wall: None });
    assert_eq!(watch.receive(at + SECOND, first, done), done.len());
    watch.handle(at + SECOND, Input::Closed { attempt: first, cause: CloseCause::Ended });
    assert_eq!(watch.poll_action(), None);
    watch.handle(at + SECOND, Input::Head { attempt: second, head: ResponseHead::new(200), wall: None });
    assert_eq!(watch.receive(at + SECOND, second, done), done.len());
    assert!(matches!(watch.poll_action(), Some(Action::Emit { attempt, .. }) if attempt == second));
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let (mut watch, attempt) = connecting();
    let now = Timestamp::from_secs(100);
    watch.handle(now, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    watch.handle(now, Input::Head { attempt, head: ResponseHead::new(404), wall: None });
    watch.handle(now, Input::Closed { attempt, cause: CloseCause::Ended });
    watch.handle(now, Input::Closed { attempt, cause: CloseCause::Reset });
    let actions: Vec<_> = std::iter::from_fn(|| watch.poll_action()).collect();
    assert!(matches!(&actions[..], [Action::Retrying { .. }]), "{actions:?}");
}

#[test]
fn while_an_event_waits_no_bytes_are_taken() {
    let (mut watch, attempt) = connecting();
    let now = Timestamp::from_secs(100);
    watch.handle(now, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    let two = b"data: 1\n\ndata: 2\n\n";
    assert_eq!(watch.receive(now, attempt, two), 9);
    assert_eq!(watch.receive(now, attempt, &two[9..]), 0);
    assert!(watch.poll_action().is_some());
    assert_eq!(watch.receive(now, attempt, &two[9..]), 9);
}
