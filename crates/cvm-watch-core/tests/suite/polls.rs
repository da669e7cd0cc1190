//! Immediate mode, polling, and the switch from streams to polls.

use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{
    Action, CloseCause, FailEarly, Fleet, Input, Mode, Policy, PolicyBuilder, ResponseHead, Timestamp, Until,
};
use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, answer, done};

const JSON: &[(&str, &str)] = &[("content-type", "application/json; charset=utf-8")];

fn state(status: &str) -> Attempt {
    answer(200, JSON, &format!(r#"{{"status":"{status}"}}"#))
}

fn poll(policy: PolicyBuilder) -> PolicyBuilder {
    policy.mode(Mode::Poll)
}

/// Contract row 32.
#[test]
fn a_single_check_resolves_with_any_state_of_the_server() {
    scripted(answer(200, JSON, r#"{"status":"stopped","name":"n"}"#)).with(PolicyBuilder::single_check).check(
        r#"
        0.000 poll 1
        0.000 state stopped
        0.000 resolve name=n status=stopped
        "#,
    );
    // Options that wait for something have no effect, even if they were set before.
    let waiting = |c: PolicyBuilder| {
        let early = FailEarly::on(["exited"]);
        c.ready(true).after_change(SECOND).stable_for(SECOND).fail_early(early).single_check()
    };
    assert_eq!(scripted(state("exited")).with(waiting).end(), "0.000 resolve status=exited");
}

/// Contract row 32.
#[test]
fn the_answer_to_a_single_check_is_judged_by_the_rules_of_any_answer() {
    let end = |attempt: Attempt| scripted(attempt).with(PolicyBuilder::single_check).end();
    let rejected = "0.000 fail rejected: the server rejected the watch: HTTP";
    let gave_up = "fail max_retries_exceeded: gave up after 1 attempt:";
    for (attempt, expected) in [
        (answer(404, &[], r#"{"detail":"no such CVM"}"#), format!("{rejected} 404: no such CVM")),
        (answer(503, &[], "busy"), format!("0.000 {gave_up} HTTP 503: busy")),
        (
            Attempt::stream().state("running").stall(),
            format!("{rejected} 200 with content type \"text/event-stream\", not application/json; check the base URL"),
        ),
        (
            answer(200, &[("content-type", "text/html")], "<html>"),
            format!("{rejected} 200 with content type \"text/html\", not application/json; check the base URL"),
        ),
        (
            answer(200, JSON, "{"),
            format!("0.000 {gave_up} the server's answer is not the state of a CVM: the data is not JSON"),
        ),
        (
            answer(200, JSON, "[]"),
            format!("0.000 {gave_up} the server's answer is not the state of a CVM: the data is not a JSON object"),
        ),
        (
            answer(200, JSON, "{}"),
            format!(
                "0.000 {gave_up} the server's answer is not the state of a CVM: the status is missing or not a string"
            ),
        ),
        (
            Attempt::new().head(200, JSON).flood("x", 5 << 20),
            format!(
                "0.000 {gave_up} the server's answer is not the state of a CVM: the event is larger than 4194304 bytes"
            ),
        ),
        (Attempt::new().head(200, JSON).bytes("{").truncate(), format!("0.000 {gave_up} {}", CloseCause::Truncated)),
        (
            Attempt::new().head(200, JSON).bytes("{").stall(),
            format!("40.000 {gave_up} the server's answer was not complete in time"),
        ),
    ] {
        assert_eq!(end(attempt), expected);
    }
    let with_mark = answer(200, JSON, "\u{feff}{\"status\":\"running\"}");
    assert_eq!(end(with_mark), "0.000 resolve status=running");
}

/// Contract row 33.
#[test]
fn a_poll_repeats_each_interval_and_judges_each_answer_like_a_state() {
    let script = Script::new().then(state("starting")).then(answer(503, &[], "busy")).then(state("Running"));
    scripted(script).with(|c| poll(c).interval(7 * SECOND).max_retries(1)).check(
        r#"
        0.000 poll 1
        0.000 state starting
        7.000 poll 2
        7.000 retry in 5s: HTTP 503: busy
        12.000 poll 3
        12.000 state Running
        12.000 resolve status=Running
        "#,
    );
    let error = Script::new().then(state("error")).then(state("error"));
    let end = scripted(error).with(|c| poll(c).fail_early(FailEarly::of_a_boot())).end();
    assert_eq!(end, r#"5.000 fail unreachable: "running" can no longer be reached: the status is "error""#);
    let end = scripted(state("starting")).with(|c| poll(c).stall_timeout(12 * SECOND)).end();
    assert_eq!(end, r#"15.000 fail stalled: no progress for 12s: the status is still "starting""#);
    let end = scripted(state("running")).with(|c| poll(c).stable_for(12 * SECOND)).end();
    assert_eq!(end, "15.000 resolve status=running");
    let end = scripted(state("starting")).with(|c| poll(c).deadline(12 * SECOND)).end();
    assert!(end.starts_with("12.000 fail deadline_exceeded"), "{end}");
}

/// Contract row 33.
#[test]
fn auto_polls_after_three_streams_in_a_row_without_an_event() {
    let silent = || Attempt::stream().wait(60 * SECOND).reset();
    let auto = |c: PolicyBuilder| c.mode(Mode::Auto);
    let script = Script::new().then(silent()).then(silent()).then(silent()).then(state("running"));
    let trace = scripted(script).with(auto).trace();
    let expected = "190.000 retry in 5s: the connection was reset\n190.000 polls from now on\n195.000 poll 4\n\
                    195.000 state running\n195.000 resolve status=running\n";
    assert!(trace.ends_with(expected), "{trace}");
    // Any event in between, or an attempt without a stream, starts the count again.
    for between in [Attempt::stream().event("news", "x").reset(), answer(503, &[], "")] {
        let script =
            Script::new().then(silent()).then(silent()).then(between).then(silent()).then(silent()).then(done());
        let trace = scripted(script).with(auto).trace();
        assert!(!trace.contains("poll") && trace.ends_with("resolve status=running\n"), "{trace}");
    }
    // Only auto switches.
    let script = (0..5).map(|_| silent()).chain([done()]).collect::<Script>();
    assert!(!scripted(script).trace().contains("poll"));
    // An idle limit ends a stream that a proxy holds back.
    let held_back = || Attempt::stream().stall();
    let script = Script::new().then(held_back()).then(held_back()).then(held_back()).then(state("running"));
    assert_eq!(scripted(script).with(|c| auto(c).idle_timeout(20 * SECOND)).end(), "75.000 resolve status=running");
}

/// Contract row 33.
#[test]
fn a_poll_holds_a_slot_of_a_fleet_only_while_it_lasts() {
    let mut fleet = Fleet::new(1, Until::All).unwrap();
    let policy = Arc::new(Policy::builder("running").mode(Mode::Poll).build().unwrap());
    for (seed, id) in [(1, "a"), (2, "b")] {
        fleet.add(Arc::clone(&policy), id.parse().unwrap(), seed, Timestamp::ZERO);
    }
    let mut polled = Vec::new();
    for step in 0..4_u32 {
        let now = Timestamp::ZERO + Duration::from_secs(10) * (step / 2);
        fleet.tick(now);
        let (member, attempt) = loop {
            match fleet.poll_action() {
                Some((member, Action::Connect { attempt, .. })) => break (member, attempt),
                Some(_) => {}
                None => panic!("no connection is open in step {step}"),
            }
        };
        assert_eq!(fleet.open_connections(), 1);
        polled.push(member.number());
        let mut head = ResponseHead::new(200);
        head.header("content-type", b"application/json");
        fleet.handle(now, member, Input::Head { attempt, head, wall: None });
        let body = br#"{"status":"starting"}"#;
        assert_eq!(fleet.receive(now, member, attempt, body), body.len());
        fleet.handle(now, member, Input::Closed { attempt, cause: CloseCause::Ended });
    }
    polled[2..].sort_unstable();
    assert_eq!(polled, [0, 1, 0, 1]);
}
