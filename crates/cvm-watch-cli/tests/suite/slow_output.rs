//! Outputs and inputs that are full, stopped or not ready: no line is lost, and no deadline.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::thread;

use cvm_watch_sim::{Attempt, Sim};
use rustix::io::ioctl_fionbio;

use crate::program::{Program, cvm_watch};
use crate::scratch::Scratch;
use crate::terminal::open_terminal;

/// More states than the program and the kernel buffer while the output is not read.
const STATES: usize = 20_000;

fn flood(states: usize) -> Attempt {
    let mut bytes = String::new();
    for step in 0..states {
        bytes.push_str(&format!(
            "event: state\ndata: {{\"status\":\"starting\",\"boot_progress\":\"step {step}\"}}\n\n"
        ));
    }
    Attempt::stream().bytes(bytes)
}

fn wait(sim: &Sim, args: &str) -> Program {
    cvm_watch(&format!("wait {args}")).base_url(&sim.base_url())
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// Reads to the end, as fast as it comes.
fn read(mut from: PipeReader) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_deadline_ends_the_wait_although_its_output_is_not_read() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", flood(STATES).stall());
    sim.script("other", flood(STATES).stall());
    for (ids, mode, is_stdout) in
        [("my-cvm", "github", true), ("my-cvm other", "ndjson", true), ("my-cvm", "text", false)]
    {
        let (reader, writer) = io::pipe().unwrap();
        let run = wait(&sim, &format!("{ids} --deadline 1s --output {mode}"));
        let run = if is_stdout { run.stdout(writer) } else { run.stderr(writer) };
        let finished = run.run();
        assert_eq!(finished.code, Some(3), "{ids} {mode}: {finished:?}");
        if is_stdout {
            assert!(finished.last_words().starts_with("error: "), "{ids} {mode}: {finished:?}");
        }
        drop(reader);
    }
}

#[test]
fn a_deadline_ends_the_wait_on_a_terminal_that_is_stopped() {
    let sim = Sim::start().unwrap();
    let ids: Vec<_> = (0..20).map(|n| format!("stall-{n}")).collect();
    for ids in ["stall-1", &ids.join(" ")] {
        // The terminal is not read, as after Ctrl-S.
        let (terminal, end) = open_terminal(80);
        let run = wait(&sim, &format!("{ids} --deadline 2s")).env("TERM", "xterm");
        assert_eq!(run.stderr(end).run().code, Some(3), "{ids}");
        drop(terminal);
    }
}

#[test]
fn a_reader_that_is_behind_gets_every_line() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", flood(STATES).complete("running"));
    let (reader, writer) = io::pipe().unwrap();
    let running = wait(&sim, "my-cvm --output ndjson").stdout(writer).start();
    // Nothing is read until the request is there, and with it more than the pipe takes.
    while sim.log().requests().is_empty() {
        thread::yield_now();
    }
    let lines = read(reader);
    assert_eq!(running.finish().code, Some(0));
    assert_eq!(lines.matches("\"type\":\"state\"").count(), STATES);
    assert!(last_line(&lines).contains("\"outcome\":\"resolved\""), "{}", last_line(&lines));
}

#[test]
fn a_stdout_that_is_not_ready_for_a_moment_loses_no_line() {
    // More than the pipe takes at once.
    let states = 2000;
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", flood(states).complete("running"));
    let stream = Scratch::new("not-ready-stream", "data: 0123456789\n\n".repeat(states).as_bytes());
    let recording = Scratch::new("not-ready-recording", b"");
    let recorded = wait(&sim, "my-cvm --output quiet --record").arg(recording.path()).run();
    assert_eq!(recorded.code, Some(0), "{recorded:?}");
    for (run, lines) in [
        (wait(&sim, "my-cvm --output ndjson"), states + 3),
        (cvm_watch("decode").arg(stream.path()), states),
        (cvm_watch("replay").arg(recording.path()), states + 4),
        (cvm_watch("man"), cvm_watch("man").run().stdout.lines().count()),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        // A property of the pipe's end, which the program shares.
        ioctl_fionbio(writer.as_fd(), true).unwrap();
        let running = run.stdout(writer).start();
        let read = read(reader);
        assert_eq!(running.finish().code, Some(0));
        assert_eq!(read.lines().count(), lines);
        assert!(read.ends_with('\n'));
    }
}

#[test]
fn a_stdin_that_is_not_ready_for_a_moment_loses_no_byte() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let recording = Scratch::new("not-ready-stdin", b"");
    assert_eq!(wait(&sim, "boot-1 --output quiet --record").arg(recording.path()).run().code, Some(0));
    let recorded = recording.text();
    let replayed = cvm_watch("replay").arg(recording.path()).run().stdout;
    for (run, input, output) in [
        (
            cvm_watch("decode -"),
            "data: 1\n\ndata: 2\n\n",
            concat!(
                "{\"event\":\"message\",\"data\":\"1\",\"id\":\"\"}\n",
                "{\"event\":\"message\",\"data\":\"2\",\"id\":\"\"}\n",
            ),
        ),
        (cvm_watch("replay -"), &recorded, replayed.as_str()),
        (wait(&sim, "- --output quiet"), "boot-2\n", ""),
    ] {
        let (reader, mut writer) = io::pipe().unwrap();
        ioctl_fionbio(reader.as_fd(), true).unwrap();
        let running = run.stdin(reader).start();
        // Each byte by itself, so that the program finds nothing to read in between.
        for byte in input.bytes() {
            writer.write_all(&[byte]).unwrap();
        }
        drop(writer);
        let finished = running.finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), output), "{finished:?}");
    }
}

#[test]
fn one_pipe_for_both_outputs_keeps_their_order() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let run = wait(&sim, "boot-1 http-404-1").stdout(writer.try_clone().unwrap()).stderr(writer);
    let running = run.start();
    let text = read(reader);
    assert_eq!(running.finish().code, Some(5));
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}"));
    assert!(at("boot-1: connecting") < at("CVM ") && at("CVM ") < at("\nhint: ") && at("\nhint: ") < at("\nerror: "));
}

#[test]
fn a_stdout_that_is_open_for_reading_only_is_like_a_closed_one() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let run = wait(&sim, "boot-1").stdout(Stdio::from(File::open("/dev/null").unwrap())).run();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.stderr.contains("cannot write"), "{run:?}");
}
