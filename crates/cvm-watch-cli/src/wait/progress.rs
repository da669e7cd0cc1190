//! What people are told of a watch while it runs.

use cvm_watch_core::{CvmState, Event, printable};
use cvm_watch_hyper::Update;

use crate::duration;

/// The most characters of a status, and of any other text of the server.
const STATUS_WIDTH: usize = 40;
const TEXT_WIDTH: usize = 160;

/// Where a watch stands, in two short texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The attempt, from 1; 0 before the first.
    pub(super) attempt: u64,
    /// The status, or what the watch does while it has none.
    pub(super) headline: String,
    /// How far that has come, or when and why; may be empty.
    pub(super) detail: String,
    /// Whether the headline is a status of the CVM.
    pub(super) is_status: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { attempt: 0, headline: "connecting".to_owned(), detail: String::new(), is_status: false }
    }

    /// Takes in an update; says whether anything changed that people are told of.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        let before = self.clone();
        match update {
            Update::Connecting { attempt } => {
                self.attempt = *attempt;
                self.tell("connecting".to_owned(), String::new(), false);
            }
            Update::Event { event, .. } => self.event(event),
            Update::Retrying { delay, cause, .. } => {
                let cause = printable(&cause.to_string(), TEXT_WIDTH);
                self.tell("retrying".to_owned(), format!("in {}: {cause}", duration::ahead(*delay)), false);
            }
            _ => {}
        }
        *self != before
    }

    /// The headline with its detail.
    pub(super) fn text(&self) -> String {
        match (self.detail.is_empty(), self.is_status) {
            (true, _) => self.headline.clone(),
            (false, true) => format!("{}, {}", self.headline, self.detail),
            (false, false) => format!("{} {}", self.headline, self.detail),
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::State(state) => self.tell(printable(&state.status, STATUS_WIDTH), detail(state), true),
            Event::Error(error) => {
                let text = error.message.as_deref().or(error.error.as_deref()).unwrap_or("without a text");
                self.detail = format!("server error: {}", printable(text, TEXT_WIDTH));
            }
            // What `complete` and `timeout` lead to is told right after them; the rest is no news
            // of the CVM.
            _ => {}
        }
    }

    fn tell(&mut self, headline: String, detail: String, is_status: bool) {
        (self.headline, self.detail, self.is_status) = (headline, detail, is_status);
    }
}

fn detail(state: &CvmState) -> String {
    let step = state.shutdown_progress.as_deref().or(state.boot_progress.as_deref());
    let step = step.map(|step| printable(step, TEXT_WIDTH));
    let error = state.boot_error.as_deref().map(|error| format!("boot error: {}", printable(error, TEXT_WIDTH)));
    [step, error].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_core::{CloseCause, Event, RetryCause, ServerError};
    use std::sync::Arc;
    use std::time::Duration;

    fn state(change: impl FnOnce(&mut CvmState)) -> Update {
        let mut state = CvmState::with_status("starting");
        change(&mut state);
        event(Event::State(Arc::new(state)))
    }

    fn event(event: Event) -> Update {
        Update::Event { attempt: 1, id: String::new(), event }
    }

    #[test]
    fn each_update_that_is_news_has_its_words() {
        let mut progress = Progress::new();
        let mut error = ServerError::default();
        error.error = Some("host\nbusy".to_owned());
        for (update, expected) in [
            (Update::Connecting { attempt: 1 }, "connecting"),
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
                Update::Retrying {
                    attempt: 1,
                    delay: Duration::from_millis(5_440),
                    cause: RetryCause::Closed(CloseCause::Reset),
                },
                "retrying in 5.4s: the connection was reset",
            ),
        ] {
            assert!(progress.update(&update), "{update:?}");
            assert_eq!(progress.text(), expected);
            assert!(!progress.update(&update), "the same again is no news: {update:?}");
        }
        assert!(progress.update(&Update::Connecting { attempt: 2 }));
        assert_eq!(progress.attempt, 2);
    }

    #[test]
    fn events_that_say_nothing_of_the_cvm_are_no_news() {
        let mut progress = Progress::new();
        progress.update(&state(|_| {}));
        assert!(!progress.update(&event(Event::Other { name: "x".to_owned(), data: "y".to_owned() })));
        assert_eq!(progress.text(), "starting");
    }
}
