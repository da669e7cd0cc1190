//! A shell's jobs: what is typed at the terminal, and what a job in the background shows there.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use cvm_watch_sim::{Attempt, Sim};
use rustix::process::Signal;

use crate::program::{Program, Running, cvm_watch};
use crate::terminal::open_terminal;

/// What erases a line, before it is drawn again.
const ERASE: &str = "\x1b[2K";

/// A program that has a terminal to itself, as its session's leader.
struct Session {
    running: Running,
    terminal: File,
    seen: String,
}

impl Session {
    fn start(program: Program) -> Self {
        let (terminal, end) = open_terminal(80);
        let program = program.under(&["setsid", "--ctty", "--wait"]).env("TERM", "xterm");
        let program = program.stdin(end.try_clone().unwrap()).stdout(end.try_clone().unwrap()).stderr(end);
        Self { running: program.start(), terminal: terminal.into(), seen: String::new() }
    }

    /// A shell in which `"$@"` waits for these CVMs.
    fn shell(sim: &Sim, ids: &str) -> Self {
        let shell = ["bash", "--norc", "--noprofile", "-i", "-s"];
        let run = cvm_watch(&format!("wait {ids}")).base_url(&sim.base_url());
        Self::start(run.under(&shell).env("PS1", "> ").env("HISTFILE", ""))
    }

    fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// What the terminal gets up to and with this text.
    fn until(&mut self, text: &str) -> String {
        let mut part = [0; 4096];
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            match self.terminal.read(&mut part) {
                Ok(length @ 1..) => self.seen.push_str(&String::from_utf8_lossy(&part[..length])),
                end => panic!("no {text:?} came: {end:?}, {:?}", self.seen),
            }
        }
    }

    /// The rest of what the terminal gets, and the exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = self.terminal.read(&mut part) {
            self.seen.push_str(&String::from_utf8_lossy(&part[..length]));
        }
        (self.seen, self.running.finish().code)
    }
}

fn there_are(programs: &[&str]) -> bool {
    programs.iter().all(|program| Command::new(program).arg("--version").output().is_ok())
}

/// A terminal shows `^C` where the cursor is. At the end of a full line that would begin another one, and
/// the line above would stay.
#[test]
fn ctrl_c_leaves_no_half_line() {
    if !there_are(&["setsid"]) {
        println!("skipped: there is no setsid");
        return;
    }
    let sim = Sim::start().unwrap();
    for ids in ["stall-1", "stall-1 stall-2 stall-3"] {
        // The shell keeps the terminal open: it would drop its `^C` if the program's end came first.
        let shell = ["sh", "-c", "trap : INT; \"$@\"; code=$?; read line; exit $code", "sh"];
        let program = cvm_watch(&format!("wait {ids}")).base_url(&sim.base_url());
        let mut session = Session::start(program.under(&shell));
        let mut before = session.until("starting");
        session.type_in("\x03");
        before += &session.until("^C");
        let drawn = before.trim_end_matches("^C").rsplit(['\r', '\n']).next().unwrap();
        let is_at_line_start = console::strip_ansi_codes(drawn).is_empty();
        assert!(is_at_line_start, "the cursor is at the beginning of a line: {before:?}");
        session.type_in("\n");
        let (after, code) = session.end();
        // What the program printed may come before or after the `^C`.
        let after = before.split_once("starting").unwrap().1.replace("^C", "") + &after;
        assert_eq!(code, Some(130), "{after:?}");
        let (erased, words) = after.split_once(if ids == "stall-1" { "✗" } else { "CVM " }).unwrap();
        // Frames before the end, one that only erases, and the last line.
        assert!(console::strip_ansi_codes(erased.rsplit('\r').next().unwrap()).trim().is_empty(), "{erased:?}");
        assert!(erased.contains(ERASE) && !words.contains(ERASE), "{after:?}");
    }
}

#[test]
fn a_job_that_begins_in_the_background_prints_lines() {
    if !there_are(&["setsid", "bash"]) {
        println!("skipped: there is no setsid or no bash");
        return;
    }
    let sim = Sim::start().unwrap();
    for ids in ["stall-1", "stall-1 stall-2"] {
        let mut shell = Session::shell(&sim, ids);
        shell.type_in("\"$@\" &\n");
        let mut seen = shell.until("stall-1: starting");
        shell.type_in("kill %1; wait %1; exit 3\n");
        let (rest, code) = shell.end();
        seen += &rest;
        assert_eq!(code, Some(3), "{seen:?}");
        assert!(!seen.contains(ERASE) && seen.contains("ended by SIGTERM"), "{seen:?}");
    }
}

#[test]
fn a_job_that_goes_to_the_background_does_not_paint_over_the_prompt() {
    if !there_are(&["setsid", "bash"]) {
        println!("skipped: there is no setsid or no bash");
        return;
    }
    let sim = Sim::start().unwrap();
    // Long enough for many frames; in the background there is to be none.
    let boots = Attempt::stream().state("starting").wait(Duration::from_secs(4)).state("running").complete("running");
    for (ids, result) in [("a", "a running"), ("a b", "b    resolved")] {
        sim.script("a", boots.clone());
        sim.script("b", boots.clone());
        let mut shell = Session::shell(&sim, ids);
        shell.type_in("\"$@\"\n");
        // The first frame erases nothing.
        if !shell.until("starting").contains(ERASE) {
            shell.until(ERASE);
        }
        shell.type_in("\x1a");
        shell.until("Stopped");
        shell.type_in("bg; echo mar''ker\n");
        shell.until("marker\r\n");
        let seen = shell.until(result);
        assert!(!seen.contains(ERASE) && !seen.contains("starting"), "{seen:?}");
        shell.type_in("exit 3\n");
        assert_eq!(shell.end().1, Some(3));
    }
}

#[test]
fn a_job_that_comes_back_erases_nothing_of_the_shells() {
    if !there_are(&["setsid", "bash"]) {
        println!("skipped: there is no setsid or no bash");
        return;
    }
    let sim = Sim::start().unwrap();
    let mut shell = Session::shell(&sim, "stall-1 stall-2 stall-3");
    shell.type_in("\"$@\"\n");
    shell.until("starting");
    shell.type_in("\x1a");
    shell.until("Stopped");
    shell.type_in("bg; echo mar''ker\n");
    shell.until("marker\r\n");
    // Until a frame was left out.
    thread::sleep(Duration::from_millis(300));
    shell.type_in("fg\n");
    let before = shell.until("stall-1");
    assert!(!before.contains("\x1b[2A") && !before.contains(ERASE), "{before:?}");
    // From then on as before.
    assert!(shell.until(ERASE).contains("stall-3"));
    shell.type_in("\x03");
    shell.until("ended by SIGINT");
    shell.type_in("exit 3\n");
    assert_eq!(shell.end().1, Some(3));
}

/// A server that sends `first` to a request, reports that, sends `then` once it is asked to, and stays open.
fn in_two_parts(first: String, then: String) -> (String, Receiver<()>, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
    let ((report, asked), (go, wait)) = (channel(), channel());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        client.write_all(first.as_bytes()).unwrap();
        report.send(()).unwrap();
        let _ = wait.recv();
        client.write_all(then.as_bytes()).unwrap();
        // Until the program has left.
        let _ = client.read_to_end(&mut Vec::new());
    });
    (url, asked, go)
}

/// Contract row 34. The timer is over when the process goes on, and what arrived meanwhile is read before it.
#[test]
fn what_arrived_while_the_process_was_stopped_is_read_before_a_timer_fires() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned();
    let state = head.clone() + "event: state\ndata: {\"status\":\"starting\"}\n\n";
    let end = "event: complete\ndata: {\"status\":\"running\"}\n\n";
    let timer = Duration::from_secs(3);
    for (flag, first, then) in
        [("--idle-timeout", state, end.to_owned()), ("--connect-timeout", String::new(), head + end)]
    {
        let (url, asked, go) = in_two_parts(first, then);
        let flags = format!("wait my-cvm --max-retries 0 --output ndjson {flag} {}ms", timer.as_millis());
        let running = cvm_watch(&flags).base_url(&url).start();
        asked.recv().unwrap();
        running.signal(Signal::STOP);
        running.wait_until_stopped();
        go.send(()).unwrap();
        // Longer than the timer; how much does not matter.
        thread::sleep(timer + Duration::from_millis(500));
        running.signal(Signal::CONT);
        let finished = running.finish();
        assert_eq!(finished.code, Some(0), "{flag}: {finished:?}");
    }
}
