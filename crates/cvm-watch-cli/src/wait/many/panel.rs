//! Progress of many CVMs on a terminal: those that go on, redrawn in place, and a line that counts all.
//! Those that have ended scroll up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use console::{measure_text_width, truncate_str};
use indicatif::ProgressBar;

use super::super::live::{Limit, drawn_by, end, line, lock, spinner, time};
use super::super::progress::Progress;
use super::roster::{Member, Roster};
use crate::output::{self, Taskbar};

/// The most columns of a name, where they are aligned.
const NAME_WIDTH: usize = 40;
/// The most lines that are redrawn, the one that counts included.
const MOST_LINES: usize = 11;

/// The live lines. One bar of several lines draws them all, at its own beat: however many updates
/// come, they cost no drawing.
pub(super) struct Panel {
    bar: ProgressBar,
    view: Arc<Mutex<View>>,
    taskbar: Taskbar,
    is_verbose: bool,
}

/// What is drawn.
#[derive(Default)]
struct View {
    rows: Vec<Row>,
    tally: String,
    limit: Option<Limit>,
}

/// A line.
#[derive(Clone)]
struct Row {
    name: String,
    progress: Progress,
    changed: Duration,
    has_ended: bool,
}

impl Panel {
    pub(super) fn new(roster: &Roster, limit: Option<Limit>, is_verbose: bool) -> Self {
        let rows = roster.members().iter().map(Row::of).collect();
        let view = Arc::new(Mutex::new(View { rows, tally: roster.tally(), limit }));
        let drawn = Arc::clone(&view);
        let bar = drawn_by(move |passed, lines, columns| lock(&drawn).frame(passed, lines, columns).join("\n"));
        let mut taskbar = Taskbar::new();
        taskbar.show(Some(0));
        Self { bar, view, taskbar, is_verbose }
    }

    /// Shows how one of them stands now.
    pub(super) fn show(&mut self, index: usize, roster: &Roster) {
        let Some(member) = roster.member(index) else { return };
        {
            let mut view = lock(&self.view);
            view.tally = roster.tally();
            if let Some(row) = view.rows.get_mut(index) {
                *row = Row::of(member);
            }
        }
        if let Some(ended) = &member.end {
            let steps = member.progress.step_times().filter(|_| self.is_verbose);
            self.bar.suspend(|| {
                output::to_stderr(end(&member.name, &ended.ended, ended.after));
                steps.into_iter().for_each(output::to_stderr);
            });
            self.taskbar.show(Some(roster.percent()));
        }
    }

    /// Prints a line that stays, above the live ones.
    pub(super) fn aside(&self, line: String) {
        self.bar.suspend(|| output::to_stderr(line));
    }

    /// Takes the lines away, so that what is printed next begins on a clean one.
    pub(super) fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.taskbar.clear();
    }
}

impl Row {
    fn of(member: &Member) -> Self {
        let has_ended = member.end.is_some();
        Self { name: member.name.clone(), progress: member.progress.clone(), changed: member.changed, has_ended }
    }

    fn line(&self, passed: Duration, name_width: usize, columns: usize) -> String {
        let name = truncate_str(&self.name, name_width, "…");
        let pad = " ".repeat(name_width.saturating_sub(measure_text_width(&name)));
        format!("{} {}", spinner(passed), line(&format!("{name}{pad}"), &self.progress, columns.saturating_sub(2)))
    }
}

impl View {
    /// The lines of a terminal of this size: those that have not ended and that changed last, and a line
    /// that counts all.
    fn frame(&self, passed: Duration, lines: usize, columns: usize) -> Vec<String> {
        // One line is left for the cursor; drawing a full screen would scroll it.
        let room = lines.saturating_sub(1).clamp(1, MOST_LINES);
        let shown = self.in_flux(room - 1);
        let widest = shown.iter().map(|row| measure_text_width(&row.name)).max().unwrap_or_default();
        let name_width = widest.min(NAME_WIDTH).min(columns / 3);
        let mut frame: Vec<String> = shown.iter().map(|row| row.line(passed, name_width, columns)).collect();
        let tally = format!("{} {}", time(passed, self.limit), self.tally);
        frame.push(truncate_str(&tally, columns, "…").into_owned());
        frame
    }

    /// So many of those that have not ended, in the order in which they were given.
    fn in_flux(&self, most: usize) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows.iter().enumerate().filter(|(_, row)| !row.has_ended).collect();
        rows.sort_by_key(|(index, row)| (core::cmp::Reverse(row.changed), *index));
        rows.truncate(most);
        rows.sort_by_key(|(index, _)| *index);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, changed: u64, has_ended: bool) -> Row {
        let mut progress = Progress::of_many();
        progress.headline = "starting".to_owned();
        progress.detail = "mounting data disk".to_owned();
        Row { name: name.to_owned(), progress, changed: Duration::from_secs(changed), has_ended }
    }

    fn drawn(view: &View, lines: usize, columns: usize) -> Vec<String> {
        let frame = view.frame(Duration::from_secs(65), lines, columns);
        assert!(frame.len() <= lines.saturating_sub(1).max(1), "{lines}: {frame:?}");
        let plain: Vec<_> = frame.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        for line in &plain {
            assert!(columns < 20 || measure_text_width(line) <= columns, "{columns}: {line}");
        }
        plain
    }

    #[test]
    fn each_cvm_that_goes_on_has_an_aligned_line_above_the_count() {
        let rows = vec![row("a", 1, false), row("blue", 2, false), row("c", 2, true)];
        let view = View {
            rows,
            tally: "1 of 3 reached; 2 starting".to_owned(),
            limit: Some(Limit::Deadline(Duration::from_secs(600))),
        };
        assert_eq!(
            drawn(&view, 24, 60),
            [
                "⠋ a    starting · mounting data disk",
                "⠋ blue starting · mounting data disk",
                " 1m05s / 10m 1 of 3 reached; 2 starting",
            ]
        );
        for (lines, columns) in (0..10).flat_map(|lines| (0..80).map(move |columns| (lines, columns))) {
            drawn(&view, lines, columns);
        }
    }

    #[test]
    fn where_not_all_fit_those_in_flux_are_shown_and_all_are_counted() {
        let rows = (0..50).map(|n| row(&format!("cvm-{n}"), n % 10, n < 20)).collect();
        let view = View { rows, tally: "20 of 50 reached; 30 starting".to_owned(), limit: None };
        assert_eq!(
            drawn(&view, 6, 80),
            [
                "⠋ cvm-28 starting · mounting data disk",
                "⠋ cvm-29 starting · mounting data disk",
                "⠋ cvm-39 starting · mounting data disk",
                "⠋ cvm-49 starting · mounting data disk",
                " 1m05s 20 of 50 reached; 30 starting",
            ]
        );
        assert_eq!(drawn(&view, 200, 80).len(), MOST_LINES, "the live part stays small");
        assert_eq!(drawn(&view, 0, 80), [" 1m05s 20 of 50 reached; 30 starting"]);
    }
}
