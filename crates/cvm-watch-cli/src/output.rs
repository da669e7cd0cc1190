//! Standard output and error. Either can be closed, full, stopped or non-blocking without an effect
//! on the wait and its exit code.

mod queue;
mod screen;
mod standard;
mod taskbar;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cvm_watch_core::printable;

use crate::exit::Exit;
pub(crate) use queue::Queue;
pub(crate) use screen::draw_target;
pub(crate) use standard::{Input, Standard};
pub(crate) use taskbar::Taskbar;

/// The most bytes that wait to be printed before the next update is read.
const MOST_WAITING: usize = 4 << 20;
/// How long unread output delays the exit after the deadline.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most bytes of a failure's last line, its line end included.
const FAILURE_LINE: usize = 299;

/// A stream that lines are printed to until it is closed; from then on they are dropped.
pub(crate) struct Lines<W> {
    to: Option<W>,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to: Some(to) }
    }

    /// Prints a line in one write, at once.
    ///
    /// # Errors
    ///
    /// The one that closes it, once.
    pub(crate) fn print(&mut self, line: impl Into<String>) -> io::Result<()> {
        let Some(to) = &mut self.to else { return Ok(()) };
        let mut line = line.into();
        line.push('\n');
        let written = to.write_all(line.as_bytes()).and_then(|()| to.flush());
        if written.is_err() {
            self.to = None;
        }
        written
    }
}

/// Standard output or error of a command that must not block while its output is not read: writes are queued, and a
/// thread prints them.
pub(crate) struct Queued(Standard);

/// Standard output, queued.
pub(crate) fn stdout() -> Queued {
    Queued(Standard::Output)
}

/// Standard error, queued.
pub(crate) fn stderr() -> Queued {
    Queued(Standard::Error)
}

impl Write for Queued {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        queue(self.0).push((self.0, bytes.to_vec()), bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type OutputQueue = Queue<(Standard, Vec<u8>)>;

struct Queues {
    stdout: OutputQueue,
    /// None where both go to the same terminal, pipe or file: one queue keeps their order.
    stderr: Option<OutputQueue>,
}

fn queues() -> &'static Queues {
    static QUEUES: OnceLock<Queues> = OnceLock::new();
    QUEUES.get_or_init(|| {
        let stderr = (!Standard::are_one()).then(|| Queue::new("stderr", print_queued()));
        Queues { stdout: Queue::new("stdout", print_queued()), stderr }
    })
}

fn queue(standard: Standard) -> &'static OutputQueue {
    let queues = queues();
    match (standard, &queues.stderr) {
        (Standard::Error, Some(stderr)) => stderr,
        _ => &queues.stdout,
    }
}

/// Prints what was queued; once that fails, the rest is dropped.
fn print_queued() -> impl FnMut((Standard, Vec<u8>)) + Send {
    let mut failed = Vec::new();
    move |(mut standard, bytes)| {
        if !failed.contains(&standard)
            && let Err(error) = standard.write_all(&bytes)
        {
            failed.push(standard);
            if standard == Standard::Output {
                warn_of(&error);
            }
        }
    }
}

/// Reports on standard error that standard output cannot be written, such as a file on a full disk. A
/// pipe that its reader has closed is not reported.
pub(crate) fn warn_of(error: &io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        to_stderr(format!("warning: cannot write to stdout: {error}"));
    }
}

/// When the program no longer waits for who reads its output.
static LIMIT: OnceLock<Instant> = OnceLock::new();

/// Limits how long the program waits for who reads its output: the deadline of a wait that begins now,
/// and a second more at the end.
pub(crate) fn limit_by(deadline: Option<Duration>) {
    if let Some(limit) = deadline.and_then(|deadline| Instant::now().checked_add(deadline)) {
        // There is one wait in a run.
        let _ = LIMIT.set(limit);
    }
}

/// Waits until readers are not far behind, so that one that is slow slows the wait down instead of
/// filling the memory.
pub(crate) async fn caught_up() {
    let caught_up = async {
        queue(Standard::Output).at_most(MOST_WAITING).await;
        queue(Standard::Error).at_most(MOST_WAITING).await;
    };
    match LIMIT.get() {
        Some(limit) => drop(tokio::time::timeout_at((*limit).into(), caught_up).await),
        None => caught_up.await,
    }
}

/// Blocks until everything is printed, or until the limit; one second at least.
pub(crate) fn drain() {
    drain_one(Standard::Output);
    drain_one(Standard::Error);
}

fn drain_one(standard: Standard) {
    let until = LIMIT.get().map(|limit| (*limit).max(Instant::now() + PATIENCE));
    queue(standard).drain(until);
}

/// Prints a line on standard output, if that is open.
pub(crate) fn to_stdout(line: impl Into<String>) {
    let _ = Lines::new(stdout()).print(line);
}

/// Prints a line on standard error, if that is open; its label, such as `hint: `, has a colour on a terminal.
pub(crate) fn to_stderr(line: impl Into<String>) {
    let _ = Lines::new(stderr()).print(labelled(&line.into()));
}

/// Prints a whole document on standard output. A reader may close it before its end.
pub(crate) fn document(text: &[u8]) -> Exit {
    match Standard::Output.write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failure(&format!("cannot write to stdout: {error}"));
            Exit::Failure
        }
        _ => Exit::Success,
    }
}

/// Prints the one line that ends a failed run, after everything else.
pub(crate) fn failure(message: &str) {
    drain_one(Standard::Output);
    to_stderr(failure_line(message));
}

/// The line with its label in colour, on a terminal: errors red, warnings yellow, hints dim.
fn labelled(line: &str) -> String {
    let Some((label, text)) = line.split_once(": ") else { return line.to_owned() };
    let shown = console::style(format!("{label}:"));
    match label {
        "error" => format!("{} {text}", shown.red().bold().for_stderr()),
        "warning" => format!("{} {text}", shown.yellow().for_stderr()),
        "hint" => console::style(line).dim().for_stderr().to_string(),
        _ => line.to_owned(),
    }
}

fn failure_line(message: &str) -> String {
    let line = format!("error: {}", printable(message, usize::MAX));
    if line.len() < FAILURE_LINE {
        return line;
    }
    let cut = line.char_indices().map(|(at, _)| at).take_while(|at| at + '…'.len_utf8() < FAILURE_LINE).last();
    format!("{}…", line.get(..cut.unwrap_or_default()).unwrap_or_default())
}

/// Whether the result is printed on a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether standard error is a terminal on which a line may be redrawn: one that says what it is, that no CI
/// runner reads, and that is not the shell's while this process runs in the background.
pub(crate) fn stderr_is_lively() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_able = set("TERM").is_some_and(|term| term != "dumb");
    let is_ci = set("CI").is_some_and(|ci| ci != "false" && ci != "0");
    io::stderr().is_terminal() && is_able && !is_ci && !screen::is_in_background()
}

/// Switches colours on where standard error is a terminal that has them, and they are welcome
/// (<https://no-color.org>).
pub(crate) fn set_colours() {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_able = set("TERM").is_some_and(|term| term != "dumb");
    console::set_colors_enabled_stderr(io::stderr().is_terminal() && is_able && set("NO_COLOR").is_none());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_stream_is_reported_once_and_then_left_alone() {
        let mut lines = Lines::new(Closed);
        assert_eq!(lines.print("a").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        lines.print("b").unwrap();
    }

    #[test]
    fn a_failure_is_one_short_harmless_line() {
        assert_eq!(failure_line("the target is blank"), "error: the target is blank");
        assert_eq!(failure_line("a\n\x1b[2J::error::b"), r"error: a\n\x1b[2J::error::b");
        for long in ["x".repeat(5000), "ä".repeat(5000), "\n".repeat(5000), "x".repeat(291), "x".repeat(292)] {
            let line = failure_line(&long);
            assert!(line.len() < FAILURE_LINE && line.len() > 290, "{}", line.len());
        }
        let fits = "x".repeat(291);
        assert_eq!(failure_line(&fits), format!("error: {fits}"));
    }
}
