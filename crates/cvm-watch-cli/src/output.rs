//! Standard output and error that can be closed under the program without ending it.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use cvm_watch_core::printable;

use crate::exit::Exit;

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

/// Standard output. That it cannot be written is told on standard error, once: nobody can see what is
/// missing in a file on a full disk. A closed pipe is no trouble: whoever closed it knows.
pub(crate) struct Stdout(io::Stdout);

/// Standard output, to print a run's results to.
pub(crate) fn stdout() -> Stdout {
    Stdout(io::stdout())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(tell)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).inspect_err(tell)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(tell)
    }
}

fn tell(error: &io::Error) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let is_trouble = !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted);
    if is_trouble && !TOLD.swap(true, Ordering::Relaxed) {
        to_stderr(format!("warning: cannot write to stdout: {error}"));
    }
}

/// Prints a line on standard output, if that is open.
pub(crate) fn to_stdout(line: impl Into<String>) {
    let _ = Lines::new(stdout()).print(line);
}

/// Prints a line on standard error, if that is open.
pub(crate) fn to_stderr(line: impl Into<String>) {
    let _ = Lines::new(io::stderr()).print(line);
}

/// Prints a whole document on standard output. Whoever reads it may have seen enough before its end.
pub(crate) fn document(text: &[u8]) -> Exit {
    let mut stdout = io::stdout();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failure(&format!("cannot write to stdout: {error}"));
            Exit::Failure
        }
        _ => Exit::Success,
    }
}

/// Prints the one line that ends a failed run.
pub(crate) fn failure(message: &str) {
    to_stderr(failure_line(message));
}

fn failure_line(message: &str) -> String {
    let line = format!("error: {}", printable(message, usize::MAX));
    if line.len() < FAILURE_LINE {
        return line;
    }
    let cut = line.char_indices().map(|(at, _)| at).take_while(|at| at + '…'.len_utf8() < FAILURE_LINE).last();
    format!("{}…", line.get(..cut.unwrap_or_default()).unwrap_or_default())
}

/// Whether standard error is a terminal on which a line may be redrawn: one that says what it is, and that
/// no CI runner reads.
pub(crate) fn stderr_is_lively() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_able = set("TERM").is_some_and(|term| term != "dumb");
    let is_ci = set("CI").is_some_and(|ci| ci != "false" && ci != "0");
    io::stderr().is_terminal() && is_able && !is_ci
}

/// Whether colours are welcome (<https://no-color.org>).
pub(crate) fn colours_are_welcome() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
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
