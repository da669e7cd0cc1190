//! The live line, on a pseudo-terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::thread;

use cvm_watch_sim::{Attempt, Script, Sim};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::program::{Finished, Program, cvm_watch};

/// A terminal of so many columns, and the end that a program has.
pub(crate) fn open_terminal(columns: u16) -> (OwnedFd, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end = File::options().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
    tcsetwinsize(&end, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    (terminal, end)
}

/// Runs with stderr on a terminal of so many columns; answers also with what the terminal got.
fn on_terminal(program: Program, columns: u16) -> (Finished, String) {
    let (terminal, end) = open_terminal(columns);
    let reader = thread::spawn(move || read_all(terminal));
    let finished = program.stderr(end).run();
    (finished, reader.join().unwrap())
}

/// A terminal whose other end is closed gives an error in place of an end.
fn read_all(terminal: OwnedFd) -> String {
    let mut terminal = File::from(terminal);
    let mut all = Vec::new();
    let mut part = [0; 4096];
    while let Ok(length @ 1..) = terminal.read(&mut part) {
        all.extend_from_slice(&part[..length]);
    }
    String::from_utf8(all).unwrap()
}

fn wait(id: &str, sim: &Sim) -> Program {
    cvm_watch(&format!("wait {id} --retry-delay 300ms --max-retries 1000"))
        .base_url(&sim.base_url())
        .env("TERM", "xterm")
}

/// Each state that the line was in, without the colours.
fn drawn(screen: &str) -> Vec<String> {
    let lines = screen.split(['\r', '\n']).map(|line| console::strip_ansi_codes(line).trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_live_line_shows_status_progress_time_and_attempt_and_fits_the_terminal() {
    let sim = Sim::start().unwrap();
    let script = Script::new()
        .then(Attempt::json(503, "{}").header("retry-after", "1"))
        .then(Attempt::stream().progress("starting", "booting").truncate())
        .then(Attempt::stream().progress("starting", "starting containers").state("running").complete("running"));
    for columns in [80, 40] {
        let id = format!("my-cvm-{columns}");
        sim.script(&id, script.clone());
        let (finished, screen) = on_terminal(wait(&id, &sim), columns);
        assert_eq!((finished.code, finished.stdout), (Some(0), format!("{id} running\n")));
        let drawn = drawn(&screen);
        for line in &drawn {
            assert!(console::measure_text_width(line) <= columns.into(), "{line:?}");
        }
        let shown = |parts: &[&str]| drawn.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(shown(&[&id, "connecting", "0s"]), "{drawn:?}");
        assert!(shown(&[&id, "retrying", "· in 1s"]), "{drawn:?}");
        assert!(
            shown(&[
                &id,
                "starting",
                if columns == 80 { "· [7/8] starting containers · attempt 3" } else { "· [7/8]" }
            ]),
            "{drawn:?}"
        );
        // The live line becomes the last one.
        let (_, last) = screen.rsplit_once("\r\x1b[2K").unwrap();
        let last = console::strip_ansi_codes(last).trim().to_owned();
        assert!(last.starts_with(&format!("✓ {id} running after ")) && !last.contains('\n'), "{last:?}");
    }
}

#[test]
fn a_failure_is_the_last_line_on_a_terminal_too() {
    let sim = Sim::start().unwrap();
    let (finished, screen) = on_terminal(wait("http-403-1", &sim), 200);
    assert_eq!(finished.code, Some(5));
    assert!(drawn(&screen).last().unwrap().starts_with("error: the server rejected the watch: HTTP 403"), "{screen:?}");
}

#[test]
fn a_warning_is_on_a_separate_line_above_the_live_one() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let run = cvm_watch("wait my-cvm --target runing --deadline 1s").base_url(&sim.base_url()).env("TERM", "xterm");
    let (finished, screen) = on_terminal(run, 200);
    assert_eq!(finished.code, Some(3));
    let warning = drawn(&screen).into_iter().find(|line| line.starts_with("warning: ")).unwrap();
    assert!(warning.ends_with("Waiting for it all the same"), "{screen:?}");
    let last: Vec<_> = drawn(&screen).into_iter().rev().take(2).collect();
    assert!(last[0].starts_with("error: ") && last[1].starts_with("hint: raise --deadline"), "{screen:?}");
}

/// A colour is a Select Graphic Rendition sequence: `ESC [ … m`.
fn has_colour(screen: &str) -> bool {
    screen
        .split("\x1b[")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|char: char| char.is_ascii_digit() || char == ';').starts_with('m'))
}

#[test]
fn no_color_is_honoured_and_colours_are_on_otherwise() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let (_, screen) = on_terminal(wait("boot-1", &sim), 80);
    assert!(has_colour(&screen), "{screen:?}");
    let (_, screen) = on_terminal(wait("boot-2", &sim).env("NO_COLOR", "1"), 80);
    assert!(!has_colour(&screen) && screen.contains("starting"), "{screen:?}");
    let (_, screen) = on_terminal(wait("boot-3", &sim).env("NO_COLOR", ""), 80);
    assert!(has_colour(&screen), "an empty NO_COLOR is none: {screen:?}");
}

/// `kubectl exec -t` and `docker exec -t` set no `TERM`; many CI runners have a terminal.
#[test]
fn a_terminal_that_cannot_redraw_a_ci_runner_and_a_log_get_lines_in_place_of_a_live_one() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let run = |ids: &str| cvm_watch(&format!("wait {ids}")).base_url(&sim.base_url());
    for ids in ["boot-1", "boot-1 boot-2"] {
        for (name, value) in [
            ("TERM", "dumb"),
            ("TERM", ""),
            ("LANG", "C"),
            ("CI", "true"),
            ("CI", "1"),
            ("CI", "woodpecker"),
            ("RUST_LOG", "warn"),
        ] {
            let run = if matches!(name, "CI" | "RUST_LOG") { run(ids).env("TERM", "xterm") } else { run(ids) };
            let (finished, screen) = on_terminal(run.env(name, value), 80);
            assert_eq!(finished.code, Some(0), "{finished:?}");
            assert!(!screen.contains('\x1b') && screen.contains(": connecting\r\n"), "{name}={value}: {screen:?}");
        }
    }
    for value in ["", "false", "0"] {
        let (_, screen) = on_terminal(run("boot-1").env("TERM", "xterm").env("CI", value), 80);
        assert!(screen.contains("\x1b["), "CI={value}: {screen:?}");
    }
}

/// Lines that are filled up with spaces are cut by the terminal's edge alone.
fn wrapped(line: &str, columns: u16) -> Vec<String> {
    let chars: Vec<_> = line.chars().collect();
    chars.chunks(columns.into()).map(|part| part.iter().collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn many_have_a_live_line_each_and_leave_a_table_on_a_clean_screen() {
    let sim = Sim::builder().speed(10.0).start().unwrap();
    for columns in [80, 40] {
        let run = wait(&format!("boot-{columns} slow-{columns} http-404-{columns}"), &sim);
        let (finished, screen) = on_terminal(run, columns);
        assert_eq!(finished.code, Some(5), "{finished:?}");
        let drawn = drawn(&screen);
        let stays = ["error: ", "hint: ", &format!("http-404-{columns}: ")];
        let is_live = |line: &&String| !stays.iter().any(|begin| line.starts_with(begin));
        let live: Vec<_> = drawn.iter().filter(is_live).flat_map(|line| wrapped(line, columns)).collect();
        // A line that did not fit would begin in the middle of something.
        let begins = |line: &String| line.starts_with(|char| "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏✓✗".contains(char)) || line.starts_with("    ");
        assert!(live.iter().all(begins), "{live:?}");
        let shown = |parts: &[&str]| live.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(shown(&["boot-", "starting · "]), "{drawn:?}");
        assert!(shown(&["✓", "boot-", "running after "]), "{drawn:?}");
        assert!(shown(&["✗", "http-404-", "failed after 0s: rejected"]), "{drawn:?}");
        assert!(shown(&[" 1 of 3 reached, 1 failed; 1 "]), "{drawn:?}");
        assert!(shown(&["slow-", "provisioning"]), "{drawn:?}");
        // The first line of the table is not on the terminal: stdout is a pipe here.
        assert!(finished.stdout.starts_with("CVM "), "{finished:?}");
        let last: Vec<_> = drawn.iter().rev().take(2).collect();
        assert_eq!(last[0], "error: 1 of 3 CVMs did not get to running");
        assert!(last[1].starts_with("hint: check the id"), "{last:?}");
        assert!(drawn.contains(&format!("http-404-{columns}: suggestion: Check the id")), "{drawn:?}");
    }
}

#[test]
fn more_cvms_than_lines_are_counted_in_one() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let ids: Vec<_> = (0..40).map(|n| format!("boot-{n}")).collect();
    let (finished, screen) = on_terminal(wait(&ids.join(" "), &sim), 80);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let drawn: Vec<_> = drawn(&screen).iter().flat_map(|line| wrapped(line, 80)).collect();
    let counts: Vec<_> = drawn.iter().filter(|line| line.contains(" of 40 reached")).collect();
    assert!(counts.iter().any(|line| line.contains("0 of 40 reached; ") && line.contains("waiting")), "{counts:?}");
    assert!(counts.iter().any(|line| line.contains("starting")), "{counts:?}");
    assert_eq!(finished.stdout.lines().count(), 41);
    let boots = drawn.iter().filter(|line| line.contains("boot-") && !line.starts_with('✓')).count();
    assert!(boots > 0 && boots <= 10 * counts.len() + 10, "the live part stays small: {boots}");
    // Each that is done scrolls up, once.
    let done: std::collections::BTreeSet<_> = drawn.iter().filter(|line| line.starts_with('✓')).collect();
    assert_eq!(done.len(), 40, "{done:?}");
}

#[test]
fn a_steady_target_leaves_a_note_above_the_result() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("running").complete("running"));
    let (finished, screen) = on_terminal(wait("my-cvm --after-change=1s", &sim), 80);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"));
    let note = "note: my-cvm was steady for 1s, which counts without a change";
    assert!(drawn(&screen).iter().any(|line| line == note), "{screen:?}");
}

#[test]
fn a_retry_counts_down_and_the_limit_stands_beside_the_time() {
    let sim = Sim::start().unwrap();
    let busy = Attempt::json(503, "{}").header("retry-after", "3");
    sim.script("my-cvm", Script::new().then(busy).then(Attempt::stream().state("running").complete("running")));
    let (finished, screen) = on_terminal(wait("my-cvm --deadline 10m -v", &sim), 80);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let drawn = drawn(&screen);
    for part in ["0s / 10m my-cvm connecting", "retrying · in 3s: HTTP 503", "in 2s: HTTP 503", "in 1s: HTTP 503"] {
        assert!(drawn.iter().any(|line| line.contains(part)), "{part}: {drawn:?}");
    }
    let last: Vec<_> = drawn.iter().rev().take(2).collect();
    assert!(last[1].starts_with("✓ my-cvm running after ") && last[0].starts_with("steps: running "), "{last:?}");
}

#[test]
fn progress_is_as_it_was_asked_for() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    for ids in ["boot-1", "boot-1 boot-2"] {
        let (_, screen) = on_terminal(wait(&format!("{ids} --progress plain"), &sim), 80);
        assert!(screen.contains("0s boot-1: connecting\r\n") && !screen.contains("\x1b[2K"), "{screen:?}");
        let (finished, screen) = on_terminal(wait(&format!("{ids} --progress none"), &sim), 80);
        assert_eq!((finished.code, screen.contains("boot-1")), (Some(0), false), "{screen:?}");
    }
}

#[test]
fn the_taskbar_shows_progress_where_the_terminal_takes_it() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let (_, screen) = on_terminal(wait("boot-1", &sim).env("TERM_PROGRAM", "ghostty"), 80);
    let sent: Vec<_> = screen.split("\x1b]9;4;").skip(1).map(|rest| rest.split('\x1b').next().unwrap()).collect();
    assert_eq!((sent[0], *sent.last().unwrap()), ("3;0", "0;0"), "{sent:?}");
    assert!(sent.contains(&"1;50"), "four of eight steps: {sent:?}");
    for (name, value) in [("TERM_PROGRAM", "Apple_Terminal"), ("NO_COLOR", "1")] {
        let (_, screen) = on_terminal(wait("boot-2", &sim).env(name, value), 80);
        assert!(!screen.contains("\x1b]9;"), "{screen:?}");
    }
}

#[test]
fn errors_are_red_and_hints_dim() {
    let sim = Sim::start().unwrap();
    let (_, screen) = on_terminal(wait("http-404-1 --target runing", &sim), 200);
    for coloured in ["\x1b[33mwarning:\x1b[0m target", "\x1b[2mhint: ", "\x1b[31m\x1b[1merror:\x1b[0m the server"] {
        assert!(screen.contains(coloured), "{coloured:?}: {screen:?}");
    }
    let (_, screen) = on_terminal(wait("http-404-1 --target runing", &sim).env("NO_COLOR", "1"), 200);
    assert!(!has_colour(&screen) && screen.contains("\nerror: the server"), "{screen:?}");
}
