//! What a handle reports while a watch runs.

use core::time::Duration;

use cvm_watch_core::{AttemptId, CvmState, Event, RetryCause};

use crate::error::WatchError;

/// One event in the life of a watch. [`Ended`](Self::Ended) is the last update of every watch.
///
/// The variants may gain fields. For tests of code that takes updates there are
/// [`connecting`](Self::connecting), [`event`](Self::event), [`retrying`](Self::retrying) and
/// [`reconnecting`](Self::reconnecting).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// An attempt begins.
    #[non_exhaustive]
    Connecting {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The server sent an event.
    #[non_exhaustive]
    Event {
        /// The attempt on whose stream it arrived.
        attempt: AttemptId,
        /// The last event id of the stream at that point; empty if there was none.
        id: String,
        /// The event.
        event: Event,
    },
    /// The target was the only status for as long as [`after_change`] says, and counts from now on.
    ///
    /// [`after_change`]: cvm_watch_core::PolicyBuilder::after_change
    #[non_exhaustive]
    SteadyTarget {
        /// The least time for which only the target was seen.
        after: Duration,
    },
    /// An attempt failed, and another one follows.
    #[non_exhaustive]
    Retrying {
        /// The attempt that failed.
        attempt: AttemptId,
        /// The time until the next attempt. Over capacity, the wait for a slot is added.
        delay: Duration,
        /// Why it failed.
        cause: RetryCause,
        /// Whether nothing went wrong: a healthy stream ended as streams do. See
        /// [`Action::Retrying`](cvm_watch_core::Action::Retrying).
        routine: bool,
    },
    /// Three streams in a row have ended without an event: from now on the watch polls
    /// ([`Mode::Auto`](cvm_watch_core::Mode::Auto)).
    SwitchedToPolling,
    /// The watch has ended. The handle has the outcome.
    Ended,
}

impl Update {
    /// An attempt begins.
    pub fn connecting(attempt: AttemptId) -> Self {
        Self::Connecting { attempt }
    }

    /// The server sent an event; `id` is the stream's last event id.
    pub fn event(attempt: AttemptId, id: impl Into<String>, event: Event) -> Self {
        Self::Event { attempt, id: id.into(), event }
    }

    /// The target counts after `after` without another status.
    pub fn steady_target(after: Duration) -> Self {
        Self::SteadyTarget { after }
    }

    /// An attempt failed, and another one follows after `delay`.
    pub fn retrying(attempt: AttemptId, delay: Duration, cause: RetryCause) -> Self {
        Self::Retrying { attempt, delay, cause, routine: false }
    }

    /// A healthy stream ended as streams do, and another one follows after `delay`.
    pub fn reconnecting(attempt: AttemptId, delay: Duration, cause: RetryCause) -> Self {
        Self::Retrying { attempt, delay, cause, routine: true }
    }
}

/// A report of the loop to a handle.
#[derive(Debug)]
pub(crate) enum Report {
    Update(Update),
    Ended(Result<CvmState, WatchError>),
}
