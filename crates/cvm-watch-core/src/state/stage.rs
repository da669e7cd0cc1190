//! The phases of a watch with what only each of them needs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::transitions::Phase;
use crate::response::ErrorHead;
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) enum Stage {
    Queued,
    Connecting(Attempt),
    Streaming(Attempt, Stream),
    ReadingError(Attempt, Box<ErrorAnswer>),
    Waiting { until: Timestamp },
    Ended,
}

/// One attempt, from its `Connect` to its loss.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pub(super) started: Timestamp,
    /// When it has outlived the timeout it asked for.
    pub(super) deadline: Timestamp,
    /// Whether the transport has said `Closed`, so that no `Disconnect` is owed.
    pub(super) closed: bool,
}

/// What matters of an event stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    /// When the last byte came, or the head.
    pub(super) heard: Timestamp,
    pub(super) latest: Latest,
    /// When a stream that has reached the target has waited long enough for `complete`.
    pub(super) grace_ends: Option<Timestamp>,
}

/// The latest `state` of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latest {
    /// There was none.
    Nothing,
    /// It is not the target, or not in every respect that was asked for.
    NotYet,
    /// It would be the target, if another status had been seen before.
    Steady,
    /// It is the target.
    Reached,
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
            Self::Waiting { .. } => Phase::Waiting,
            Self::Ended => Phase::Ended,
        }
    }

    /// The attempt under way, if there is one.
    pub(super) fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Connecting(attempt) | Self::Streaming(attempt, _) | Self::ReadingError(attempt, _) => Some(attempt),
            Self::Queued | Self::Waiting { .. } | Self::Ended => None,
        }
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            Self::Connecting(attempt) | Self::Streaming(attempt, _) | Self::ReadingError(attempt, _) => Some(attempt),
            Self::Queued | Self::Waiting { .. } | Self::Ended => None,
        }
    }
}

impl Stream {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { heard: now, latest: Latest::Nothing, grace_ends: None }
    }

    pub(super) fn has_reached(&self) -> bool {
        self.latest == Latest::Reached
    }
}
