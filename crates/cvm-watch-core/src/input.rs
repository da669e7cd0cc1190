//! The inputs that a driver reports to a watch.

use core::fmt;

use crate::close_cause::CloseCause;
use crate::credential::Credential;
use crate::response::ResponseHead;
use crate::time::UnixSeconds;

/// The id of an attempt: 1 for the first, and so on.
///
/// A driver passes back the id that came with `Connect`. Input of an attempt that has ended is ignored, so late bytes
/// of a closed connection do no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub(crate) u64);

impl AttemptId {
    /// Makes the id of the attempt with this number, to replay a recording. A driver uses the ids that it received.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number, from 1.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that happened. Bytes of a body go to [`Watch::receive`] instead.
///
/// [`Watch::receive`]: crate::Watch::receive
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The caller aborts the watch.
    Abort,
    /// The attempt's connection ended: it could not be opened, it broke, or the body ended.
    Closed {
        /// The attempt of the connection.
        attempt: AttemptId,
        /// Why it ended.
        cause: CloseCause,
    },
    /// The attempt's response head arrived.
    Head {
        /// The attempt of the connection.
        attempt: AttemptId,
        /// The status and headers.
        head: ResponseHead<'a>,
        /// The wall-clock time, if the driver has one. Used only for an HTTP date in `Retry-After`.
        wall: Option<UnixSeconds>,
    },
    /// Time has passed. Send it at [`Watch::next_wake`], after polling the connection once for ready I/O.
    ///
    /// [`Watch::next_wake`]: crate::Watch::next_wake
    Tick,
    /// The machine was suspended and resumed, so an open connection may be dead. The watch reconnects at once, which
    /// does not count as a retry. Delays include the time of the suspend: one that has passed is followed by the next
    /// attempt.
    Resumed,
    /// The watch may connect; see [`Watch::with_permits`]. Ignored if it did not ask.
    ///
    /// [`Watch::with_permits`]: crate::Watch::with_permits
    Permit,
    /// The credential of the attempt; see [`Action::AskCredential`](crate::Action::AskCredential). Ignored if the
    /// attempt did not ask.
    Credential {
        /// The attempt that asked.
        attempt: AttemptId,
        /// The credential.
        credential: Credential,
    },
    /// The attempt's time slice is over, because another watch waits for a connection. A stream is closed without
    /// counting as a retry, and the watch asks for a permit again; if it is at its target, it resolves. A connection
    /// without a head fails by its connect timeout. An error answer is judged by the part of the body that arrived.
    Yield {
        /// Whose connection.
        attempt: AttemptId,
    },
}
