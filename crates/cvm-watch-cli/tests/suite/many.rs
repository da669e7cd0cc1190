//! Many CVMs in one run: exit codes, streams, every output, signals.

use std::time::{Duration, Instant};

use cvm_watch_sim::{Attempt, Sim};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{Finished, Program, cvm_watch};
use crate::scratch::Scratch;

const SOON: Duration = Duration::from_secs(5);

/// CVMs that end in each way, as their ids say.
fn sim() -> Sim {
    let sim = Sim::start().unwrap();
    sim.script("good", Attempt::stream().progress("starting", "booting").state("running").complete("running"));
    sim.script("fine", Attempt::stream().state("Running").complete("Running"));
    sim.script("exited", Attempt::stream().state("starting").state("exited").state("exited").stall());
    sim.script("lost", Attempt::stream().state("starting").close());
    sim.script("stuck", Attempt::stream().progress("starting", "pre-launch").stall());
    sim
}

fn wait(sim: &Sim, args: &str) -> Program {
    cvm_watch(&format!("wait --retry-delay 0 --max-retries 1 {args}")).base_url(&sim.base_url())
}

/// A table's rows, split at runs of spaces; the times differ from run to run.
fn rows(stdout: &str) -> Vec<Vec<String>> {
    let is_time = |cell: &str| cell.strip_suffix('s').is_some_and(|number| number.parse::<u32>().is_ok());
    let cell = |cell: &str| if is_time(cell.trim()) { "T".to_owned() } else { cell.trim().to_owned() };
    let row = |line: &str| line.split("  ").filter(|part| !part.is_empty()).map(cell).collect();
    stdout.lines().map(row).collect()
}

fn lines(finished: &Finished) -> Vec<Value> {
    finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn all_that_got_there_are_exit_code_0_and_a_table() {
    let sim = sim();
    let finished = wait(&sim, "good fine").run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let expected = [
        &["CVM", "OUTCOME", "STATUS", "TIME", "DETAIL"][..],
        &["good", "resolved", "running", "T"],
        &["fine", "resolved", "Running", "T"],
    ];
    assert_eq!(rows(&finished.stdout), expected);
    let first = finished.stdout.lines().next().unwrap();
    let column = first.find("STATUS").unwrap();
    assert!(finished.stdout.lines().skip(1).all(|line| line[column..].to_lowercase().starts_with("running")));
    for line in ["good: connecting", "good: starting, booting", "good: running", "good: reached running"] {
        assert_eq!(finished.stderr.matches(&format!("{line}\n")).count(), 1, "{line}: {finished:?}");
    }
    assert!(!finished.stderr.contains("error: "), "{finished:?}");
}

#[test]
fn the_worst_end_is_the_exit_code_and_the_last_line_counts() {
    let sim = sim();
    for (ids, code, words) in [
        ("good lost", 3, "1 of 2 CVMs did not get to running"),
        ("lost exited good", 4, "2 of 3 CVMs did not get to running"),
        ("http-404-1 lost good exited", 5, "3 of 4 CVMs did not get to running"),
    ] {
        let finished = wait(&sim, ids).run();
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert_eq!(finished.last_words(), format!("error: {words}"));
    }
    let finished = wait(&sim, "http-404-1 lost exited").run();
    let expected = [
        &["CVM", "OUTCOME", "STATUS", "TIME", "DETAIL"][..],
        &["http-404-1", "rejected", "-", "T", "the server rejected the watch: HTTP 404 (ERR-03-001): CVM not found"],
        &["lost", "max_retries_exceeded", "starting", "T", "gave up after 2 attempts: the stream ended"],
        &["exited", "unreachable", "exited", "T", "\"running\" can no longer be reached: the status is \"exited\""],
    ];
    assert_eq!(rows(&finished.stdout), expected);
    assert_eq!(finished.stderr.matches("hint: ").count(), 3, "{finished:?}");
    let failed = "lost: failed: gave up after 2 attempts: the stream ended (attempt 2)\n";
    assert!(finished.stderr.contains(failed), "{finished:?}");
}

#[test]
fn what_the_server_says_of_each_that_failed_comes_before_the_last_line() {
    let sim = sim();
    let refusal = json!({
        "message": "no", "request_id": "req-1\x1b", "details": ["why"], "suggestions": ["Check the id"],
        "links": [{ "url": "https://x.example/help", "label": "Help" }],
    });
    let refused: Vec<_> = (1..=12).map(|n| format!("refused-{n}")).collect();
    refused.iter().for_each(|id| sim.script(id, Attempt::json(403, &refusal)));
    for mode in ["text", "github"] {
        let finished = wait(&sim, &format!("refused-1 good refused-2 lost --output {mode}")).run();
        let at = finished.stderr.find("refused-1: detail: ").unwrap_or_else(|| panic!("{finished:?}"));
        let lines: Vec<_> = finished.stderr[at..].lines().collect();
        for (id, lines) in [("refused-1", &lines[..4]), ("refused-2", &lines[4..8])] {
            assert_eq!(lines[0], format!("{id}: detail: why"), "{mode}");
            assert_eq!(lines[1], format!("{id}: suggestion: Check the id"));
            assert!(lines[2].starts_with(&format!("{id}: see: ")) && lines[2].contains("https://x.example/help"));
            assert_eq!(lines[3], format!(r"{id}: request id: req-1\x1b"));
        }
        assert!(lines[8].starts_with("hint: ") && lines[9].starts_with("hint: "), "{lines:?}");
        assert_eq!(lines[10..], ["error: 3 of 4 CVMs did not get to running"]);
        // One that got there was enough: the others are no trouble.
        let finished = wait(&sim, &format!("refused-1 good --any --output {mode}")).run();
        assert_eq!((finished.code, finished.stderr.matches("suggestion: ").count()), (Some(0), 0), "{finished:?}");
    }
    let finished = wait(&sim, &refused.join(" ")).run();
    let more = "the server says more about 2 other CVMs; --output ndjson has all of it\n";
    assert_eq!(finished.stderr.matches("suggestion: ").count(), 10, "{finished:?}");
    assert!(finished.stderr.contains(more) && !finished.stderr.contains("refused-11: detail"), "{finished:?}");
}

#[test]
fn any_is_done_with_the_first_and_leaves_the_others() {
    let sim = sim();
    let started = Instant::now();
    let finished = wait(&sim, "stuck lost good --any").run();
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let stuck = &rows(&finished.stdout)[1];
    assert_eq!(stuck[..3], ["stuck", "cancelled", "starting"]);
    assert!(stuck[4].starts_with("another CVM got there first; the last status was \"starting\""), "{stuck:?}");
    sim.log().wait_until_idle(SOON).unwrap();
    let finished = wait(&sim, "exited lost --any").run();
    assert_eq!((finished.code, finished.last_words()), (Some(4), "error: none of 2 CVMs got to running"));
}

#[test]
fn one_deadline_is_for_all_cvms_waits_for_a_slot_included() {
    let sim = sim();
    let started = Instant::now();
    let finished = wait(&sim, "stuck stall-2 stall-3 --deadline 3s --max-streams 1").run();
    assert!(started.elapsed() < 3 * SOON, "{:?}", started.elapsed());
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert_eq!(rows(&finished.stdout).iter().filter(|row| row[1] == "deadline_exceeded").count(), 3);
}

#[test]
fn a_hundred_boot_over_no_more_streams_than_allowed() {
    let ids: Vec<_> = (0..100).map(|n| format!("boot-{n}")).collect();
    // The server hears of the end of one stream after the next one may have begun, so it may see a
    // few more than there are. The first is as strict as the endpoint; the second lets all in.
    for (flags, limit, most) in [("", 5, 5), ("--max-streams 2", 0, 10)] {
        let sim = Sim::builder().speed(50.0).stream_limit(limit).start().unwrap();
        let list = Scratch::new(&format!("hundred-{most}"), ids.join("\n").as_bytes());
        let started = Instant::now();
        let finished = wait(&sim, &format!("--output ndjson --ids-from {} {flags}", list.path())).run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
        let peak = sim.peak_streams();
        assert!((1..=most).contains(&peak), "{peak} streams");
        let lines = lines(&finished);
        assert_eq!(lines.iter().filter(|line| line["type"] == "result").count(), 100);
        assert_eq!(lines.last().unwrap()["counts"], json!({ "resolved": 100 }));
        assert_eq!(lines.iter().filter(|line| line["type"] == "retrying").count(), 0);
    }
}

#[test]
fn ndjson_has_a_result_for_each_cvm_and_a_summary_at_the_end() {
    let sim = sim();
    let finished = wait(&sim, "good http-404-1 lost --output ndjson").run();
    assert_eq!(finished.code, Some(5));
    assert_eq!(finished.stderr, "error: 2 of 3 CVMs did not get to running\n");
    let mut lines = lines(&finished);
    let mut summary = lines.pop().unwrap();
    assert!(summary.as_object_mut().unwrap().remove("elapsed_ms").unwrap().is_u64());
    let expected = json!({
        "version": 1, "type": "summary", "cvm": "", "attempt": 0, "outcome": "failed", "exit_code": 5,
        "counts": { "resolved": 1, "rejected": 1, "max_retries_exceeded": 1 }, "failed": ["http-404-1", "lost"],
    });
    assert_eq!(summary, expected);
    for (id, attempt, outcome) in [("good", 1, "resolved"), ("http-404-1", 1, "failed"), ("lost", 2, "failed")] {
        let of: Vec<_> = lines.iter().filter(|line| line["cvm"] == id).collect();
        assert_eq!(of[0]["type"], "connecting");
        let last = of.last().unwrap();
        assert_eq!((&last["type"], &last["outcome"]), (&"result".into(), &outcome.into()), "{id}");
        assert_eq!(last["attempt"], attempt, "{id}");
    }
    assert!(lines.iter().all(|line| line["cvm"].as_str().is_some_and(|cvm| !cvm.is_empty())));
    let finished = wait(&sim, "good stuck --any --output ndjson").run();
    let summary: Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
    let expected = (&json!("resolved"), &json!(0), &json!([]));
    assert_eq!((&summary["outcome"], &summary["exit_code"], &summary["failed"]), expected);
}

#[test]
fn a_workflow_step_has_a_group_an_error_for_each_failure_a_notice_and_outputs() {
    let sim = sim();
    let (outputs, summary) = (Scratch::new("many-output", b""), Scratch::new("many-summary", b""));
    let run = wait(&sim, "good http-404-1 lost --output github").env("GITHUB_OUTPUT", outputs.path());
    let finished = run.env("GITHUB_STEP_SUMMARY", summary.path()).run();
    assert_eq!(finished.code, Some(5));
    let commands: Vec<_> = finished.stdout.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(commands.len(), 5, "{finished:?}");
    assert_eq!(commands[..2], ["::group::Waiting for 3 CVMs", "::endgroup::"]);
    assert!(commands[2].starts_with("::error title=cvm-watch%3A http-404-1::the server rejected the watch: HTTP 404"));
    assert!(commands[3].starts_with("::error title=cvm-watch%3A lost::gave up after 2 attempts"));
    assert!(commands[4].starts_with("::notice title=cvm-watch::2 of 3 CVMs did not get to running after "));
    assert_eq!(finished.last_words(), "error: 2 of 3 CVMs did not get to running");
    let outputs = outputs.text();
    let (outcome, results) = outputs.split_once('\n').unwrap();
    assert_eq!(outcome, "outcome=failed");
    let results: Value = serde_json::from_str(results.strip_prefix("results=").unwrap()).unwrap();
    let expected = json!({
        "good": { "outcome": "resolved", "status": "running" },
        "http-404-1": { "outcome": "failed", "error": "rejected" },
        "lost": { "outcome": "failed", "status": "starting", "error": "max_retries_exceeded" },
    });
    assert_eq!(results, expected);
    let summary = summary.text();
    let rows: Vec<_> = summary.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(rows, ["good", "http-404-1", "lost"]);
    let summary = Scratch::new("any-summary", b"");
    let run = wait(&sim, "good stuck --any --output github").env("GITHUB_STEP_SUMMARY", summary.path());
    assert_eq!(run.run().code, Some(0));
    let row = summary.text().lines().find(|line| line.starts_with("| `stuck` |")).unwrap().to_owned();
    assert!(row.starts_with("| `stuck` | cancelled | "), "{row}");
    assert!(row.contains("| `another CVM got there first; "), "{row}");
}

#[test]
fn quiet_prints_nothing_but_the_error_of_many_too() {
    let finished = wait(&sim(), "good lost -q").env("RUST_LOG", "trace").run();
    let error = "error: 1 of 2 CVMs did not get to running\n";
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(3), "", error));
    let finished = wait(&sim(), "good fine -q").run();
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn a_signal_tells_the_last_status_of_each_that_goes_on() {
    for (signal, code, name) in [(Signal::INT, 130, "SIGINT"), (Signal::TERM, 143, "SIGTERM")] {
        let sim = sim();
        let mut running = wait(&sim, "good stuck silent-1").start();
        running.until_stderr_has_all(&["good: reached running", "stuck: starting", "silent-1: connecting"]);
        running.signal(signal);
        let finished = running.finish();
        assert_eq!(finished.code, Some(code), "{finished:?}");
        let table = rows(&finished.stdout);
        assert_eq!(table[1][..3], ["good", "resolved", "running"]);
        assert_eq!(table[2][..3], ["stuck", "aborted", "starting"]);
        assert_eq!(table[2][4], format!("ended by {name}; the last status was \"starting\""));
        assert_eq!(table[3][..3], ["silent-1", "aborted", "-"]);
        assert_eq!(finished.last_words(), "error: 2 of 3 CVMs did not get to running");
        sim.log().wait_until_idle(SOON).unwrap();
    }
}

/// Contract row 26.
#[test]
fn nothing_that_the_server_says_acts_on_a_terminal_or_a_ci_runner() {
    let nasty = "\x1b[2J\r\n::error::x\n##[error]y\u{9b}31m\u{202e}";
    let sim = sim();
    let event = json!({ "status": nasty, "boot_progress": nasty, "boot_error": nasty });
    sim.script("state", Attempt::stream().event("state", &event).close());
    sim.script("answer", Attempt::json(403, json!({ "message": nasty, "suggestions": [nasty] })));
    for mode in ["text", "ndjson"] {
        let finished = wait(&sim, &format!("state answer good --output {mode}")).run();
        for line in finished.stdout.lines().chain(finished.stderr.lines()) {
            assert!(!line.chars().any(|char| char.is_control() || char == '\u{202e}'), "{mode}: {line:?}");
            assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{mode}: {line:?}");
        }
    }
}

#[test]
fn bad_parameters_are_reported_once_and_before_any_request() {
    let sim = sim();
    for mode in ["text", "ndjson", "github", "quiet"] {
        let finished = wait(&sim, &format!("good fine --interval 4s --output {mode}")).run();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        let line = "--interval \"4s\" must be whole seconds from 5s to 30s";
        assert_eq!(finished.stderr, format!("error: {line}\n"));
        match mode {
            "ndjson" => {
                let [result] = &lines(&finished)[..] else { panic!("{finished:?}") };
                assert_eq!((&result["type"], &result["error"]["kind"]), (&"result".into(), &"invalid_input".into()));
            }
            "github" => assert_eq!(finished.stdout, format!("::error title=cvm-watch::{line}\n")),
            _ => assert_eq!(finished.stdout, ""),
        }
    }
    let finished = wait(&sim, "good fine --record /no/such/file").run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.last_words().starts_with("error: cannot record to \"/no/such/file\": "), "{finished:?}");
    assert_eq!(sim.log().connections().len(), 0);
}
