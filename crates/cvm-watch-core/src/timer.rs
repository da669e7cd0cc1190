//! The timers of a watch, and why each exists.

use core::time::Duration;

use crate::time::Timestamp;

/// How long a stream may outlive the timeout that was requested. The server ends it at the timeout; a longer one is
/// half-open, or kept alive by a proxy.
pub(crate) const ATTEMPT_MARGIN: Duration = Duration::from_secs(10);
/// How long the body of an error answer is read.
pub(crate) const ERROR_BODY_TIME: Duration = Duration::from_secs(2);
/// An attempt that lasted this long counts as healthy, and exponential backoff restarts.
pub(crate) const LONG_LIVED: Duration = Duration::from_secs(60);

/// When to send [`Input::Tick`] next, and why.
///
/// [`Input::Tick`]: crate::Input::Tick
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The moment.
    pub at: Timestamp,
    /// What will happen then, unless an input comes first.
    pub reason: WakeReason,
}

/// Why a watch must be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WakeReason {
    /// The overall deadline passes.
    Deadline,
    /// The attempt outlives the timeout that it requested by 10 seconds.
    AttemptTimeout,
    /// The connect timeout: no response head has arrived.
    ConnectTimeout,
    /// The idle timeout: no byte has arrived.
    IdleTimeout,
    /// The target was reported, and no `complete` has arrived within the grace.
    CompleteGrace,
    /// A steady target begins to count.
    SteadyTarget,
    /// A target that was seen without a break has been stable for long enough.
    StableTarget,
    /// The time limit for the body of an error answer.
    ErrorBody,
    /// The retry delay is over.
    Retry,
    /// A member of a fleet may be checked again.
    NextCheck,
    /// A member of a fleet yields its slot: its time slice is over while others wait, or its stream
    /// has reported a state.
    TimeSliceOver,
    /// The server, which refused one more stream to a fleet, may allow it again.
    SlotAgain,
}

/// Returns the earliest of several timers; of two at the same time, the first in the list.
pub(crate) fn earliest<const N: usize>(timers: [Option<Wake>; N]) -> Option<Wake> {
    timers.into_iter().flatten().min_by_key(|wake| wake.at)
}
