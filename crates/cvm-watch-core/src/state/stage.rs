//! The phases of a watch, each with its own data.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::transitions::Phase;
use crate::response::ErrorHead;
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) enum Stage {
    Queued,
    Connecting(Attempt),
    /// With the time of the last byte, or of the head.
    Streaming(Attempt, Timestamp),
    ReadingError(Attempt, Box<ErrorAnswer>),
    /// The JSON of a state in immediate mode, as far as it came.
    ReadingState(Attempt, Vec<u8>),
    Waiting {
        until: Timestamp,
    },
    Ended,
}

/// One attempt, from its `Connect` to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) started: Timestamp,
    /// When it has outlived the timeout that it requested.
    pub(super) deadline: Timestamp,
    /// Whether the transport reported `Closed`, so that no `Disconnect` is needed.
    pub(super) closed: bool,
    /// Whether it waits for its credential.
    pub(super) asking: bool,
}

#[derive(Debug)]
pub(super) struct ErrorAnswer {
    pub(super) head: ErrorHead,
    pub(super) body: Vec<u8>,
    pub(super) until: Timestamp,
}

impl Stage {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Queued => Phase::Queued,
            Self::Connecting(_) => Phase::Connecting,
            Self::Streaming(..) => Phase::Streaming,
            Self::ReadingError(..) => Phase::ReadingError,
            Self::ReadingState(..) => Phase::ReadingState,
            Self::Waiting { .. } => Phase::Waiting,
            Self::Ended => Phase::Ended,
        }
    }

    /// Returns the running attempt, if there is one.
    pub(super) fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Connecting(attempt)
            | Self::Streaming(attempt, _)
            | Self::ReadingError(attempt, _)
            | Self::ReadingState(attempt, _) => Some(attempt),
            Self::Queued | Self::Waiting { .. } | Self::Ended => None,
        }
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            Self::Connecting(attempt)
            | Self::Streaming(attempt, _)
            | Self::ReadingError(attempt, _)
            | Self::ReadingState(attempt, _) => Some(attempt),
            Self::Queued | Self::Waiting { .. } | Self::Ended => None,
        }
    }
}
