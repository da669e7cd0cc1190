//! Progress on a terminal: one line, redrawn in place.

use std::fmt::Write;
use std::time::Duration;

use console::{Term, style};
use cvm_watch_core::printable;
use cvm_watch_hyper::Update;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::progress::Progress;
use crate::{duration, output};

/// Columns for all but the name and the headline: the spinner, the time and the attempt.
const FRAME: usize = 16;

/// Progress as one live line.
pub(super) struct Live {
    bar: ProgressBar,
    id: String,
    progress: Progress,
}

impl Live {
    pub(super) fn new(id: &str) -> Self {
        console::set_colors_enabled_stderr(output::colours_are_welcome());
        let live = Self { bar: ProgressBar::new_spinner(), id: id.to_owned(), progress: Progress::new() };
        live.draw();
        live.bar.enable_steady_tick(Duration::from_millis(100));
        live
    }

    pub(super) fn update(&mut self, update: &Update) {
        if self.progress.update(update) {
            self.draw();
        }
    }

    /// Takes the line away, so that what is printed next begins on a clean one.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self) {
        let (_, columns) = Term::stderr().size();
        let Progress { attempt, headline, detail, is_status } = &self.progress;
        let (name, headline) = beginning(&self.id, headline, columns.into());
        let headline = if *is_status { style(headline).cyan() } else { style(headline).yellow() };
        let detail = if detail.is_empty() { String::new() } else { format!(" · {detail}") };
        self.bar.set_style(frame(*attempt));
        // In one go: each call draws.
        self.bar.set_message(format!("{name} {}{}", headline.for_stderr(), style(detail).for_stderr().dim()));
    }
}

/// The name and the headline, cut to what a terminal of so many columns has for them.
fn beginning(id: &str, headline: &str, columns: usize) -> (String, String) {
    let room = columns.saturating_sub(FRAME);
    let name = printable(id, room / 2);
    let headline = printable(headline, room.saturating_sub(name.chars().count()));
    (name, headline)
}

/// What stands around the message, which takes the room that is left: its end, the detail, is cut
/// first.
fn frame(attempt: u64) -> ProgressStyle {
    let passed = |state: &ProgressState, out: &mut dyn Write| {
        // What is written to is a String: it cannot fail.
        let _ = out.write_str(&duration::passed(state.elapsed()));
    };
    let template = match attempt {
        0 | 1 => "{spinner:.cyan} {wide_msg} {passed}".to_owned(),
        attempt => format!("{{spinner:.cyan}} {{wide_msg}} {{passed}} #{attempt}"),
    };
    let plain = ProgressStyle::default_spinner();
    plain.template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("passed", passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_headline_fit_the_terminal() {
        let uuid = "550e8400e29b41d4a716446655440000";
        for (columns, name, headline) in
            [(80, uuid, "shutting_down"), (40, "550e8400e29…", "shutting_do…"), (24, "550…", "shu…"), (0, "", "")]
        {
            assert_eq!(beginning(uuid, "shutting_down", columns), (name.to_owned(), headline.to_owned()), "{columns}");
        }
        assert_eq!(beginning("my-cvm", "shutting_down", 40).1, "shutting_down");
    }
}
