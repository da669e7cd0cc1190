//! Progress on a terminal: one line, redrawn in place, and the line that it becomes at the end.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use console::{Term, measure_text_width, style, truncate_str};
use cvm_watch_core::printable;
use cvm_watch_hyper::Update;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::time::Instant;

use super::ended::Ended;
use super::progress::Progress;
use crate::args::WaitArgs;
use crate::duration;
use crate::output::{self, Taskbar};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// How often the lines are drawn, and the spinner advances.
pub(super) const BEAT: Duration = Duration::from_millis(100);
/// On a terminal of fewer columns the step is more useful than the limit.
const LIMIT_COLUMNS: usize = 60;
/// The most columns of the name and the reason in the last line.
const END_WIDTH: usize = 200;

/// Progress as one live line.
pub(super) struct Live {
    bar: ProgressBar,
    id: String,
    progress: Arc<Mutex<Progress>>,
    started: Instant,
    is_verbose: bool,
    taskbar: Taskbar,
}

impl Live {
    pub(super) fn new(id: &str, limit: Option<Limit>, is_verbose: bool) -> Self {
        let progress = Arc::new(Mutex::new(Progress::new()));
        let (drawn, name) = (Arc::clone(&progress), printable(id, 200));
        let bar = drawn_by(move |passed, _, columns| {
            let time = time(passed, limit.filter(|_| columns >= LIMIT_COLUMNS));
            let room = columns.saturating_sub(measure_text_width(&time) + 3);
            format!("{} {time} {}", spinner(passed), line(&name, &lock(&drawn), room))
        });
        let mut taskbar = Taskbar::new();
        taskbar.show(None);
        Self { bar, id: printable(id, 200), progress, started: Instant::now(), is_verbose, taskbar }
    }

    pub(super) fn update(&mut self, update: &Update) {
        let percent = {
            let mut progress = lock(&self.progress);
            if !progress.update(update) {
                return;
            }
            progress.percent()
        };
        self.taskbar.show(percent);
        // Draws at once, so that a short step is seen too.
        self.bar.set_message("");
    }

    /// Prints a line that stays, above the live one.
    pub(super) fn aside(&self, line: String) {
        self.bar.suspend(|| output::to_stderr(line));
    }

    /// Puts the last line in the place of the live one. Where the result on stdout goes to the terminal too,
    /// success needs no second line.
    pub(super) fn end(&mut self, ended: &Ended) {
        self.bar.finish_and_clear();
        self.taskbar.clear();
        if ended.outcome.is_err() || self.is_verbose || !output::stdout_is_terminal() {
            output::to_stderr(end(&self.id, ended, self.started.elapsed()));
        }
        if let Some(times) = lock(&self.progress).step_times().filter(|_| self.is_verbose) {
            output::to_stderr(times);
        }
    }
}

/// Starts to draw what this function makes of the time since the start, and of the lines and columns of
/// the terminal. Drawing has its own beat, so updates cost none.
pub(super) fn drawn_by(
    frame: impl Fn(Duration, usize, usize) -> String + Clone + Send + Sync + 'static,
) -> ProgressBar {
    let draw = move |state: &ProgressState, out: &mut dyn Write| {
        let (lines, columns) = Term::stderr().size();
        // What is written to is a String: it cannot fail.
        let _ = out.write_str(&frame(state.elapsed(), lines.into(), columns.into()));
    };
    let style = ProgressStyle::with_template("{frame}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("frame", draw);
    let bar = ProgressBar::with_draw_target(None, output::draw_target()).with_style(style);
    bar.enable_steady_tick(BEAT);
    bar
}

/// The spinner at this time.
pub(super) fn spinner(passed: Duration) -> String {
    let frame = usize::try_from(passed.as_millis() / BEAT.as_millis()).unwrap_or_default() % SPINNER.len();
    style(SPINNER.get(frame).copied().unwrap_or_default()).cyan().for_stderr().to_string()
}

/// The limit of a whole wait, as the live line shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The time given as `--deadline`.
    Deadline(Duration),
    /// The wait ends only with its target, a failure or a signal.
    Never,
}

impl Limit {
    /// The limit by these flags; `None` if the retries alone are limited, which is no time to show.
    pub(super) fn of(args: &WaitArgs) -> Option<Self> {
        match (args.deadline, args.max_retries) {
            (Some(deadline), _) => Some(Self::Deadline(deadline)),
            (None, Some(_)) => None,
            (None, None) => Some(Self::Never),
        }
    }
}

/// The time that has passed, and the limit if it is to be shown: `1m05s / 10m`.
pub(super) fn time(passed: Duration, limit: Option<Limit>) -> String {
    let passed = duration::passed(passed);
    match limit {
        Some(Limit::Deadline(limit)) => format!("{passed:>6} / {}", duration::limit(limit)),
        Some(Limit::Never) => format!("{passed:>6} / no limit"),
        None => format!("{passed:>6}"),
    }
}

/// How a wait ended, as one line: `✓ web running after 52s`.
pub(super) fn end(name: &str, ended: &Ended, passed: Duration) -> String {
    let passed = duration::passed(passed);
    let (mark, text) = match &ended.outcome {
        Ok(state) => (style("✓").green(), format!("{} after {passed}", printable(&state.status, 40))),
        Err(_) if ended.is_cancelled() => (style("-").dim(), format!("{} after {passed}", ended.word())),
        // The error line has the whole message.
        Err(trouble) => (style("✗").red(), format!("failed after {passed}: {}", trouble.kind.replace('_', " "))),
    };
    truncate_str(&format!("{} {name} {text}", mark.for_stderr()), END_WIDTH, "…").into_owned()
}

/// What stands behind mark and time, in colours, in so many columns.
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

pub(super) fn lock<T>(shown: &Mutex<T>) -> MutexGuard<'_, T> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line's parts, cut so that together they fit the columns.
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
        let attempt = if progress.attempt > 1 { format!(" · attempt {}", progress.attempt) } else { String::new() };
        // Where there are few columns, status and step come first.
        let attempt = if columns < 3 * measure_text_width(&attempt) { String::new() } else { attempt };
        let room = columns.saturating_sub(measure_text_width(&attempt));
        let name = cut(id, room / 2);
        let room = room.saturating_sub(measure_text_width(&name) + 1);
        let headline = cut(&progress.headline, room);
        let room = room.saturating_sub(measure_text_width(&headline));
        let detail = progress.live_detail();
        let detail = if detail.is_empty() { detail } else { format!(" · {detail}") };
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
            assert!(columns < 12 || measure_text_width(&line) <= columns, "{columns}: {line}");
            line
        };
        assert_eq!(line(&progress, "my-cvm", 71), "my-cvm starting · mounting data disk");
        assert_eq!(line(&progress, "my-cvm", 31), "my-cvm starting · mounting dat…");
        assert_eq!(line(&progress, uuid, 31), "550e8400e29b41… starting · mou…");
        progress.attempt = 12;
        assert_eq!(line(&progress, "my-cvm", 71), "my-cvm starting · mounting data disk · attempt 12");
        assert_eq!(line(&progress, "my-cvm", 40), "my-cvm starting · mounting… · attempt 12");
        assert_eq!(line(&progress, uuid, 31), "550e8400e29b41… starting · mou…");
        assert_eq!(line(&progress, "ＷＩＤＥ－ｉｄ", 31), "ＷＩＤＥ－ｉｄ starting · moun…");
        for columns in 0..120 {
            line(&progress, uuid, columns);
        }
    }

    #[test]
    fn the_time_has_its_limit_beside_it() {
        let seconds = Duration::from_secs;
        assert_eq!(time(seconds(65), Some(Limit::Deadline(seconds(600)))), " 1m05s / 10m");
        assert_eq!(time(seconds(65), Some(Limit::Never)), " 1m05s / no limit");
        assert_eq!(time(seconds(5), None), "    5s");
    }
}
