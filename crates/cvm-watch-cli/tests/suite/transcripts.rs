//! The program as people use it: `tests/transcripts/*.md` hold commands with what they print.
//!
//! A command is a line that begins with `$ `. `? N` below it is its exit code, 0 if there is none. What follows is
//! printed, on stdout and stderr together. `[URL]` is the simulator's base URL, and seconds are not compared.
//! `.ci/generate` writes what is printed today into the files, for review.

use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cvm_watch_sim::{Attempt, Sim};

use crate::program::Program;

/// Runs the commands of a file. Returns how many there are.
pub(crate) fn check(name: &str, sim: &Sim) -> usize {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(name);
    let written = fs::read_to_string(&path).unwrap();
    let mut printed = String::new();
    let mut count = 0;
    let mut is_inside = false;
    for line in written.lines() {
        if line.starts_with("```") {
            is_inside = line == "```console";
        }
        if let Some(command) = line.strip_prefix("$ ").filter(|_| is_inside) {
            count += 1;
            printed.push_str(&run(command, sim));
        } else if !is_inside || line.starts_with("```") {
            writeln!(printed, "{line}").unwrap();
        }
    }
    if std::env::var_os("GENERATE").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    for (written, printed) in written.lines().zip(printed.lines()) {
        assert_eq!(timeless(written), timeless(printed), "{name}; .ci/generate writes what is printed now");
    }
    assert_eq!(written.lines().count(), printed.lines().count(), "{name}: {printed}");
    count
}

/// The command with its exit code and what it prints.
fn run(command: &str, sim: &Sim) -> String {
    let words = words(command);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    assert_eq!(words[0], "cvm-watch", "{command}");
    let (mut reader, writer) = io::pipe().unwrap();
    let program = Program::new(&words[1..]).base_url(&sim.base_url());
    let code = program.stdout(writer.try_clone().unwrap()).stderr(writer).run().code.unwrap();
    let mut output = String::new();
    reader.read_to_string(&mut output).unwrap();
    let mut printed = format!("$ {command}\n");
    if code != 0 {
        writeln!(printed, "? {code}").unwrap();
    }
    for line in output.lines() {
        writeln!(printed, "{}", line.replace(&sim.base_url(), "[URL]").trim_end()).unwrap();
    }
    printed
}

/// The words of a command line, in which quotes keep blanks together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for char in command.chars() {
        match (char, quote) {
            ('"' | '\'', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            (' ', None) => words.push(String::new()),
            (char, _) => words.last_mut().unwrap().push(char),
        }
    }
    words
}

/// The line with every number of seconds as 0.
fn timeless(line: &str) -> String {
    let is_time = |word: &str| word.strip_suffix('s').is_some_and(|number| number.parse::<u32>().is_ok());
    let words = line.split(' ').map(|word| if is_time(word) { "0s" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_check_goes_as_the_transcript_has_it() {
    let sim = Sim::start().unwrap();
    let answer = |json: &str| Attempt::json(200, json);
    sim.script("web", answer(r#"{"status":"running"}"#));
    sim.script("db", answer(r#"{"status":"starting","boot_progress":"mounting data disk"}"#));
    sim.script("fail-db", answer(r#"{"status":"error","boot_progress":"pre-launch","boot_error":"no key provider"}"#));
    let gone = r#"{"message":"CVM not found","error_code":"ERR-03-001","suggestions":[{"message":"Check the id"}]}"#;
    sim.script("gone", Attempt::json(404, gone));
    sim.script("busy", Attempt::json(503, r#"{"message":"down for maintenance"}"#));
    assert!(check("state.md", &sim) > 8);
}

#[test]
fn a_wait_goes_as_the_transcript_has_it() {
    let sim = Sim::builder().speed(100.0).start().unwrap();
    let boot = Attempt::stream().progress("starting", "booting").progress("starting", "setting up docker");
    sim.script("web", boot.clone().progress("running", "done").complete("running"));
    sim.script("db", boot.progress("running", "done").complete("running"));
    let failed = r#"{"status":"starting","boot_progress":"pre-launch","boot_error":"no key provider answered"}"#;
    sim.script("fail-db", Attempt::stream().event("state", failed).state("error").state("error").stall());
    sim.script("stop-web", Attempt::stream().state("stopping").state("stopped").complete("stopped"));
    assert!(check("wait.md", &sim) > 8);
}
