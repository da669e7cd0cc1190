//! The animated picture in the README: a run of the program on a terminal, against the simulator.
//!
//! `.ci/generate` makes the picture anew. The test fails when it shows what the program no longer prints.

mod picture;
mod screen;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use cvm_watch_sim::{Attempt, Script, Sim};
use picture::{DARK, LIGHT, Picture};
use screen::{Row, Screen};

use crate::program::Program;
use crate::terminal::open_terminal;

const COMMAND: &str = "cvm-watch wait web worker db --deadline 10m";
const COLUMNS: u16 = 90;
/// Lines that are shown for less than this may be missed on a busy machine.
const BRIEF: Duration = Duration::from_millis(700);

/// What the terminal showed, and since when.
struct Frame {
    at: Duration,
    rows: Vec<Row>,
}

/// Each step of a boot is shown for a second, so that a busy machine shows it too.
fn sim() -> Sim {
    let sim = Sim::start().unwrap();
    let steps = |first: u64, steps: &[&str]| {
        let mut boot = Attempt::stream().wait(Duration::from_millis(first));
        for step in steps {
            boot = boot.progress("starting", step).wait(Duration::from_millis(1300));
        }
        boot
    };
    let boot = ["booting", "requesting app keys", "mounting data disk", "starting containers"];
    let booted = |boot: Attempt| boot.progress("running", "done").complete("running");
    let refused = Attempt::json(503, r#"{"detail":"the node is busy"}"#).header("retry-after", "2");
    sim.script("web", Script::new().then(refused).then(booted(steps(1000, &boot[2..]))));
    sim.script("worker", booted(steps(1000, &boot)));
    let failed =
        r#"{"status":"starting","boot_progress":"requesting app keys","boot_error":"no key provider answered"}"#;
    let failing = steps(1200, &boot[..2]).event("state", failed).wait(Duration::from_millis(1000));
    sim.script("db", failing.event("state", failed).stall());
    sim
}

/// Runs the command on a terminal; returns everything it showed, and its exit code.
fn run() -> (Vec<Frame>, i32) {
    let sim = sim();
    let (terminal, end) = open_terminal(COLUMNS);
    let started = Instant::now();
    let reader = thread::spawn(move || {
        let mut terminal = File::from(terminal);
        let mut screen = Screen::new(COLUMNS.into());
        let mut frames = Vec::new();
        let mut part = [0; 65536];
        while let Ok(length @ 1..) = terminal.read(&mut part) {
            screen.feed(&part[..length]);
            frames.push(Frame { at: started.elapsed(), rows: screen.rows() });
        }
        frames
    });
    let words: Vec<_> = COMMAND.split(' ').skip(1).collect();
    let program = Program::new(&words).base_url(&sim.base_url()).env("TERM", "xterm-256color");
    let finished = program.stdout(end.try_clone().unwrap()).stderr(end).run();
    (reader.join().unwrap(), finished.code.unwrap())
}

/// The frames without those that have a line which is seen too briefly to be seen in every run.
fn lasting(frames: &[Frame]) -> Vec<&Frame> {
    let mut times: BTreeMap<String, Duration> = BTreeMap::new();
    for pair in frames.windows(2) {
        for line in normalized_rows(&pair[0].rows) {
            *times.entry(line).or_default() += pair[1].at - pair[0].at;
        }
    }
    let last = frames.last().map(|frame| normalized_rows(&frame.rows)).unwrap_or_default();
    let stays = |line: &String| last.contains(line) || times.get(line).is_some_and(|time| *time >= BRIEF);
    frames.iter().filter(|frame| normalized_rows(&frame.rows).iter().all(stays)).collect()
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures").join(name)
}

/// A line without what differs from run to run: times and the spinner.
pub(crate) fn normalized(line: &str) -> String {
    let is_time = |word: &str| {
        word.starts_with(|char: char| char.is_ascii_digit())
            && word.ends_with(['s', 'm', 'h'])
            && word.chars().all(|char| char.is_ascii_digit() || ".hms".contains(char))
    };
    let words = line.split_whitespace().map(|word| match word {
        time if is_time(time.trim_end_matches(':')) => "#",
        spinner if spinner.chars().all(|char| ('\u{2800}'..'\u{2900}').contains(&char)) => "*",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn normalized_rows(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| normalized(&row.text())).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_picture_in_the_readme_shows_what_the_program_prints() {
    let (frames, code) = run();
    if std::env::var_os("GENERATE").is_some() {
        let picture = Picture::of(COMMAND, &lasting(&frames), code);
        fs::write(path("wait-light.svg"), picture.svg(&LIGHT)).unwrap();
        fs::write(path("wait-dark.svg"), picture.svg(&DARK)).unwrap();
    }
    // A packaged crate has no documents beside it.
    let Ok(light) = fs::read_to_string(path("wait-light.svg")) else { return };
    let dark = fs::read_to_string(path("wait-dark.svg")).unwrap();
    let lines = picture::lines(&light);
    assert_eq!(lines, picture::lines(&dark), "the two pictures differ in more than their colours");

    let mut printed: BTreeSet<_> = frames.iter().flat_map(|frame| normalized_rows(&frame.rows)).collect();
    printed.insert(code.to_string());
    let typed = |line: &str| line.starts_with('$');
    let drawn: BTreeSet<_> = lines.iter().filter(|line| !typed(line)).map(|line| normalized(line)).collect();
    let stale: Vec<_> = drawn.difference(&printed).collect();
    assert!(stale.is_empty(), "no longer printed: {stale:#?}; run .ci/generate. Printed: {printed:#?}");

    // The last frame is what stays on the screen, whole.
    let last = normalized_rows(&frames.last().unwrap().rows);
    let missing: Vec<_> = last.iter().filter(|line| !drawn.contains(*line)).collect();
    assert!(missing.is_empty(), "not in the picture: {missing:#?}; run .ci/generate");
    assert!(lines.contains(&format!("$ {COMMAND}")), "{lines:?}");
}
