//! When a wait gives up early, and what counts as the target: `--fail-on`, `--no-fail-early`,
//! `--ready`, `--after-change`, several targets, `--stable-for`, `--wait-for-create`, `--stall-timeout`.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Script, Sim};
use serde_json::{Value, json};

use crate::program::{Finished, cvm_watch};

fn played(script: impl Into<Script>, flags: &str) -> Finished {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", script);
    cvm_watch(&format!("wait my-cvm --retry-delay 0 {flags}")).base_url(&sim.base_url()).run()
}

/// The lines of this type, without what all lines have.
fn of_type(finished: &Finished, kind: &str) -> Vec<Value> {
    let lines = finished.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut lines: Vec<_> = lines.filter(|line| line["type"] == kind).collect();
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        line.retain(|name, _| !["version", "type", "cvm", "attempt", "elapsed_ms"].contains(&name.as_str()));
    }
    lines
}

/// A boot that fails, and recovers after all.
fn failing() -> Attempt {
    let failed = json!({ "status": "starting", "boot_progress": "pre-launch", "boot_error": "no\nkeys" });
    let failed = |stream: Attempt| stream.event("state", &failed);
    failed(failed(Attempt::stream().state("starting"))).state("running").complete("running")
}

#[test]
fn a_failed_boot_is_exit_code_4_with_its_reason_and_what_to_do() {
    let message = r#""running" can no longer be reached: the status is "starting"; boot error: no\nkeys"#;
    let hint = "fix what the boot error names; if the CVM recovers by itself, use --no-fail-early";
    let finished = played(failing(), "");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(4), ""));
    assert!(finished.stderr.ends_with(&format!("hint: {hint}\nerror: {message}\n")), "{finished:?}");
    let finished = played(failing(), "--output ndjson");
    let error = json!({ "kind": "unreachable", "message": message, "hint": hint, "last_status": "starting",
                        "boot_error": "no\nkeys" });
    assert_eq!(of_type(&finished, "result"), [json!({ "outcome": "failed", "error": error })]);
    let finished = played(failing(), "--output github");
    let last = finished.stdout.lines().last().unwrap();
    assert_eq!(last, format!("::error title=cvm-watch%3A my-cvm::{message}%0Ahint: {hint}"));
    let finished = played(failing(), "--output quiet");
    assert_eq!(
        (finished.code, finished.stdout, finished.stderr),
        (Some(4), String::new(), format!("error: {message}\n"))
    );
}

#[test]
fn each_status_that_ends_a_boot_does_and_others_and_a_flicker_do_not() {
    let twice = |status| Attempt::stream().state(status).state(status).state("running").complete("running");
    for status in ["error", "Exited", "removing", "deleting", "Deleted"] {
        let finished = played(twice(status), "");
        assert_eq!(finished.code, Some(4), "{finished:?}");
        assert!(
            finished.stderr.contains("hint: look for the reason in the CVM's logs; if the CVM recovers"),
            "{finished:?}"
        );
        assert_eq!(played(twice(status), "--no-fail-early").code, Some(0), "{status}");
        assert_eq!(played(twice(status), "--fail-on stopped").code, Some(0), "{status}");
    }
    assert_eq!(played(twice("stopped"), "").code, Some(0));
    assert_eq!(played(twice("stopped"), "--fail-on paused,STOPPED").code, Some(4));
    let flicker = Attempt::stream().state("error").state("starting").state("error").state("running");
    assert_eq!(played(flicker.complete("running"), "").code, Some(0));
}

#[test]
fn the_statuses_are_named_instead_and_boot_errors_still_count() {
    assert_eq!(played(failing(), "--fail-on exited").code, Some(4));
    assert_eq!(played(failing(), "--no-fail-early").code, Some(0));
}

#[test]
fn another_target_is_waited_for_despite_failures_unless_they_are_named() {
    let script = Attempt::stream().state("error").state("error").state("stopped").complete("stopped");
    assert_eq!(played(script.clone(), "--target stopped").code, Some(0));
    assert_eq!(played(script, "--target stopped --fail-on error").code, Some(4));
}

#[test]
fn readiness_waits_for_the_end_of_the_boot_and_looks_again_without_a_retry() {
    let running = |step| Attempt::stream().progress("running", step);
    let script = Script::new()
        .then(running("starting containers").complete("running"))
        .then(running("done").complete("running"));
    let finished = played(script.clone(), "--ready --max-retries 0");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"), "{finished:?}");
    let again = "my-cvm: looking again in 5s: the server completed before the CVM was ready\n";
    assert!(finished.stderr.contains(again), "{finished:?}");
    assert!(!finished.stderr.contains("retrying") && !finished.stderr.contains("attempt"), "{finished:?}");
    let finished = played(script.clone(), "--ready --output ndjson");
    let cause = "the server completed before the CVM was ready";
    assert_eq!(of_type(&finished, "looking_again"), [json!({ "delay_ms": 5000, "cause": cause })]);
    assert_eq!(of_type(&finished, "retrying"), [json!(null); 0]);
    // Without it the first stream is enough.
    assert!(!played(script, "").stderr.contains("looking again"));
}

#[test]
fn after_a_change_the_target_counts_only_when_another_status_was_seen() {
    let before = Attempt::stream().state("running").complete("running");
    let after = Attempt::stream().state("restarting").state("running").complete("running");
    let script = Script::new().then(before).then(after);
    let finished = played(script.clone(), "--after-change --max-retries 0");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"), "{finished:?}");
    let told: Vec<_> = finished.stderr.lines().filter_map(|line| line.split_once("my-cvm: ")).collect();
    let told: Vec<_> = told.into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        told,
        [
            "connecting",
            "running",
            "looking again in 5s: the server completed before another status was seen",
            "restarting",
            "running",
        ]
    );
    assert!(!played(script, "").stderr.contains("restarting"));
}

#[test]
fn a_target_that_was_steady_counts_and_each_output_says_so() {
    let steady = || Attempt::stream().state("running").complete("running");
    let finished = played(steady(), "--after-change=2s");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"), "{finished:?}");
    assert!(
        finished.stderr.contains("my-cvm: running, steady for 2s, which counts without a change\n"),
        "{finished:?}"
    );
    let finished = played(steady(), "--after-change=2s --output ndjson");
    assert_eq!(of_type(&finished, "steady"), [json!({ "after_ms": 2000 })]);
    let finished = played(steady(), "--after-change=2s --output github");
    let last = finished.stdout.lines().last().unwrap();
    assert!(last.starts_with("::notice title=cvm-watch%3A my-cvm::my-cvm is running after "), "{last}");
    assert!(last.ends_with("s, steady for 2s, which counts without a change"), "{last}");
}

#[test]
fn any_of_several_targets_is_enough_and_the_result_says_which() {
    let stopped = || Attempt::stream().state("stopping").state("stopped").close();
    let finished = played(stopped(), "--target running,stopped");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm stopped\n"), "{finished:?}");
    // A status that fails early by itself does not if it is a target.
    let exited = Attempt::stream().state("exited").state("exited").close();
    let finished = played(exited, "--target running,exited");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm exited\n"), "{finished:?}");
    let failing = Attempt::stream().state("error").state("error").stall();
    let finished = played(failing, "--target running,stopped");
    assert_eq!(finished.code, Some(4), "{finished:?}");
    let expected = r#""running,stopped" can no longer be reached: the status is "error""#;
    assert!(finished.last_words().contains(expected), "{finished:?}");
    // Each is checked for slips of the pen.
    let finished = played(stopped(), "--target runing,stopped");
    assert_eq!(finished.stderr.matches("is not a known status; did you mean \"running\"?").count(), 1, "{finished:?}");
}

#[test]
fn a_cvm_that_does_not_exist_yet_is_waited_for() {
    let missing = Attempt::new().head(404, &[]).bytes(r#"{"error_code":"ERR-03-001","message":"no such CVM"}"#).close();
    let created = Script::new().then(missing.clone()).then(Attempt::stream().complete("running"));
    let finished = played(created, "--wait-for-create --max-retries 0");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"), "{finished:?}");
    let look = "looking again at once: the CVM does not exist yet: no such CVM\n";
    assert!(finished.stderr.contains(look), "{finished:?}");
    let finished = played(missing, "--wait-for-create=100ms");
    assert_eq!(finished.code, Some(5), "{finished:?}");
}

#[test]
fn a_target_must_be_stable_and_a_stalled_boot_ends_the_wait() {
    let flickers = Attempt::stream().state("running").wait(Duration::from_secs(1));
    let flickers = flickers.state("restarting").wait(Duration::from_secs(1)).state("running").stall();
    let finished = played(flickers, "--stable-for 3s");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"), "{finished:?}");
    assert!(finished.stderr.contains("restarting"), "{finished:?}");
    let stuck =
        Attempt::stream().repeat("event: state\ndata: {\"status\":\"starting\"}\n\n", Duration::from_secs(1), 60);
    let finished = played(stuck, "--stall-timeout 3s");
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(finished.last_words().contains("no progress for 3s: the status is still \"starting\""), "{finished:?}");
}

#[test]
fn auto_polls_where_streams_bring_nothing_and_says_so() {
    let json = |status: &str| {
        let head = Attempt::new().head(200, &[("content-type", "application/json")]);
        head.bytes(json!({ "status": status }).to_string()).close()
    };
    let silent = || Attempt::stream().close();
    let script = || Script::new().then(silent()).then(silent()).then(silent()).then(json("running"));
    let finished = played(script(), "");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"), "{finished:?}");
    assert!(finished.stderr.contains("polling since streams bring nothing"), "{finished:?}");
    let finished = played(script(), "--output ndjson");
    assert_eq!(of_type(&finished, "polling"), [json!({})]);
    // Only auto switches, and poll needs no stream.
    let finished = played(script(), "--mode stream --max-retries 3");
    assert_eq!(finished.code, Some(5), "{finished:?}");
    let finished = played(json("Running"), "--mode poll");
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm Running\n"), "{finished:?}");
    // An answer that is no state ends with one sentence.
    let odd = Attempt::new().head(200, &[("content-type", "application/json")]).bytes("{").close();
    let finished = played(odd, "--mode poll --max-retries 0");
    let expected = "the server's answer is not the state of a CVM: the data is not JSON";
    assert!(finished.code == Some(3) && finished.last_words().contains(expected), "{finished:?}");
}
