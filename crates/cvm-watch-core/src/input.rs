//! What a driver reports to a watch.

use core::fmt;

use crate::close_cause::CloseCause;
use crate::response::ResponseHead;
use crate::time::UnixSeconds;

/// Which attempt something belongs to: 1 for the first, and so on.
///
/// A driver gives back the one it was given with `Connect`. What belongs to an attempt that is
/// over is ignored, so late bytes of a dropped connection do no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub(crate) u64);

impl AttemptId {
    /// The attempt with this number, for what was written down and is played again. A driver uses
    /// those it is given.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Its number, from 1.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One thing that happened, apart from bytes, which go to [`Watch::receive`].
///
/// [`Watch::receive`]: crate::Watch::receive
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The caller wants the watch to end now.
    Abort,
    /// The attempt's connection is over: it could not be made, broke, or its body ended.
    Closed {
        /// Whose connection.
        attempt: AttemptId,
        /// What the transport saw.
        cause: CloseCause,
    },
    /// The attempt's response head arrived.
    Head {
        /// Whose head.
        attempt: AttemptId,
        /// The status and headers.
        head: ResponseHead<'a>,
        /// The wall clock, if the driver has one; only for an HTTP date in `Retry-After`.
        wall: Option<UnixSeconds>,
    },
    /// Time has passed. Send it at [`Watch::next_wake`], after asking for ready I/O once.
    ///
    /// [`Watch::next_wake`]: crate::Watch::next_wake
    Tick,
    /// The machine was suspended and runs again: connections from before are not to be trusted. The
    /// watch opens its own anew at once, which counts as no retry. Delays have gone on meanwhile: one
    /// that is over by now is followed by the next attempt.
    Resumed,
    /// A watch that asked may connect now; see [`Watch::with_permits`]. Ignored if it did not ask.
    ///
    /// [`Watch::with_permits`]: crate::Watch::with_permits
    Permit,
    /// The attempt's time slice is over: another watch waits for its connection. A stream is given
    /// up, which does not count as a retry, and the watch asks for a permit again; at its target it
    /// resolves. A connection without a head has met its connect timeout. An error answer is judged
    /// by what has come.
    Yield {
        /// Whose connection.
        attempt: AttemptId,
    },
}
