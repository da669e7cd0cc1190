//! `--output github`: workflow commands, the step's outputs and its summary.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Command;

use cvm_watch_sim::{Attempt, Script, Sim};
use rustix::fs::OFlags;
use rustix::process::Signal;

use crate::program::{Finished, Program, cvm_watch};
use crate::scratch::{Folder, Scratch};

fn wait(sim: &Sim, id: &str, flags: &str) -> Program {
    cvm_watch(&format!("wait {id} --output github --max-retries 1 --retry-delay 0 {flags}")).base_url(&sim.base_url())
}

fn played(script: impl Into<Script>) -> Sim {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", script);
    sim
}

/// The head of the table in the summary.
const TABLE: &str = "\n| CVM | Outcome | Status | Time | Detail |\n| --- | --- | --- | ---: | --- |\n";

/// The two files, and a run that uses them.
fn with_files(name: &str, run: Program) -> (Scratch, Scratch, Program) {
    let outputs = Scratch::new(&format!("{name}-output"), b"before=1\n");
    let summary = Scratch::new(&format!("{name}-summary"), b"# Before\n");
    let run = run.env("GITHUB_OUTPUT", outputs.path()).env("GITHUB_STEP_SUMMARY", summary.path());
    (outputs, summary, run)
}

/// The times differ from run to run.
fn timeless(text: &str) -> String {
    let is_time = |word: &str| word.strip_suffix('s').is_some_and(|number| number.parse::<u32>().is_ok());
    let lines = text.lines().map(|line| {
        line.split_whitespace().map(|word| if is_time(word) { "T" } else { word }).collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_reached_target_is_a_group_and_a_notice() {
    let script = Script::new()
        .then(Attempt::stream().progress("starting", "booting").truncate())
        .then(Attempt::stream().state("running").complete("running"));
    let sim = played(script);
    let (outputs, summary, run) = with_files("resolved", wait(&sim, "my-cvm", ""));
    let finished = run.run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    let expected = [
        "::group::Waiting for my-cvm",
        "T my-cvm: connecting",
        "T my-cvm: starting, booting",
        "T my-cvm: retrying in 0s: the response was cut off",
        "T my-cvm: connecting (attempt 2)",
        "T my-cvm: running (attempt 2)",
        "::endgroup::",
        "::notice title=cvm-watch%3A my-cvm::my-cvm is running after T",
    ];
    assert_eq!(timeless(&finished.stdout), expected.join("\n"));
    assert_eq!(outputs.text(), "before=1\noutcome=resolved\nstatus=running\n");
    assert_eq!(timeless(&summary.text()), format!("# Before\n{TABLE}| `my-cvm` | resolved | `running` | T | |\n"));
    assert!(summary.text().ends_with('\n'));
}

#[test]
fn a_failure_is_an_error_with_what_to_do_next() {
    let sim = played(Attempt::stream().state("starting").stall());
    let (outputs, summary, run) = with_files("failed", wait(&sim, "my-cvm", "--deadline 2s"));
    let finished = run.run();
    assert_eq!(finished.code, Some(3));
    let message = "the deadline of 2s passed; the last status was \"starting\"";
    let hint = "hint: raise --deadline, or find out why the CVM stays \"starting\"";
    let lines: Vec<_> = finished.stdout.lines().rev().take(2).collect();
    assert_eq!(lines, [&format!("::error title=cvm-watch%3A my-cvm::{message}%0A{hint}"), "::endgroup::"]);
    assert_eq!(finished.stderr, format!("{hint}\nerror: {message}\n"));
    assert_eq!(outputs.text(), "before=1\noutcome=failed\nstatus=starting\nerror=deadline_exceeded\n");
    let row = format!("| `my-cvm` | failed | `starting` | T | `{message}` |");
    assert_eq!(timeless(&summary.text()), timeless(&format!("# Before\n{TABLE}{row}\n\n")));
}

#[test]
fn a_signal_closes_the_group_and_leaves_the_last_status() {
    let sim = played(Attempt::stream().state("starting").stall());
    let (outputs, _summary, run) = with_files("signal", wait(&sim, "my-cvm", ""));
    let mut running = run.start();
    while !running.line().contains("starting") {}
    running.signal(Signal::TERM);
    let finished = running.finish();
    assert_eq!(finished.code, Some(143));
    let expected =
        "::endgroup::\n::error title=cvm-watch%3A my-cvm::ended by SIGTERM; the last status was \"starting\"\n";
    assert_eq!(finished.stdout, expected);
    assert_eq!(outputs.text(), "before=1\noutcome=failed\nstatus=starting\nerror=aborted\n");
}

/// Contract row 26.
#[test]
fn nothing_that_the_server_says_starts_a_command_or_sets_an_output() {
    let nasty = "x\r\n::error::x\nstatus=forged\n##[error]y%0A::warning::z\u{9b}31m\u{202e}\u{2028}`</code> [a](b) <b>";
    let event = serde_json::json!({ "status": nasty, "boot_progress": nasty, "boot_error": nasty });
    let reached = serde_json::json!({ "status": "::error::RUNNING\n::stop-commands::x" });
    let answer = serde_json::json!({
        "message": nasty, "error_code": nasty, "request_id": nasty, "suggestions": [nasty], "details": [nasty],
    });
    let sim = Sim::start().unwrap();
    sim.script("state", Attempt::stream().event("state", &event).event("error", nasty).close());
    sim.script("resolved", Attempt::stream().event("state", &reached).event("complete", &reached));
    sim.script("answer", Attempt::json(403, &answer));
    sim.script("busy", Attempt::json(503, &answer));
    for (id, kind) in [("state", "error"), ("resolved", "notice"), ("answer", "error"), ("busy", "error")] {
        let run = wait(&sim, id, "--target").arg("::error::RUNNING\n::stop-commands::x").env("RUST_LOG", "trace");
        let (outputs, summary, run) = with_files(&format!("nasty-{id}"), run);
        let finished = run.run();
        assert_eq!(finished.code == Some(0), kind == "notice", "{finished:?}");
        let is_command = |line: &&str| line.trim_start().starts_with("::");
        let name = |line: &str| line.trim_start_matches(':').split([' ', ':']).next().unwrap().to_owned();
        let commands: Vec<_> = finished.stdout.lines().filter(is_command).map(name).collect();
        assert_eq!(commands, ["warning", "group", "endgroup", kind], "{finished:?}");
        assert_eq!(finished.stderr.lines().filter(is_command).count(), 0, "{finished:?}");
        for text in [&finished.stdout, &finished.stderr, &outputs.text(), &summary.text()] {
            for line in text.lines().filter(|line| *line != "# Before") {
                let acts = |char: char| char.is_control() || matches!(char, '\u{202e}' | '\u{2028}');
                assert!(!line.chars().any(acts) && !line.contains("##["), "{id}: {line:?}");
            }
        }
        let names: Vec<_> = outputs.text().lines().map(|line| line.split('=').next().unwrap().to_owned()).collect();
        let expected: &[&str] = match id {
            "state" => &["before", "outcome", "status", "error"],
            "resolved" => &["before", "outcome", "status"],
            _ => &["before", "outcome", "error"],
        };
        assert_eq!(names, expected, "{id}");
        assert_eq!(summary.text().lines().count(), 6, "{id}");
    }
}

#[test]
fn a_status_in_the_outputs_is_harmless_in_a_shell() {
    let nasty = "a\"; $(touch x) `id` & 'b' | \\ < ${{ y }} é";
    let safe = "a_____touch_x___id_____b____________y_____";
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state(nasty).close());
    sim.script("in-progress", Attempt::stream().state("in_progress").close());
    let (outputs, _summary, run) = with_files("shell-one", wait(&sim, "my-cvm", ""));
    assert_eq!(run.run().code, Some(3));
    assert_eq!(outputs.text(), format!("before=1\noutcome=failed\nstatus={safe}\nerror=max_retries_exceeded\n"));
    let (outputs, _summary, run) = with_files("shell-many", wait(&sim, "my-cvm in-progress", ""));
    assert_eq!(run.run().code, Some(3));
    let text = outputs.text();
    let results = text.lines().find_map(|line| line.strip_prefix("results=")).unwrap();
    let results: serde_json::Value = serde_json::from_str(results).unwrap();
    assert_eq!(results["my-cvm"]["status"], safe);
    assert_eq!(results["in-progress"]["status"], "in_progress");
    let reached = "$(id)";
    sim.script("resolved", Attempt::stream().state(reached).complete(reached));
    let (outputs, _summary, run) = with_files("shell-reached", wait(&sim, "resolved", "--target").arg(reached));
    assert_eq!(run.run().code, Some(0));
    assert_eq!(outputs.text(), "before=1\noutcome=resolved\nstatus=__id_\n");
}

#[test]
fn files_that_are_not_named_or_cannot_be_written_change_nothing() {
    let sim = played(Attempt::stream().state("running").complete("running"));
    let finished = wait(&sim, "my-cvm", "").env("GITHUB_OUTPUT", "").run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    let finished = wait(&sim, "my-cvm", "").env("GITHUB_OUTPUT", "/no/such/directory/file").run();
    assert_eq!(finished.code, Some(0));
    assert!(finished.stderr.starts_with("warning: cannot write to GITHUB_OUTPUT: No such file"), "{finished:?}");
    // Another output leaves them alone.
    let (outputs, summary, run) = with_files("text", cvm_watch("wait my-cvm").base_url(&sim.base_url()));
    assert_eq!(run.run().code, Some(0));
    assert_eq!((outputs.text().as_str(), summary.text().as_str()), ("before=1\n", "# Before\n"));
}

#[test]
fn a_line_that_an_earlier_command_left_open_is_ended_first() {
    let sim = played(Attempt::stream().state("running").complete("running"));
    for (before, kept) in [("", ""), ("version=1.2", "version=1.2\n"), ("\n", "\n"), ("a=1\nb=2", "a=1\nb=2\n")] {
        let outputs = Scratch::new("open-output", before.as_bytes());
        let summary = Scratch::new("open-summary", before.as_bytes());
        let run = wait(&sim, "my-cvm", "").env("GITHUB_OUTPUT", outputs.path());
        let finished = run.env("GITHUB_STEP_SUMMARY", summary.path()).run();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
        assert_eq!(outputs.text(), format!("{kept}outcome=resolved\nstatus=running\n"));
        assert_eq!(timeless(&summary.text()), format!("{kept}{TABLE}| `my-cvm` | resolved | `running` | T | |\n"));
    }
    // The last byte of a file that may be written only is not known.
    let outputs = Scratch::new("write-only-output", b"a=1\n");
    std::fs::set_permissions(outputs.path(), std::fs::Permissions::from_mode(0o200)).unwrap();
    assert_eq!(wait(&sim, "my-cvm", "").env("GITHUB_OUTPUT", outputs.path()).run().stderr, "");
    std::fs::set_permissions(outputs.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(outputs.text(), "a=1\noutcome=resolved\nstatus=running\n");
}

#[test]
fn what_is_no_file_gives_a_warning_and_never_a_wait() {
    let sim = played(Attempt::stream().state("running").complete("running"));
    let folder = Folder::new("no-output");
    let fifo = |name: &str| {
        let path = folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path.to_str().unwrap().to_owned()
    };
    let read = &fifo("read");
    let fifo = &fifo("stalled");
    let run = |path: &str| wait(&sim, "my-cvm", "").env("GITHUB_OUTPUT", path).env("GITHUB_STEP_SUMMARY", path).run();
    let warned = |finished: &Finished| {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        for (line, variable) in finished.stderr.lines().zip(["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"]) {
            assert!(line.starts_with(&format!("warning: cannot write to {variable}: ")), "{finished:?}");
        }
        assert_eq!(finished.stderr.lines().count(), 2, "{finished:?}");
    };
    // A folder, a pipe without a reader, and a full disk.
    warned(&run(folder.path().to_str().unwrap()));
    warned(&run(fifo));
    if cfg!(target_os = "linux") {
        warned(&run("/dev/full"));
    }
    // A reader that stalls, with a pipe that is full.
    let mut pipe =
        File::options().read(true).write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(fifo).unwrap();
    while pipe.write(&[b'x'; 4096]).is_ok() {}
    while pipe.write(b"x").is_ok() {}
    warned(&run(fifo));
    // One that reads gets whole values. It is another pipe, because a process that another test is starting
    // may hold the full one for a moment longer.
    let mut pipe = File::options().read(true).write(true).open(read).unwrap();
    let finished = run(read);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    let mut values = [0; 200];
    let length = pipe.read(&mut values).unwrap();
    assert!(values[..length].starts_with(format!("outcome=resolved\nstatus=running\n{TABLE}| `my-cvm` |").as_bytes()));
}

/// A full disk, by a limit on the size of files.
#[test]
fn values_that_do_not_fit_are_left_out_whole() {
    let sim = played(Attempt::stream().state("running").complete("running"));
    // Shells count in blocks of 512 or 1024 bytes; the values would end just behind the limit.
    for block in [512, 1024] {
        let before = format!("{}\n", "x".repeat(block - 11));
        let outputs = Scratch::new(&format!("limited-output-{block}"), before.as_bytes());
        let summary = Scratch::new(&format!("limited-summary-{block}"), b"");
        let run = wait(&sim, "my-cvm", "").env("GITHUB_OUTPUT", outputs.path());
        let finished = run.env("GITHUB_STEP_SUMMARY", summary.path()).in_shell("ulimit -f 1").run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        if outputs.text() == before {
            assert!(
                finished.stderr.starts_with("warning: cannot write to GITHUB_OUTPUT: File too large"),
                "{finished:?}"
            );
        } else {
            // The other size of blocks, where there is room.
            assert_eq!(outputs.text(), format!("{before}outcome=resolved\nstatus=running\n"));
        }
        assert_eq!(summary.text().lines().count(), 5);
    }
}

#[test]
fn bad_input_is_an_error_too() {
    let outputs = Scratch::new("refused-output", b"");
    for (args, title, message) in [
        ("wait a b --interval 4 --output github", "cvm-watch", "--interval \"4s\" must be"),
        ("wait my-cvm --interval 4 --output github", "cvm-watch%3A my-cvm", "--interval \"4s\" must be"),
        ("wait --nope --output=github", "cvm-watch", "there is no flag --nope"),
    ] {
        let finished = cvm_watch(args).env("GITHUB_OUTPUT", outputs.path()).run();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        let line = finished.stdout.lines().last().unwrap();
        assert!(line.starts_with(&format!("::error title={title}::{message}")), "{line}");
        assert!(finished.last_words().starts_with(&format!("error: {message}")), "{finished:?}");
    }
    assert_eq!(outputs.text(), "outcome=failed\nerror=invalid_input\n".repeat(3));
}
