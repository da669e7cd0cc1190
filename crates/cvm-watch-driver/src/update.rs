//! What a running watch reports.

use core::time::Duration;

use cvm_watch_core::{Event, RetryCause};

/// One thing that happened in a watch that goes on. How it ends is the [`Outcome`](crate::Outcome).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// An attempt begins.
    Connecting {
        /// Its number, from 1.
        attempt: u64,
    },
    /// The server sent an event.
    Event {
        /// The attempt whose stream it came from.
        attempt: u64,
        /// The stream's last event id then; empty if there was none.
        id: String,
        /// The event.
        event: Event,
    },
    /// No other status was seen for as long as was asked for: a steady target counts from now on.
    SteadyTarget {
        /// How long only the target was seen, at least.
        after: Duration,
    },
    /// An attempt was lost, and another follows after `delay`.
    Retrying {
        /// The attempt that was lost.
        attempt: u64,
        /// How long until the next one.
        delay: Duration,
        /// Why it was lost.
        cause: RetryCause,
    },
}
