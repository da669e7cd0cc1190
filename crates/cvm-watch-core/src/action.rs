//! What a watch asks a driver to do, and the queue of what was not polled yet.

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use crate::cvm_state::CvmState;
use crate::error::{Failure, RetryCause};
use crate::event::Event;
use crate::input::AttemptId;
use crate::policy::Policy;
use crate::request::Request;

/// One thing to do or to report, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Open a new connection and send the request; answer with `Head` or `Closed`.
    #[non_exhaustive]
    Connect {
        /// Goes back with every input that this connection causes.
        attempt: AttemptId,
        /// What to send.
        request: Request,
    },
    /// Close the attempt's connection in any state. No answer is expected.
    Disconnect {
        /// Whose connection.
        attempt: AttemptId,
    },
    /// Hand an event to the caller.
    #[non_exhaustive]
    Emit {
        /// Which attempt's stream it came from.
        attempt: AttemptId,
        /// The last event id of the stream then, redacted; empty if there was none.
        id: String,
        /// The event.
        event: Event,
    },
    /// No other status was seen for as long as was asked for ([`PolicyBuilder::after_change`]): a
    /// steady target counts from now on. A report; there is nothing to do.
    ///
    /// [`PolicyBuilder::after_change`]: crate::PolicyBuilder::after_change
    #[non_exhaustive]
    SteadyTarget {
        /// How long only the target was seen, at least.
        after: Duration,
    },
    /// An attempt failed and another one will follow. A report; there is nothing to do.
    #[non_exhaustive]
    Retrying {
        /// The attempt that failed.
        attempt: AttemptId,
        /// How long the watch waits before the next one, or until its deadline if that is sooner. In
        /// a [`Fleet`](crate::Fleet) the wait for a slot comes after it.
        delay: Duration,
        /// Why it failed.
        cause: RetryCause,
    },
    /// The watch wants to connect and waits for [`Input::Permit`]. Only a watch made by
    /// [`Watch::with_permits`] asks.
    ///
    /// [`Input::Permit`]: crate::Input::Permit
    /// [`Watch::with_permits`]: crate::Watch::with_permits
    AskPermit,
    /// The end: the target was reached. Nothing follows.
    Resolve(CvmState),
    /// The end: the target was not reached. Nothing follows.
    Fail(Failure),
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Resolved(CvmState),
    Failed(Failure),
}

/// The actions that were not polled yet, in the order of the fields.
///
/// One of each kind is enough: `receive` takes no bytes while an event waits, and an attempt whose
/// `Connect` waits can neither fail nor report anything. So the queue has a fixed size, and nothing in
/// it is ever overwritten.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) emit: Option<(AttemptId, String, Event)>,
    pub(crate) steady: bool,
    pub(crate) disconnect: Option<AttemptId>,
    /// Boxed, as are those below that wait seldom: a watch is small until then.
    pub(crate) retrying: Option<Box<(AttemptId, Duration, RetryCause)>>,
    pub(crate) ask_permit: bool,
    pub(crate) connect: Option<Box<(AttemptId, Request)>>,
    pub(crate) end: Option<Box<End>>,
}

impl Pending {
    pub(crate) fn pop(&mut self, policy: &Policy) -> Option<Action> {
        if let Some((attempt, id, event)) = self.emit.take() {
            return Some(Action::Emit { attempt, id, event });
        }
        if core::mem::take(&mut self.steady) {
            return Some(Action::SteadyTarget { after: policy.after_change().unwrap_or_default() });
        }
        if let Some(attempt) = self.disconnect.take() {
            return Some(Action::Disconnect { attempt });
        }
        if let Some((attempt, delay, cause)) = self.retrying.take().map(|retrying| *retrying) {
            return Some(Action::Retrying { attempt, delay, cause });
        }
        if core::mem::take(&mut self.ask_permit) {
            return Some(Action::AskPermit);
        }
        if let Some((attempt, request)) = self.connect.take().map(|connect| *connect) {
            return Some(Action::Connect { attempt, request });
        }
        self.end.take().map(|end| match *end {
            End::Resolved(state) => Action::Resolve(state),
            End::Failed(failure) => Action::Fail(failure),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { emit, steady, disconnect, retrying, ask_permit, connect, end } = self;
        emit.is_none()
            && disconnect.is_none()
            && retrying.is_none()
            && connect.is_none()
            && end.is_none()
            && !steady
            && !ask_permit
    }

    /// Drops all but a `Disconnect`, for an abort.
    pub(crate) fn discard(&mut self) {
        *self = Self { disconnect: self.disconnect, ..Self::default() };
    }
}
