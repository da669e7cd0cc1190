//! The inputs for schedulers of many watches: a permit before each connection, and yielding it.

use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, Input, Phase, Policy, PolicyBuilder, ResponseHead, Timestamp, Watch,
};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn asking(change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Watch {
    let policy = change(Policy::builder("running").retry_delay(SECOND)).build().unwrap();
    let mut watch = Watch::with_permits(policy.into(), "my-cvm".parse().unwrap(), 1, at(0));
    assert_eq!(drain(&mut watch), ["ask"]);
    watch
}

fn drain(watch: &mut Watch) -> Vec<String> {
    let shown = |action| match action {
        Action::AskPermit => "ask".to_owned(),
        Action::Connect { attempt, .. } => format!("connect {attempt}"),
        Action::Disconnect { attempt } => format!("disconnect {attempt}"),
        Action::Retrying { .. } => "retry".to_owned(),
        Action::Emit { .. } => "emit".to_owned(),
        Action::Resolve(state) => format!("resolve {}", state.status),
        Action::Fail(failure) => failure.kind().to_owned(),
        other => format!("{other:?}"),
    };
    std::iter::from_fn(|| watch.poll_action()).map(shown).collect()
}

fn permit(watch: &mut Watch, now: Timestamp) -> AttemptId {
    watch.handle(now, Input::Permit);
    match watch.poll_action() {
        Some(Action::Connect { attempt, .. }) => attempt,
        other => panic!("no connection: {other:?}"),
    }
}

#[test]
fn nothing_is_connected_before_a_permit_and_a_second_permit_does_nothing() {
    let mut watch = asking(|c| c);
    assert_eq!((watch.phase(), watch.next_wake()), (Phase::Queued, None));
    watch.handle(at(3600), Input::Tick);
    assert_eq!(drain(&mut watch), Vec::<String>::new());
    permit(&mut watch, at(3600));
    watch.handle(at(3600), Input::Permit);
    assert_eq!(drain(&mut watch), Vec::<String>::new());
}

#[test]
fn each_retry_asks_again() {
    let mut watch = asking(|c| c);
    let attempt = permit(&mut watch, at(0));
    watch.handle(at(0), Input::Closed { attempt, cause: CloseCause::Reset });
    assert_eq!(drain(&mut watch), ["retry"]);
    watch.handle(at(1), Input::Tick);
    assert_eq!(drain(&mut watch), ["ask"]);
    assert_eq!(permit(&mut watch, at(9)).number(), 2);
}

#[test]
fn a_stream_that_yields_is_no_retry() {
    let mut watch = asking(|c| c.max_retries(0));
    for round in 1..=5 {
        let attempt = permit(&mut watch, at(round));
        watch.handle(at(round), Input::Head { attempt, head: ResponseHead::new(200), wall: None });
        watch.handle(at(round), Input::Yield { attempt });
        assert_eq!(drain(&mut watch), [format!("disconnect {round}"), "ask".to_owned()]);
    }
}

#[test]
fn a_connection_without_a_head_fails_when_it_must_yield() {
    let mut watch = asking(|c| c);
    let attempt = permit(&mut watch, at(0));
    watch.handle(at(0), Input::Yield { attempt });
    assert_eq!(drain(&mut watch), ["disconnect 1", "retry"]);
    // Without a delay the next attempt is due at once.
    let mut watch = asking(|c| c.retry_delay(Duration::ZERO));
    let attempt = permit(&mut watch, at(0));
    watch.handle(at(0), Input::Yield { attempt });
    assert_eq!(drain(&mut watch), ["disconnect 1", "retry", "ask"]);
}

#[test]
fn an_error_answer_is_judged_by_what_has_come_when_it_must_yield() {
    let mut watch = asking(|c| c);
    let attempt = permit(&mut watch, at(0));
    watch.handle(at(0), Input::Head { attempt, head: ResponseHead::new(404), wall: None });
    watch.handle(at(0), Input::Yield { attempt });
    assert_eq!(drain(&mut watch), ["disconnect 1", "rejected"]);
}

#[test]
fn a_stream_that_yields_at_the_target_resolves() {
    let mut watch = asking(|c| c);
    let attempt = permit(&mut watch, at(0));
    watch.handle(at(0), Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    let _ = watch.receive(at(0), attempt, b"event: state\ndata: {\"status\":\"running\"}\n\n");
    assert_eq!(drain(&mut watch), ["emit"]);
    watch.handle(at(0), Input::Yield { attempt });
    assert_eq!(drain(&mut watch), ["disconnect 1", "resolve running"]);
}

#[test]
fn a_lone_watch_whose_stream_yields_opens_a_new_one() {
    let policy = Policy::builder("running").max_retries(0).build().unwrap();
    let mut watch = Watch::new(policy.into(), "my-cvm".parse().unwrap(), 1, at(0));
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    watch.handle(at(0), Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    watch.handle(at(1), Input::Yield { attempt });
    assert_eq!(drain(&mut watch), ["disconnect 1", "connect 2"]);
}

#[test]
fn deadline_and_abort_take_effect_while_waiting_for_a_permit() {
    let mut watch = asking(|c| c.deadline(5 * SECOND));
    assert_eq!(watch.next_wake().unwrap().at, at(5));
    watch.handle(at(5), Input::Tick);
    assert_eq!(drain(&mut watch), ["deadline_exceeded"]);

    let mut watch = asking(|c| c);
    watch.handle(at(1), Input::Abort);
    assert_eq!(drain(&mut watch), ["aborted"]);

    let policy = Policy::builder("running").build().unwrap();
    let mut watch = Watch::with_permits(policy.into(), "my-cvm".parse().unwrap(), 1, at(0));
    watch.handle(at(1), Input::Abort);
    assert_eq!(drain(&mut watch), ["aborted"], "a permit that was not requested yet is not needed");
}
