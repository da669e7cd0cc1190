//! Several targets, a caller's predicate, CVMs that do not exist yet, stable targets and stalls.

use cvm_watch_core::{FailEarly, Policy};
use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, answer, done};

fn status(status: &str) -> String {
    format!(r#"{{"status":"{status}"}}"#)
}

/// A stream with a state each second, which then stalls.
fn states(statuses: &[&str]) -> Attempt {
    statuses.iter().fold(Attempt::stream(), |attempt, json| attempt.event("state", json).wait(SECOND))
}

/// Contract row 28.
#[test]
fn any_of_several_targets_resolves_and_the_state_says_which() {
    let stopped = status("Stopped");
    scripted(states(&[&status("starting"), &stopped]).stall()).with(|c| c.or_target("stopped")).check(
        r#"
        0.000 connect 1, timeout 300
        0.000 state starting
        1.000 state Stopped
        3.000 disconnect
        3.000 resolve status=Stopped
        "#,
    );
    // The server completes at the target of the request, and a proxy completes at another one.
    for reached in ["running", "stopped"] {
        let end = scripted(Attempt::stream().complete(reached)).with(|c| c.or_target("stopped")).end();
        assert_eq!(end, format!("0.000 resolve status={reached}"));
    }
    let elsewhere = Script::new().then(Attempt::stream().complete("exited")).then(done());
    let end = scripted(elsewhere).with(|c| c.or_target("stopped")).end();
    assert_eq!(end, "5.000 resolve status=running");
}

/// Contract row 28.
#[test]
fn a_target_that_also_fails_early_is_refused_and_the_failure_names_every_target() {
    let policy = |early| Policy::builder("running").or_target("exited").fail_early(early).build();
    let refused = policy(FailEarly::of_a_boot()).unwrap_err().to_string();
    assert_eq!(refused, r#"fail on "exited" is the target itself, "exited"; leave it out"#);
    let error = status("error");
    let end = scripted(states(&[&error, &error]).stall())
        .with(|c| c.or_target("exited").fail_early(FailEarly::on(["error"])))
        .end();
    assert_eq!(end, r#"1.000 fail unreachable: "running,exited" can no longer be reached: the status is "error""#);
    let blank = Policy::builder("running").or_target(" ").build().unwrap_err().to_string();
    assert!(blank.starts_with("target \" \" must not be blank"), "{blank}");
}

/// Contract row 28.
#[test]
fn readiness_is_asked_of_running_only_among_several_targets() {
    let booting = r#"{"status":"running","boot_progress":"booting"}"#;
    let stopped = r#"{"status":"stopped","boot_progress":"booting"}"#;
    let end = scripted(states(&[booting, stopped]).stall()).with(|c| c.or_target("stopped").ready(true)).end();
    assert_eq!(end, "3.000 resolve boot_progress=booting status=stopped");
}

/// Contract row 28.
#[test]
fn a_predicate_decides_instead_of_the_status_and_a_complete_is_checked_again() {
    let with_name = |name: &str| format!(r#"{{"status":"running","name":"{name}"}}"#);
    let is_new = |c: cvm_watch_core::PolicyBuilder| {
        c.max_retries(0).target_when(|state| state.is("running") && state.name.as_deref() == Some("new"))
    };
    let first = states(&[&with_name("old")]).complete("running");
    let second = states(&[&with_name("old"), &with_name("new")]).complete("running");
    scripted(Script::new().then(first).then(second)).with(is_new).check(
        r#"
        0.000 connect 1, timeout 300
        0.000 state running
        1.000 complete running
        1.000 disconnect
        1.000 retry in 5s: the server completed before the CVM was ready
        6.000 connect 2, timeout 300
        6.000 state running
        7.000 state running
        8.000 complete running
        8.000 disconnect
        8.000 resolve name=new status=running
        "#,
    );
}

/// Contract row 29.
#[test]
fn a_missing_cvm_is_waited_for_without_counting_and_rejected_later() {
    let missing = |body: &str| answer(404, &[], body);
    let coded = r#"{"error_code":"ERR-03-001","message":"no such CVM"}"#;
    let wait = |c: cvm_watch_core::PolicyBuilder| c.wait_for_create(12 * SECOND).max_retries(0);
    let created = Script::new().then(missing(coded)).then(missing("")).then(done());
    scripted(created).with(wait).check(
        r#"
        0.000 connect 1, timeout 300
        0.000 retry in 5s: the CVM does not exist yet: no such CVM
        5.000 connect 2, timeout 300
        5.000 retry in 5s: the CVM does not exist yet
        10.000 connect 3, timeout 300
        10.000 complete running
        10.000 disconnect
        10.000 resolve status=running
        "#,
    );
    let rejected = "fail rejected: the server rejected the watch: HTTP 404";
    assert_eq!(scripted(missing("")).with(wait).end(), format!("15.000 {rejected}"));
    let other = r#"{"error_code":"ERR-03-003","message":"another workspace"}"#;
    let end = scripted(missing(other)).with(wait).end();
    assert_eq!(end, format!("0.000 {rejected} (ERR-03-003): another workspace"));
    assert_eq!(scripted(missing("")).end(), format!("0.000 {rejected}"));
    let late = scripted(missing(coded)).with(|c| wait(c).deadline(7 * SECOND)).end();
    let expected =
        "7.000 fail deadline_exceeded: the deadline of 7s passed; no status was seen (HTTP 404): no such CVM";
    assert_eq!(late, expected);
}

/// Contract row 30.
#[test]
fn a_target_counts_once_it_was_stable_over_streams_and_completes() {
    let running = status("running");
    let stable = |c: cvm_watch_core::PolicyBuilder| c.stable_for(20 * SECOND).max_retries(0);
    let seen = || states(&[&running]);
    // One stream that goes on.
    assert_eq!(scripted(seen().stall()).with(stable).end(), "20.000 resolve status=running");
    // A server that completes each time: checked again each interval, which is no retry.
    let trace = scripted(seen().complete("running")).with(stable).trace();
    let again = "1.000 retry in 5s: the server completed before the target was stable";
    assert!(trace.contains(again), "{trace}");
    assert!(
        trace.ends_with(
            "24.000 state running\n25.000 complete running\n25.000 disconnect\n25.000 resolve status=running\n"
        ),
        "{trace}"
    );
    // Another status restarts the time.
    let flickers = states(&[&running, &status("restarting"), &running]).stall();
    assert_eq!(scripted(flickers).with(stable).end(), "22.000 resolve status=running");
    // A stream that breaks does not count as the target, and its time goes on.
    let broken = Script::new().then(seen().reset()).then(states(&[&running]).stall());
    let trace = scripted(broken.clone()).with(|c| c.stable_for(20 * SECOND)).trace();
    assert!(trace.contains("1.000 retry in 5s: the connection was reset"), "{trace}");
    assert!(trace.ends_with("20.000 disconnect\n20.000 resolve status=running\n"), "{trace}");
    // Together with a change that must come first.
    let end = scripted(seen().stall()).with(|c| c.stable_for(20 * SECOND).after_change(60 * SECOND)).end();
    assert_eq!(end, "60.000 resolve status=running");
    let end = scripted(seen().stall()).with(|c| c.stable_for(60 * SECOND).after_change(20 * SECOND)).end();
    assert_eq!(end, "60.000 resolve status=running");
}

/// Contract row 31.
#[test]
fn no_change_for_the_stall_timeout_ends_the_watch_while_the_server_reports() {
    let at = |step: &str| format!(r#"{{"status":"starting","boot_progress":"{step}"}}"#);
    let stall = |c: cvm_watch_core::PolicyBuilder| c.stall_timeout(3 * SECOND);
    let (a, b) = (at("booting"), at("pre-launch"));
    let stuck = states(&[&a, &a, &b, &b, &b, &b, &b]).stall();
    scripted(stuck).with(stall).check(
        r#"
        0.000 connect 1, timeout 300
        0.000 state starting
        1.000 state starting
        2.000 state starting
        3.000 state starting
        4.000 state starting
        5.000 state starting
        5.000 disconnect
        5.000 fail stalled: no progress for 3s: the status is still "starting", "pre-launch"
        "#,
    );
    // A server that is silent proves nothing, nor does a failed attempt; the next report does.
    let silent = Script::new().then(states(&[&a]).wait(20 * SECOND).reset()).then(states(&[&a]).stall());
    let end = scripted(silent).with(stall).end();
    assert_eq!(end, r#"26.000 fail stalled: no progress for 3s: the status is still "starting", "booting""#);
    // At the target nothing is stalled.
    let running = status("running");
    let steady = states(&[&running, &running, &running, &running, &running]).stall();
    let end = scripted(steady).with(|c| stall(c).stable_for(10 * SECOND)).end();
    assert_eq!(end, "10.000 resolve status=running");
}
