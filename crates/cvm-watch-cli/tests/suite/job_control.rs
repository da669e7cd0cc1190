//! A shell's jobs: what is typed at the terminal, and what a job in the background shows there.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use cvm_watch_sim::{Attempt, Sim};

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
        let mut session = Session::start(cvm_watch(&format!("wait {ids}")).base_url(&sim.base_url()));
        let mut before = session.until("starting");
        session.type_in("\x03");
        let (mut after, code) = session.end();
        // The terminal may drop its `^C` when the program ends first.
        if let Some((drawn, rest)) = after.split_once("^C") {
            before += drawn;
            assert!(before.ends_with('\r'), "the cursor is at the beginning of the last line: {before:?}");
            after = rest.to_owned();
        }
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
    for (ids, result) in [("a", "a running"), ("a b", "b    reached")] {
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
    std::thread::sleep(Duration::from_millis(300));
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
