//! Progress without a terminal: a line for each change, and a heartbeat when nothing changes.

use std::io::Write;
use std::time::Duration;

use cvm_watch_core::printable;
use cvm_watch_hyper::Update;
use tokio::time::Instant;

use super::pace::{self, Pace};
use super::progress::Progress;
use crate::duration;
use crate::output::Lines;

/// Progress as lines.
pub(super) struct Log<W> {
    to: Lines<W>,
    name: String,
    started: Instant,
    progress: Progress,
    pace: Pace,
}

impl<W: Write> Log<W> {
    pub(super) fn new(to: W, id: &str) -> Self {
        let progress = Progress::new();
        Self { to: Lines::new(to), name: printable(id, 100), started: Instant::now(), progress, pace: Pace::new() }
    }

    /// Says whether a line was printed.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        let is_printed = self.progress.update(update) && self.pace.allows();
        if is_printed {
            self.print("", &self.progress.text());
        }
        is_printed
    }

    /// When a change that was held back is to be printed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pace.due()
    }

    /// Prints the change that was held back, if there is one.
    pub(super) fn flush(&mut self) {
        if self.pace.due().is_some() {
            self.print("", &self.progress.text());
        }
    }

    pub(super) fn heartbeat(&mut self) {
        self.print("still ", &self.progress.text());
    }

    /// Prints a line of another kind.
    pub(super) fn line(&mut self, line: String) {
        // A closed output ends the printing, not the wait.
        let _ = self.to.print(line);
    }

    /// How long the wait has been going on.
    pub(super) fn passed(&self) -> String {
        duration::passed(self.started.elapsed())
    }

    /// For how long the target was steady, if it counts for that.
    pub(super) fn steady(&self) -> Option<Duration> {
        self.progress.steady
    }

    fn print(&mut self, still: &str, text: &str) {
        let left_out = pace::left_out(self.pace.print());
        let text = line(&self.passed(), &self.name, &format!("{still}{text}"), self.progress.attempt);
        self.line(text + &left_out);
    }
}

/// A line about a CVM: the time passed, its name, the text, and the attempt from the second on.
pub(super) fn line(passed: &str, name: &str, text: &str, attempt: u64) -> String {
    let attempt = match attempt {
        0 | 1 => String::new(),
        attempt => format!(" (attempt {attempt})"),
    };
    format!("{passed:>6} {name}: {text}{attempt}")
}
