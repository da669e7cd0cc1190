//! Progress on a terminal: one line, redrawn in place.

use std::fmt::Write;
use std::time::Duration;

use console::{Term, measure_text_width, style, truncate_str};
use cvm_watch_core::printable;
use cvm_watch_hyper::Update;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::progress::Progress;
use crate::{duration, output};

/// Columns for the spinner, the time and the spaces after them.
const FRAME: usize = 2 + 7;

/// Progress as one live line.
pub(super) struct Live {
    bar: ProgressBar,
    id: String,
    progress: Progress,
}

impl Live {
    pub(super) fn new(id: &str) -> Self {
        console::set_colors_enabled_stderr(output::colours_are_welcome());
        let passed = |state: &ProgressState, out: &mut dyn Write| {
            // What is written to is a String: it cannot fail.
            let _ = out.write_str(&duration::passed(state.elapsed()));
        };
        let frame = ProgressStyle::with_template("{spinner:.cyan} {passed:>6} {msg}");
        let frame = frame.unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("passed", passed);
        let bar = ProgressBar::with_draw_target(None, output::draw_target()).with_style(frame);
        let live = Self { bar, id: printable(id, 200), progress: Progress::new() };
        live.draw();
        live.bar.enable_steady_tick(Duration::from_millis(100));
        live
    }

    pub(super) fn update(&mut self, update: &Update) {
        if self.progress.update(update) {
            self.draw();
        }
    }

    /// Prints a line that stays, above the live one.
    pub(super) fn aside(&self, line: String) {
        self.bar.suspend(|| output::to_stderr(line));
    }

    /// Takes the line away, so that what is printed next begins on a clean one.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self) {
        let (_, columns) = Term::stderr().size();
        self.bar.set_message(line(&self.id, &self.progress, columns.into()));
    }
}

/// What stands behind mark and time, in colours, where the terminal has so many columns.
pub(super) fn line(id: &str, progress: &Progress, columns: usize) -> String {
    let parts = Parts::fit(id, progress, columns);
    let headline = style(parts.headline);
    let headline = match (progress.is_status, progress.is_routine) {
        (true, _) => headline.cyan(),
        (false, true) => headline,
        (false, false) => headline.yellow(),
    };
    let detail = style(parts.detail).dim();
    format!("{} {}{}{}", parts.name, headline.for_stderr(), detail.for_stderr(), parts.attempt)
}

/// The line's parts, cut so that together they fit the terminal.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    name: String,
    headline: String,
    detail: String,
    attempt: String,
}

impl Parts {
    fn fit(id: &str, progress: &Progress, columns: usize) -> Self {
        let cut = |text: &str, width: usize| truncate_str(text, width, if width > 0 { "…" } else { "" }).into_owned();
        let attempt = if progress.attempt > 1 { format!(" #{}", progress.attempt) } else { String::new() };
        let room = columns.saturating_sub(FRAME + attempt.len());
        let name = cut(id, room / 2);
        let room = room.saturating_sub(measure_text_width(&name) + 1);
        let headline = cut(&progress.headline, room);
        let room = room.saturating_sub(measure_text_width(&headline));
        let detail = if progress.detail.is_empty() { String::new() } else { format!(" · {}", progress.detail) };
        Self { name, headline, detail: cut(&detail, room), attempt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_the_terminal_and_the_detail_is_cut_first() {
        let uuid = "550e8400e29b41d4a716446655440000";
        let mut progress = Progress::new();
        progress.headline = "starting".to_owned();
        progress.detail = "mounting data disk".to_owned();
        let line = |progress: &Progress, id: &str, columns: usize| {
            let Parts { name, headline, detail, attempt } = Parts::fit(id, progress, columns);
            let line = format!("{name} {headline}{detail}{attempt}");
            assert!(columns < 20 || measure_text_width(&line) <= columns - FRAME, "{columns}: {line}");
            line
        };
        assert_eq!(line(&progress, "my-cvm", 80), "my-cvm starting · mounting data disk");
        assert_eq!(line(&progress, "my-cvm", 40), "my-cvm starting · mounting dat…");
        assert_eq!(line(&progress, uuid, 40), "550e8400e29b41… starting · mou…");
        progress.attempt = 12;
        assert_eq!(line(&progress, uuid, 40), "550e8400e29b… starting · m… #12");
        assert_eq!(line(&progress, "ＷＩＤＥ－ｉｄ", 40), "ＷＩＤＥ－ｉ… starting · m… #12");
        for columns in 0..120 {
            line(&progress, uuid, columns);
        }
    }
}
