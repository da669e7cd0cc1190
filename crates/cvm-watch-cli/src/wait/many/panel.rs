//! Progress of many CVMs on a terminal: a line each, redrawn in place.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::{Term, measure_text_width, style, truncate_str};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::super::live;
use super::super::progress::Progress;
use super::roster::{Member, Roster};
use crate::{duration, output};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// How often the lines are drawn, and the spinner turns.
const BEAT: Duration = Duration::from_millis(100);
/// The most columns of a name, where they are aligned.
const NAME_WIDTH: usize = 40;

/// The live lines. One bar of several lines draws them all, at its own beat: however many updates
/// come, they cost no drawing.
pub(super) struct Panel {
    bar: ProgressBar,
    view: Arc<Mutex<View>>,
}

/// What is drawn.
#[derive(Default)]
struct View {
    rows: Vec<Row>,
    tally: String,
}

/// A line.
#[derive(Clone)]
struct Row {
    name: String,
    progress: Progress,
    changed: Duration,
    /// Whether it has got there, and after how long, if its wait has ended.
    end: Option<(bool, Duration)>,
}

impl Panel {
    pub(super) fn new(roster: &Roster) -> Self {
        console::set_colors_enabled_stderr(output::colours_are_welcome());
        let rows = roster.members().iter().map(Row::of).collect();
        let view = Arc::new(Mutex::new(View { rows, tally: roster.tally() }));
        let drawn = Arc::clone(&view);
        let draw = move |state: &ProgressState, out: &mut dyn Write| {
            let (lines, columns) = Term::stderr().size();
            let frame = lock(&drawn).frame(state.elapsed(), lines.into(), columns.into());
            // What is written to is a String: it cannot fail.
            let _ = out.write_str(&frame.join("\n"));
        };
        let frame = ProgressStyle::with_template("{frame}");
        let frame = frame.unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("frame", draw);
        let bar = ProgressBar::with_draw_target(None, output::draw_target()).with_style(frame);
        bar.enable_steady_tick(BEAT);
        Self { bar, view }
    }

    /// Shows how one of them stands now.
    pub(super) fn show(&self, index: usize, roster: &Roster) {
        let mut view = lock(&self.view);
        view.tally = roster.tally();
        if let (Some(row), Some(member)) = (view.rows.get_mut(index), roster.member(index)) {
            *row = Row::of(member);
        }
    }

    /// Prints a line that stays, above the live ones.
    pub(super) fn aside(&self, line: String) {
        self.bar.suspend(|| output::to_stderr(line));
    }

    /// Takes the lines away, so that what is printed next begins on a clean one.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn lock(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Row {
    fn of(member: &Member) -> Self {
        let end = member.end.as_ref().map(|end| (member.has_reached(), end.after));
        Self { name: member.name.clone(), progress: member.progress.clone(), changed: member.changed, end }
    }

    fn line(&self, passed: Duration, name_width: usize, columns: usize) -> String {
        let turn = usize::try_from(passed.as_millis() / BEAT.as_millis()).unwrap_or_default() % SPINNER.len();
        let (mark, time) = match self.end {
            Some((true, after)) => (style("✓").green(), after),
            Some((false, after)) => (style("✗").red(), after),
            None => (style(SPINNER.get(turn).copied().unwrap_or_default()).cyan(), passed),
        };
        let name = truncate_str(&self.name, name_width, "…");
        let pad = " ".repeat(name_width.saturating_sub(measure_text_width(&name)));
        let rest = live::line(&format!("{name}{pad}"), &self.progress, columns);
        format!("{} {:>6} {rest}", mark.for_stderr(), duration::passed(time))
    }
}

impl View {
    /// The lines of a terminal of this size. Where not all fit, there are those that have not ended
    /// and that changed last, and a line that counts all.
    fn frame(&self, passed: Duration, lines: usize, columns: usize) -> Vec<String> {
        // One line is left for the cursor; drawing a full screen would scroll it.
        let room = lines.saturating_sub(1).max(1);
        let fits = self.rows.len() <= room;
        let shown = if fits { self.rows.iter().collect() } else { self.in_flux(room - 1) };
        let widest = shown.iter().map(|row| measure_text_width(&row.name)).max().unwrap_or_default();
        let name_width = widest.min(NAME_WIDTH).min(columns / 3);
        let mut frame: Vec<String> = shown.iter().map(|row| row.line(passed, name_width, columns)).collect();
        if !fits {
            let tally = format!("{:>8} {}", duration::passed(passed), self.tally);
            frame.push(truncate_str(&tally, columns, "…").into_owned());
        }
        frame
    }

    /// So many of those that have not ended, in the order in which they were given.
    fn in_flux(&self, most: usize) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows.iter().enumerate().filter(|(_, row)| row.end.is_none()).collect();
        rows.sort_by_key(|(index, row)| (core::cmp::Reverse(row.changed), *index));
        rows.truncate(most);
        rows.sort_by_key(|(index, _)| *index);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, changed: u64, end: Option<bool>) -> Row {
        let mut progress = Progress::of_many();
        progress.headline = "starting".to_owned();
        progress.detail = "mounting data disk".to_owned();
        let end = end.map(|reached| (reached, Duration::from_secs(3)));
        Row { name: name.to_owned(), progress, changed: Duration::from_secs(changed), end }
    }

    fn drawn(view: &View, lines: usize, columns: usize) -> Vec<String> {
        let frame = view.frame(Duration::from_secs(65), lines, columns);
        assert!(frame.len() <= lines.saturating_sub(1).max(1), "{lines}: {frame:?}");
        let plain: Vec<_> = frame.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect();
        for line in &plain {
            assert!(columns < 40 || measure_text_width(line) <= columns, "{columns}: {line}");
        }
        plain
    }

    #[test]
    fn each_cvm_has_an_aligned_line() {
        let rows = vec![row("a", 1, None), row("blue", 2, Some(true)), row("c", 2, Some(false))];
        let view = View { rows, tally: String::new() };
        assert_eq!(
            drawn(&view, 24, 60),
            [
                "⠋  1m05s a    starting · mounting data disk",
                "✓     3s blue starting · mounting data disk",
                "✗     3s c    starting · mounting data disk",
            ]
        );
        for (lines, columns) in (0..10).flat_map(|lines| (0..80).map(move |columns| (lines, columns))) {
            drawn(&view, lines, columns);
        }
    }

    #[test]
    fn where_not_all_fit_those_in_flux_are_shown_and_all_are_counted() {
        let rows = (0..50).map(|n| row(&format!("cvm-{n}"), n % 10, (n < 20).then_some(true))).collect();
        let view = View { rows, tally: "20 of 50 reached; 30 starting".to_owned() };
        assert_eq!(
            drawn(&view, 6, 80),
            [
                "⠋  1m05s cvm-28 starting · mounting data disk",
                "⠋  1m05s cvm-29 starting · mounting data disk",
                "⠋  1m05s cvm-39 starting · mounting data disk",
                "⠋  1m05s cvm-49 starting · mounting data disk",
                "   1m05s 20 of 50 reached; 30 starting",
            ]
        );
        assert_eq!(drawn(&view, 0, 80), ["   1m05s 20 of 50 reached; 30 starting"]);
    }
}
