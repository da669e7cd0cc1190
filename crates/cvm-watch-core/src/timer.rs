//! The moments at which a watch acts by itself, and why each exists.

use core::time::Duration;

use crate::time::Timestamp;

/// How long beyond the timeout it was asked for a stream may live. The server ends it at the
/// timeout; one that goes on is half-open, or kept alive by something that is not the endpoint.
pub(crate) const ATTEMPT_MARGIN: Duration = Duration::from_secs(10);
/// How long the body of an error answer is read.
pub(crate) const ERROR_BODY_TIME: Duration = Duration::from_secs(2);
/// An attempt that lived this long went well: exponential backoff starts again.
pub(crate) const LONG_LIVED: Duration = Duration::from_secs(60);

/// When to send [`Input::Tick`] next, and for what.
///
/// [`Input::Tick`]: crate::Input::Tick
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The moment.
    pub at: Timestamp,
    /// What will happen then, unless something else happens first.
    pub reason: WakeReason,
}

/// Why a watch wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WakeReason {
    /// The overall deadline passes.
    Deadline,
    /// The attempt outlives the timeout it asked for by 10 seconds.
    AttemptTimeout,
    /// No response head has come.
    ConnectTimeout,
    /// Nothing has come for the idle timeout.
    IdleTimeout,
    /// The target was reported, and its `complete` has not come.
    CompleteGrace,
    /// A target that was steady all the time begins to count.
    SteadyTarget,
    /// The body of an error answer has had its time.
    ErrorBody,
    /// The retry delay is over.
    Retry,
    /// A member of a fleet may be checked again.
    NextCheck,
    /// A member of a fleet yields its slot: its time slice is over while others wait, or its stream
    /// has reported a state.
    TimeSliceOver,
    /// The server, which refused a fleet one more stream, may allow it again.
    SlotAgain,
}

/// The earliest of several timers; of two at one moment, the first in the list.
pub(crate) fn earliest<const N: usize>(timers: [Option<Wake>; N]) -> Option<Wake> {
    timers.into_iter().flatten().min_by_key(|wake| wake.at)
}
