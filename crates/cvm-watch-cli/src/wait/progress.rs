//! The progress of a watch, as shown to people.

use std::time::Duration;

use cvm_watch_core::{CvmState, Event, RetryCause, printable};
use cvm_watch_hyper::Update;
use tokio::time::Instant;

use super::ended::Ended;
use crate::duration;

/// The most characters of a status, and of any other text of the server.
const STATUS_WIDTH: usize = 40;
const TEXT_WIDTH: usize = 160;
/// The most steps of which the times are kept.
const MOST_STEPS: usize = 100;

/// The steps of a boot in their order, as the platform names them today.
const BOOT_STEPS: [&str; 8] = [
    "booting",
    "init-script",
    "requesting app keys",
    "mounting data disk",
    "setting up docker",
    "pre-launch",
    "starting containers",
    "done",
];

/// Where a watch stands, in two short texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The attempt, from 1; 0 before the first. Only a retry begins another one here.
    pub(super) attempt: u64,
    /// The status, or what the watch does while it has none.
    pub(super) headline: String,
    /// How far that has come, or when and why; may be empty.
    pub(super) detail: String,
    /// The same as a live line shows it, where it differs.
    live_detail: Option<String>,
    /// When the next attempt follows, and why, while it is waited for.
    next_attempt: Option<(Instant, String)>,
    /// The steps of the boot and the statuses in between, each with when it was seen first.
    steps: Vec<(String, Instant)>,
    /// Whether the headline is a status of the CVM.
    pub(super) is_status: bool,
    /// Whether a healthy stream ended as streams do, and another one follows.
    pub(super) is_routine: bool,
    /// For how long the target was steady, if it counts for that.
    pub(super) steady: Option<Duration>,
    /// What the last state said, in the words of headline and detail.
    last_state: Option<(String, String)>,
    pause: Pause,
    /// Whether others have a share in the same few streams.
    is_shared: bool,
}

/// What the watch waits for between two attempts, as shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pause {
    None,
    Retry,
    Look(RetryCause),
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            attempt: 0,
            headline: "connecting".to_owned(),
            detail: String::new(),
            live_detail: None,
            next_attempt: None,
            steps: Vec::new(),
            is_status: false,
            is_routine: false,
            steady: None,
            last_state: None,
            pause: Pause::None,
            is_shared: false,
        }
    }

    /// The progress of one of several watches, which first waits for a slot.
    pub(super) fn of_many() -> Self {
        Self { headline: "waiting".to_owned(), is_shared: true, ..Self::new() }
    }

    /// Takes an update; returns whether anything changed that is shown.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        let before = (self.attempt, self.text());
        match update {
            Update::Connecting { .. } => self.connecting(),
            Update::Event { event, .. } => self.event(event),
            Update::SteadyTarget { after, .. } => {
                let status = self.last_state.as_ref().map_or("the target", |(status, _)| status).to_owned();
                self.steady = Some(*after);
                self.tell(status, steady(*after), true);
            }
            Update::SwitchedToPolling => {
                self.tell("polling".to_owned(), "since streams bring nothing".to_owned(), false);
            }
            Update::Retrying { delay, cause, routine, .. } => self.retrying(*delay, cause, *routine),
            _ => {}
        }
        (self.attempt, self.text()) != before
    }

    /// The watch has ended: that is all there is to tell.
    pub(super) fn end(&mut self, ended: &Ended) {
        let (headline, is_good) = match &ended.outcome {
            Ok(state) => (format!("reached {}", printable(&state.status, STATUS_WIDTH)), true),
            Err(_) if ended.is_cancelled() => (ended.word().to_owned(), false),
            Err(trouble) => (format!("failed: {}", printable(&trouble.message, TEXT_WIDTH)), false),
        };
        self.tell(headline, String::new(), is_good);
    }

    /// The headline with its detail.
    pub(super) fn text(&self) -> String {
        match (self.detail.is_empty(), self.is_status) {
            (true, _) => self.headline.clone(),
            (false, true) => format!("{}, {}", self.headline, self.detail),
            (false, false) => format!("{} {}", self.headline, self.detail),
        }
    }

    /// The detail for a line that is redrawn: a boot step with its number, and a delay that counts down.
    pub(super) fn live_detail(&self) -> String {
        match (&self.next_attempt, &self.live_detail) {
            (Some((at, cause)), _) => match at.saturating_duration_since(Instant::now()).as_millis().div_ceil(1000) {
                0 => cause.clone(),
                seconds => format!(
                    "in {}: {cause}",
                    duration::passed(Duration::from_secs(seconds.try_into().unwrap_or(u64::MAX)))
                ),
            },
            (None, Some(detail)) => detail.clone(),
            (None, None) => self.detail.clone(),
        }
    }

    /// How far the boot has come, in percent, as far as the step is a known one.
    pub(super) fn percent(&self) -> Option<u8> {
        let (step, _) = self.steps.last()?;
        let number = known_step(step)?;
        u8::try_from(number * 100 / BOOT_STEPS.len()).ok()
    }

    /// How long each step took until now, in one line; `None` if none was seen.
    pub(super) fn step_times(&self) -> Option<String> {
        let ends = self.steps.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let times = self.steps.iter().zip(ends);
        let times = times.map(|((step, at), end)| format!("{step} {}", duration::ahead(end.duration_since(*at))));
        let times: Vec<_> = times.collect();
        (!times.is_empty()).then(|| format!("steps: {}", times.join(", ")))
    }

    fn connecting(&mut self) {
        // An attempt without a retry before it, as for a repeated check or a new time slice, is not shown.
        if self.attempt == 0 || self.pause == Pause::Retry {
            self.attempt += 1;
            self.pause = Pause::None;
            self.tell("connecting".to_owned(), String::new(), false);
        }
    }

    fn retrying(&mut self, delay: Duration, cause: &RetryCause, routine: bool) {
        let again = Pause::Look(cause.clone());
        if self.pause == again {
            return;
        }
        let ahead = if delay.is_zero() { "at once".to_owned() } else { format!("in {}", duration::ahead(delay)) };
        let words = printable(&cause.to_string(), TEXT_WIDTH);
        if is_look(cause, self.is_shared) {
            self.pause = again;
            self.tell("looking again".to_owned(), format!("{ahead}: {words}"), false);
        } else {
            self.pause = Pause::Retry;
            let headline = if routine { "reconnecting" } else { "retrying" };
            self.tell(headline.to_owned(), format!("in {}: {words}", duration::ahead(delay)), false);
            self.is_routine = routine;
        }
        self.next_attempt = Instant::now().checked_add(delay).map(|at| (at, words));
    }

    fn state(&mut self, state: &CvmState) {
        let said = (printable(&state.status, STATUS_WIDTH), detail(state));
        // Looking again and again at the same would tell the same two things in turns.
        let is_looked_at =
            matches!(self.pause, Pause::Look(RetryCause::NotReady | RetryCause::NotChanged | RetryCause::NotStable));
        if !is_looked_at || self.last_state.as_ref() != Some(&said) {
            self.pause = Pause::None;
            self.tell(said.0.clone(), said.1.clone(), true);
            let step = state.shutdown_progress.as_deref().or(state.boot_progress.as_deref());
            self.live_detail = Some(detail_of(step.map(numbered), state));
            let step = step.map_or_else(|| said.0.clone(), |step| printable(step, STATUS_WIDTH));
            if self.steps.len() < MOST_STEPS && self.steps.last().is_none_or(|(last, _)| *last != step) {
                self.steps.push((step, Instant::now()));
            }
            self.last_state = Some(said);
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::State(state) => self.state(state),
            Event::Error(error) => {
                let text = error.message.as_deref().or(error.error.as_deref()).unwrap_or("without a text");
                self.detail = format!("server error: {}", printable(text, TEXT_WIDTH));
                self.live_detail = None;
            }
            // The result of `complete` and `timeout` is reported right after them; other events do not concern the
            // CVM.
            _ => {}
        }
    }

    fn tell(&mut self, headline: String, detail: String, is_status: bool) {
        (self.headline, self.detail, self.is_status) = (headline, detail, is_status);
        (self.is_routine, self.live_detail, self.next_attempt) = (false, None, None);
    }
}

/// Whether another attempt follows though nothing was lost: it counts as no retry. Among watches
/// that share streams HTTP 429 says no more than that there is no place.
pub(super) fn is_look(cause: &RetryCause, is_shared: bool) -> bool {
    match cause {
        RetryCause::NotReady
        | RetryCause::NotChanged
        | RetryCause::NotStable
        | RetryCause::NotCreated { .. }
        | RetryCause::Suspended
        | RetryCause::Yielded => true,
        RetryCause::TooManyStreams { .. } => is_shared,
        _ => false,
    }
}

/// What is said of a target that counts since it was steady.
pub(super) fn steady(after: Duration) -> String {
    format!("steady for {}, which counts without a change", duration::ahead(after))
}

fn detail(state: &CvmState) -> String {
    let step = state.shutdown_progress.as_deref().or(state.boot_progress.as_deref());
    detail_of(step.map(|step| printable(step, TEXT_WIDTH)), state)
}

/// A step of the boot with its number, where it is a known one.
fn numbered(step: &str) -> String {
    match known_step(step) {
        Some(number) if number == BOOT_STEPS.len() => "boot done".to_owned(),
        Some(number) => format!("[{number}/{}] {step}", BOOT_STEPS.len()),
        None => printable(step, TEXT_WIDTH),
    }
}

/// The number of a known step, from 1.
fn known_step(step: &str) -> Option<usize> {
    BOOT_STEPS.iter().position(|known| *known == step).map(|at| at + 1)
}

fn detail_of(step: Option<String>, state: &CvmState) -> String {
    let error = state.boot_error.as_deref().map(|error| format!("boot error: {}", printable(error, TEXT_WIDTH)));
    [step, error].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_core::{AttemptId, CloseCause, ServerError};
    use std::sync::Arc;

    fn state(change: impl FnOnce(&mut CvmState)) -> Update {
        let mut state = CvmState::with_status("starting");
        change(&mut state);
        event(Event::State(Arc::new(state)))
    }

    fn event(event: Event) -> Update {
        Update::event(AttemptId::from_number(1), "", event)
    }

    #[test]
    fn each_update_that_is_shown_has_its_text() {
        let mut progress = Progress::new();
        let mut error = ServerError::default();
        error.error = Some("host\nbusy".to_owned());
        for (update, expected) in [
            (Update::connecting(AttemptId::from_number(1)), "connecting"),
            (state(|_| {}), "starting"),
            (state(|state| state.boot_progress = Some("booting".to_owned())), "starting, booting"),
            (
                state(|state| {
                    state.boot_progress = Some("done".to_owned());
                    state.boot_error = Some("\x1b[2Jno keys".to_owned());
                }),
                r"starting, done, boot error: \x1b[2Jno keys",
            ),
            (
                state(|state| {
                    state.boot_progress = Some("done".to_owned());
                    state.shutdown_progress = Some("unmounting".to_owned());
                }),
                "starting, unmounting",
            ),
            (event(Event::Error(error)), r"starting, server error: host\nbusy"),
            (state(|_| {}), "starting"),
            (
                Update::retrying(
                    AttemptId::from_number(1),
                    Duration::from_millis(5_440),
                    RetryCause::Closed(CloseCause::Reset),
                ),
                "retrying in 5.4s: the connection was reset",
            ),
            (Update::connecting(AttemptId::from_number(2)), "connecting"),
            (
                Update::reconnecting(AttemptId::from_number(2), Duration::from_millis(440), RetryCause::ServerTimeout),
                "reconnecting in 0.4s: the server's timeout for this stream was reached",
            ),
        ] {
            assert!(progress.update(&update), "{update:?}");
            assert_eq!(progress.text(), expected);
            assert!(!progress.update(&update), "the same again is no news: {update:?}");
        }
        assert_eq!(progress.attempt, 2);
    }

    /// The text that is shown for these updates, one per line.
    fn told(progress: &mut Progress, updates: impl IntoIterator<Item = Update>) -> Vec<String> {
        let line = |update| progress.update(&update).then(|| format!("{} #{}", progress.text(), progress.attempt));
        updates.into_iter().filter_map(line).collect()
    }

    fn lost(attempt: u64, cause: RetryCause) -> Update {
        let delay = if cause == RetryCause::Suspended { Duration::ZERO } else { Duration::from_secs(5) };
        Update::retrying(AttemptId::from_number(attempt), delay, cause)
    }

    fn booting(step: &str) -> Update {
        state(|state| {
            state.status = "running".to_owned();
            state.boot_progress = Some(step.to_owned());
        })
    }

    #[test]
    fn a_repeated_check_is_no_retry_and_is_reported_once_for_each_change() {
        let look = |attempt| {
            [Update::connecting(AttemptId::from_number(attempt)), booting("a"), lost(attempt, RetryCause::NotReady)]
        };
        let mut progress = Progress::new();
        let told = told(
            &mut progress,
            (1..=3).flat_map(look).chain([
                Update::connecting(AttemptId::from_number(4)),
                booting("b"),
                lost(4, RetryCause::NotReady),
                Update::connecting(AttemptId::from_number(5)),
                lost(5, RetryCause::IdleTimeout),
                Update::connecting(AttemptId::from_number(6)),
                booting("b"),
                lost(6, RetryCause::Suspended),
                Update::connecting(AttemptId::from_number(7)),
                booting("b"),
            ]),
        );
        let again = "looking again in 5s: the server completed before the CVM was ready #1";
        assert_eq!(
            told,
            [
                "connecting #1",
                "running, a #1",
                again,
                "running, b #1",
                again,
                "retrying in 5s: nothing was received within the idle timeout #1",
                "connecting #2",
                "running, b #2",
                "looking again at once: the machine was suspended #2",
                "running, b #2",
            ]
        );
    }

    #[test]
    fn the_switch_to_polls_is_reported_and_a_poll_is_no_news() {
        let mut progress = Progress::new();
        progress.update(&Update::connecting(AttemptId::from_number(1)));
        assert!(progress.update(&Update::SwitchedToPolling));
        assert_eq!(progress.text(), "polling since streams bring nothing");
        assert!(!progress.update(&Update::connecting(AttemptId::from_number(2))));
        assert!(progress.update(&booting("a")));
        assert!(!progress.update(&Update::connecting(AttemptId::from_number(3))));
    }

    #[test]
    fn a_steady_target_is_reported_with_its_status() {
        let mut progress = Progress::new();
        progress.update(&booting("done"));
        progress.update(&lost(1, RetryCause::NotChanged));
        assert!(progress.update(&Update::steady_target(Duration::from_secs(60))));
        assert_eq!(progress.text(), "running, steady for 1m00s, which counts without a change");
    }

    #[test]
    fn events_that_say_nothing_of_the_cvm_are_no_news() {
        let mut progress = Progress::new();
        progress.update(&state(|_| {}));
        assert!(!progress.update(&event(Event::parse(&cvm_watch_core::sse::Event::new("x", "y", "")))));
        assert_eq!(progress.text(), "starting");
    }
}
