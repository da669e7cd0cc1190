//! `--output text` without a terminal, and `--output quiet`.

use std::time::{Duration, Instant};

use cvm_watch_sim::{Attempt, Script, Sim};
use serde_json::Value;

use crate::program::{Program, cvm_watch};

fn played(script: impl Into<Script>, flags: &str) -> Program {
    let sim = Box::leak(Box::new(Sim::start().unwrap()));
    sim.script("my-cvm", script);
    cvm_watch(&format!("wait my-cvm {flags}")).base_url(&sim.base_url())
}

/// Stderr without the times, which differ.
fn told(stderr: &str) -> Vec<&str> {
    stderr.lines().map(|line| line.trim_start().split_once(' ').map_or(line, |(_, rest)| rest)).collect()
}

#[test]
fn each_change_is_a_line_on_stderr_and_the_result_is_on_stdout() {
    let script = Script::new()
        .then(Attempt::stream().progress("starting", "booting").progress("starting", "booting").truncate())
        .then(Attempt::stream().progress("starting", "done").state("running").complete("running"));
    let finished = played(script, "--retry-delay 200ms").run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"));
    assert_eq!(
        told(&finished.stderr),
        [
            "my-cvm: connecting",
            "my-cvm: starting, booting",
            "my-cvm: retrying in 0.2s: the response was cut off",
            "my-cvm: connecting (attempt 2)",
            "my-cvm: starting, done (attempt 2)",
            "my-cvm: running (attempt 2)",
        ]
    );
    assert!(!finished.stderr.contains('\x1b'));
}

#[test]
fn quiet_prints_nothing_but_the_error() {
    let good = Attempt::stream().state("running").complete("running");
    for (script, code, error) in [
        (good, 0, ""),
        (Attempt::stream().close(), 3, "error: gave up after 1 attempt: the stream ended\n"),
        (Attempt::json(403, "{}"), 5, "error: the server rejected the watch: HTTP 403\n"),
    ] {
        let run = played(script, "--output quiet --max-retries 0").env("RUST_LOG", "trace");
        let finished = run.run();
        assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(code), "", error));
    }
}

/// Contract row 26.
#[test]
fn nothing_that_the_server_says_acts_on_a_terminal_or_a_ci_runner() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let nasty = "\x1b[2J\r\n::error::x\n##[error]y ##vso[z]\u{9b}31m\u{202e}";
    let event = serde_json::json!({ "status": nasty, "boot_progress": nasty, "boot_error": nasty });
    let answer = serde_json::json!({
        "message": nasty, "error_code": nasty, "request_id": nasty, "suggestions": [nasty], "details": [nasty],
    });
    sim.script("state", Attempt::stream().event("state", &event).event("error", nasty).event(nasty, nasty).close());
    sim.script("complete", Attempt::stream().event("complete", &event).close());
    sim.script("answer", Attempt::json(403, &answer));
    sim.script("busy", Attempt::json(503, &answer));
    sim.script("redirect", Attempt::new().head(302, &[("location", "/\u{9b}##[x]")]).close());
    for id in ["state", "complete", "answer", "busy", "redirect", "hostile-text-1"] {
        for flags in ["", "--output ndjson"] {
            for log in ["", "trace"] {
                let args = format!("wait {id} --max-retries 0 {flags}");
                let finished = cvm_watch(&args).base_url(&sim.base_url()).env("RUST_LOG", log).run();
                for line in finished.stdout.lines().chain(finished.stderr.lines()) {
                    assert!(!line.chars().any(|char| char.is_control() || char == '\u{202e}'), "{args}: {line:?}");
                    assert!(!line.trim_start().starts_with("::") && !line.contains("##"), "{args}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn a_log_is_shown_when_asked_for_and_a_bad_filter_is_no_failure() {
    let good = || Attempt::stream().state("running").complete("running");
    let finished = played(good(), "").env("RUST_LOG", "cvm_watch=debug").run();
    assert!(finished.code == Some(0) && finished.stderr.contains("connecting cvm=my-cvm attempt=1"), "{finished:?}");
    let finished = played(good(), "").env("RUST_LOG", "a=b=c").run();
    assert!(finished.code == Some(0) && finished.stderr.starts_with("warning: RUST_LOG is ignored"), "{finished:?}");
}

/// A server that changes its mind thousands of times a second.
#[test]
fn a_flood_of_changes_is_held_to_a_few_lines_a_second() {
    let sim = Sim::start().unwrap();
    let mut flood = String::new();
    for step in 0..5_000 {
        flood.push_str(&format!(
            "event: state\ndata: {{\"status\":\"starting\",\"boot_progress\":\"step {step}\"}}\n\n"
        ));
    }
    let script = Attempt::stream().bytes(flood).wait(Duration::from_secs(5)).state("running").complete("running");
    for (ids, mode) in [("a", "text"), ("a", "github"), ("a b", "text"), ("a b", "github")] {
        sim.script("a", script.clone());
        sim.script("b", script.clone());
        let started = Instant::now();
        let finished = cvm_watch(&format!("wait {ids} --output {mode}")).base_url(&sim.base_url()).run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let shown = if mode == "text" { &finished.stderr } else { &finished.stdout };
        let lines: Vec<_> = shown.lines().filter(|line| line.contains(" a: ")).collect();
        let most = 12 + 2 * started.elapsed().as_secs_f64().ceil() as usize + 1;
        assert!(lines.len() <= most && lines.len() > 12, "{most}: {lines:#?}");
        // What was held back is printed while the server is silent, and says how much there was.
        let held = lines.iter().position(|line| line.contains("step 4999 (")).unwrap_or_else(|| panic!("{lines:#?}"));
        assert!(lines[held].ends_with(" changes left out)"), "{lines:#?}");
        assert!(lines[held + 1].ends_with(" a: running"), "{lines:#?}");
    }
}

#[test]
fn the_server_ends_a_stream_and_the_program_reconnects_at_once() {
    let sim = Sim::start().unwrap();
    let ended = || Attempt::stream().state("starting").timeout("running", 300.0);
    sim.script("my-cvm", Script::new().then(ended()).then(Attempt::stream().complete("running")));
    let finished = cvm_watch("wait my-cvm").base_url(&sim.base_url()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("reconnecting in "), "{finished:?}");
    assert!(!finished.stderr.contains("retrying"), "{finished:?}");
    sim.script("other", Script::new().then(ended()).then(Attempt::stream().complete("running")));
    let finished = cvm_watch("wait other --output ndjson").base_url(&sim.base_url()).run();
    let line = finished.stdout.lines().find(|line| line.contains(r#""type":"reconnecting""#));
    let line: Value = serde_json::from_str(line.expect("a line of the reconnect")).unwrap();
    assert!(line["delay_ms"].as_u64().unwrap() <= 1000, "{line}");
}

#[test]
fn a_server_that_reports_about_another_cvm_is_doubted_once() {
    let sim = Sim::start().unwrap();
    let state = r#"{"status":"running","id":"00000000-0000-4000-8000-000000000002"}"#;
    let asked = "00000000-0000-4000-8000-000000000001";
    let script = Attempt::stream().event("state", state).event("state", state).complete("running");
    for other in [None, Some("my-cvm")] {
        sim.script_others(script.clone());
        let ids = other.map(|other| format!("{asked} {other}")).unwrap_or_else(|| asked.to_owned());
        let finished = cvm_watch(&format!("wait {ids}")).base_url(&sim.base_url()).run();
        let warning =
            format!("warning: the server reports about the CVM 00000000000040008000000000000002, not {asked}");
        assert_eq!((finished.code, finished.stderr.matches(&warning).count()), (Some(0), 1), "{finished:?}");
    }
}
