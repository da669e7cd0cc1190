//! `wait --record` and `replay`: what was recorded is played to the same actions, without a secret.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;

use cvm_watch_sim::{Attempt, Script, Sim, Split};
use rustix::process::Signal;

use crate::program::{Finished, KEY, cvm_watch};
use crate::scratch::Scratch;

/// How a recording begins.
const BEGINNING: &str = "{\"recording\":2,\"by\":\"0.1.0\"}\n\
    {\"at\":0,\"input\":{\"watch\":{\"id\":\"my-cvm\",\"seed\":1,\"policy\":{\"target\":\"running\"}}}}";

fn replay(file: &Scratch) -> Finished {
    cvm_watch("replay").arg(file.path()).without_key().run()
}

fn actions(recording: &str) -> String {
    recording.lines().filter(|line| line.starts_with("{\"action\"")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_was_recorded_is_replayed_to_the_same_actions_byte_for_byte() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let file = Scratch::new("record-same", b"what was here before is gone\n");
    for (args, code) in [
        ("boot-1", 0),
        ("stop-1 --target stopped --output ndjson", 0),
        ("flaky-1 --retry-delay 50ms", 0),
        ("timeout-1 --max-retries 2 --retry-delay 50ms --backoff-max 1s", 3),
        ("stall-1 --deadline 300ms", 3),
        ("http-404-1", 5),
        ("redirect-1", 5),
        ("echo-key-1", 5),
        ("bytewise-1", 0),
        ("resume-1 --retry-delay 0", 0),
        ("too-large-1 --output quiet", 0),
    ] {
        let run = cvm_watch(&format!("wait {args} --record")).arg(file.path()).base_url(&sim.base_url()).run();
        assert_eq!(run.code, Some(code), "{args}: {run:?}");
        let recording = fs::read_to_string(file.path()).unwrap();
        let replayed = replay(&file);
        assert_eq!(replayed.code, Some(0), "{args}: {replayed:?}");
        if args.starts_with("echo-key") {
            assert!(replayed.stderr.starts_with("note: the server echoed a secret, so "), "{replayed:?}");
            assert!(actions(&recording).starts_with(&replayed.stdout), "{args}");
        } else {
            assert_eq!((replayed.stderr.as_str(), replayed.stdout), ("", actions(&recording)), "{args}");
        }
        assert!(!recording.contains(KEY), "{args}");
    }
}

/// Contract row 24.
#[test]
fn a_key_cut_anywhere_is_in_no_recording() {
    let sim = Sim::start().unwrap();
    let unicode: String = KEY.chars().map(|char| format!("\\u{:04x}", u32::from(char))).collect();
    let said = format!("{KEY} {unicode} {}", KEY.replace('/', "\\/"));
    let file = Scratch::new("record-echo", b"");
    for size in [1, 2, 7, 1000] {
        let id = format!("echo-cut-{size}");
        let first = Attempt::stream().bytes(format!("id: {KEY}\n")).event("state", format!(r#"{{"status":"{said}"}}"#));
        let then = Attempt::json(403, format!(r#"{{"message":"{said}","request_id":"{KEY}"}}"#));
        sim.script(&id, Script::new().then(first.close().split(Split::Chunks(size))).then(then));
        let run = cvm_watch(&format!("wait {id} --retry-delay 0 --record")).arg(file.path());
        assert_eq!(run.base_url(&sim.base_url()).run().code, Some(5));
        let recording = fs::read_to_string(file.path()).unwrap();
        for part in ["phak", "3Xample", "key+of", "tests=", "\\u0070\\u0068"] {
            assert!(!recording.contains(part), "{part} in {recording}");
        }
        assert!(recording.contains(r#""status":"*** *** ***""#) && recording.contains(r#"["Last-Event-ID","***"]"#));
        assert_eq!(replay(&file).code, Some(0), "{recording}");
    }
}

#[test]
fn many_cvms_are_recorded_and_replayed_as_one_is() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let file = Scratch::new("record-many", b"");
    for (args, code) in [
        ("boot-1 http-404-1 flaky-1 --retry-delay 50ms", 5),
        ("boot-1 boot-2 boot-3 boot-4 --max-streams 2 --output ndjson", 0),
        ("boot-1 slow-1 --any --output quiet", 0),
        ("stall-1 stall-2 --deadline 400ms", 3),
    ] {
        let run = cvm_watch(&format!("wait {args} --record")).arg(file.path()).base_url(&sim.base_url()).run();
        assert_eq!(run.code, Some(code), "{args}: {run:?}");
        let recording = file.text();
        let replayed = replay(&file);
        assert_eq!((replayed.code, replayed.stderr.as_str()), (Some(0), ""), "{args}");
        assert_eq!(replayed.stdout, actions(&recording), "{args}");
        assert!(recording.contains("\"member\":1") && !recording.contains(KEY), "{args}");
    }
}

#[test]
fn a_recording_of_an_interrupted_wait_has_its_end() {
    let sim = Sim::start().unwrap();
    let file = Scratch::new("record-interrupted", b"");
    let run = cvm_watch("wait stall-1 --output ndjson --record").arg(file.path()).base_url(&sim.base_url());
    let mut running = run.start();
    while !running.line().contains("\"state\"") {}
    running.signal(Signal::INT);
    assert_eq!(running.finish().code, Some(130));
    let recording = fs::read_to_string(file.path()).unwrap();
    assert!(recording.ends_with("{\"action\":\"fail\",\"kind\":\"aborted\"}\n"), "{recording}");
    assert_eq!(replay(&file).code, Some(0));
}

#[test]
fn what_was_seen_before_a_kill_is_in_the_recording() {
    let sim = Sim::start().unwrap();
    let file = Scratch::new("record-killed", b"");
    let run = cvm_watch("wait stall-1 --output ndjson --record").arg(file.path()).base_url(&sim.base_url());
    let mut running = run.start();
    while !running.line().contains("\"state\"") {}
    running.signal(Signal::KILL);
    running.wait();
    let replayed = replay(&file);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert!(replayed.stdout.contains("\"emit\""), "{replayed:?}");
}

#[test]
fn another_end_a_cut_line_and_no_recording_have_their_exit_codes() {
    let first = BEGINNING;
    let aborted = "{\"at\":5,\"undrained\":true,\"input\":\"abort\"}\n";
    let end = "{\"action\":\"fail\",\"kind\":\"aborted\"}\n";
    for (text, code, words) in [
        (format!("{first}\n{aborted}{end}"), 0, ""),
        (
            format!("{first}\n{aborted}{end}{{\"at\":9,\"to"),
            0,
            "note: line 5, the last one, is cut off and was left out",
        ),
        (
            format!("{first}\n{aborted}{}", end.replace("abort", "short")),
            1,
            "error: the watch does not do what it did, first at line 4",
        ),
        (format!("{first}\n{aborted}oops\n"), 2, ": line 4: expected value at line 1 column 1"),
        ("{\"type\":\"state\"}\n".to_owned(), 2, ": line 1: is not the first line of a recording"),
    ] {
        let file = Scratch::new("record-codes", text.as_bytes());
        let finished = replay(&file);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        assert!(finished.last_words().ends_with(words), "{finished:?}");
        assert_eq!(
            finished.stdout,
            if code == 2 && words.contains("first line") || text.contains("oops") { "" } else { end }
        );
    }
    let missing = cvm_watch("replay no/such/file").run();
    assert_eq!(missing.code, Some(2), "{missing:?}");
    let stdin = cvm_watch("replay -").stdin(std::process::Stdio::null()).run();
    assert_eq!(
        (stdin.code, stdin.last_words()),
        (Some(2), "error: cannot replay stdin: line 1: is not the first line of a recording")
    );
}

#[test]
fn a_strangers_recording_cannot_act_on_a_terminal_or_a_ci_runner() {
    let first = BEGINNING;
    let hostile = "\r::error::x\u{85} \x1b[2J\x1b]0;t\x07 \u{9b}2J \u{202e}\u{2028}::error::x ##vso[x] ##[error]x";
    let long = "x".repeat(1 << 20);
    for text in [format!("{first}\n{{\"action\":\"{hostile}\"}}\n"), format!("{first}\n{{\"action\":\"{long}\"}}\n")] {
        let file = Scratch::new("record-hostile", text.as_bytes());
        let replayed = replay(&file);
        assert_eq!(replayed.code, Some(1), "{replayed:?}");
        let shown = format!("{}{}", replayed.stdout, replayed.stderr);
        assert!(!shown.contains(|char: char| char != '\n' && (char.is_control() || "\u{202e}\u{2028}".contains(char))));
        assert!(!shown.contains("##") && shown.lines().all(|line| line.len() < 2000 && !line.starts_with("::")));
    }
    for text in ["{\"recording\":2,\"\x1b[2J\":1}\n", "\x1b[2J\n"] {
        let file = Scratch::new("record-hostile-first", text.as_bytes());
        let replayed = replay(&file);
        assert_eq!((replayed.code, replayed.stderr.contains('\x1b')), (Some(2), false), "{replayed:?}");
    }
}

#[test]
fn what_cannot_be_recorded_is_refused_before_any_request() {
    let sim = Sim::start().unwrap();
    let run = cvm_watch("wait my-cvm --record no/such/folder/file").base_url(&sim.base_url()).run();
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.last_words().starts_with("error: cannot record to \"no/such/folder/file\": "), "{run:?}");
    let file = Scratch::new("record-short", b"kept");
    let run = cvm_watch("wait my-cvm --record").arg(file.path()).env("PHALA_CLOUD_API_KEY", "my-cvm");
    let run = run.base_url(&sim.base_url()).run();
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.last_words().contains("a secret is part of the id"), "{run:?}");
    assert_eq!((fs::read(file.path()).unwrap().as_slice(), sim.log().requests().len()), (&b"kept"[..], 0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_once_and_the_wait_goes_on() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let run = cvm_watch("wait boot-1 --record /dev/full").base_url(&sim.base_url()).run();
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "boot-1 running\n"), "{run:?}");
    assert_eq!(run.stderr.matches("cannot record to \"/dev/full\"").count(), 1, "{run:?}");
}

#[test]
fn a_recording_is_for_its_owner_only_even_if_the_file_existed() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    for mode in [None, Some(0o600), Some(0o644), Some(0o666), Some(0o755)] {
        let file = Scratch::new("record-mode", b"what was here before is gone\n");
        match mode {
            Some(mode) => fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap(),
            None => fs::remove_file(file.path()).unwrap(),
        }
        let run = cvm_watch("wait complete-only-1 --record").arg(file.path()).base_url(&sim.base_url()).run();
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600, "{mode:?}");
        assert!(file.text().starts_with("{\"recording\":"), "{mode:?}");
    }
}

#[test]
fn a_limit_for_file_sizes_ends_the_recording_and_not_the_wait() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let file = Scratch::new("record-limit", b"");
    let script = format!("ulimit -f 1; exec {} wait boot-1 --record {}", env!("CARGO_BIN_EXE_cvm-watch"), file.path());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .env_clear()
        .env("PHALA_CLOUD_API_KEY", KEY)
        .env("PHALA_CLOUD_API_PREFIX", sim.base_url());
    let output = shell.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"boot-1 running\n"[..]), "{stderr}");
    assert_eq!(stderr.matches("; the wait goes on without").count(), 1, "{stderr}");
}

fn fifo(name: &str) -> Scratch {
    let file = Scratch::new(name, b"");
    fs::remove_file(file.path()).unwrap();
    assert!(Command::new("mkfifo").arg(file.path()).status().unwrap().success());
    file
}

#[test]
fn a_pipe_takes_a_recording_as_a_file_does() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let pipe = fifo("record-pipe");
    let path = pipe.path().to_owned();
    let reader = thread::spawn(move || fs::read_to_string(path).unwrap());
    let run = cvm_watch("wait boot-1 --record").arg(pipe.path()).base_url(&sim.base_url()).run();
    assert_eq!((run.code, run.stderr.contains("warning")), (Some(0), false), "{run:?}");
    let file = Scratch::new("record-from-pipe", reader.join().unwrap().as_bytes());
    let replayed = replay(&file);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert!(replayed.stdout.contains("\"resolve\""), "{replayed:?}");
}

#[test]
fn an_unread_pipe_delays_neither_the_wait_nor_its_deadline() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let long = "x".repeat(1 << 20);
    sim.script("my-cvm", Attempt::stream().event("note", long).state("running").complete("running"));
    for is_open in [false, true] {
        let pipe = fifo("record-stalled");
        // Open for reading, so that the program can open it, and never read.
        let reader = is_open.then(|| File::options().read(true).write(true).open(pipe.path()).unwrap());
        for (args, code) in [("my-cvm", 0), ("stall-1 --deadline 500ms", 3)] {
            let run = cvm_watch(&format!("wait {args} --record")).arg(pipe.path()).base_url(&sim.base_url()).run();
            assert_eq!(run.code, Some(code), "{run:?}");
            assert_eq!(run.stderr.matches("has no end: its reader is too slow").count(), 1, "{run:?}");
        }
        drop(reader);
    }
}
