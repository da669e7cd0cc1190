//! The actions that a driver executes, and the queue of those that were not polled yet.

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use crate::cvm_state::CvmState;
use crate::error::{Failure, RetryCause};
use crate::event::Event;
use crate::input::AttemptId;
use crate::policy::Policy;
use crate::request::Request;

/// One action for a driver to execute, or one report for the caller. Execute them in the order in which they come.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Open a new connection and send the request; answer with `Head` or `Closed`.
    #[non_exhaustive]
    Connect {
        /// The attempt's id, which every input of this connection has to carry.
        attempt: AttemptId,
        /// The request to send.
        request: Request,
    },
    /// Close the attempt's connection in any state. No answer is expected.
    Disconnect {
        /// The attempt whose connection to close.
        attempt: AttemptId,
    },
    /// Hand an event to the caller.
    #[non_exhaustive]
    Emit {
        /// The attempt on whose stream it arrived.
        attempt: AttemptId,
        /// The stream's last event id at this event, redacted; empty if there is none.
        id: String,
        /// The event.
        event: Event,
    },
    /// Only the target was seen for the time given to [`PolicyBuilder::after_change`], so a steady
    /// target counts from now on. A report; there is nothing to execute.
    ///
    /// [`PolicyBuilder::after_change`]: crate::PolicyBuilder::after_change
    #[non_exhaustive]
    SteadyTarget {
        /// The least time for which only the target was seen.
        after: Duration,
    },
    /// An attempt failed and another one will follow. A report; there is nothing to execute.
    #[non_exhaustive]
    Retrying {
        /// The attempt that failed.
        attempt: AttemptId,
        /// The delay before the next attempt; the deadline may cut it short. In a
        /// [`Fleet`](crate::Fleet) the wait for a slot comes after it.
        delay: Duration,
        /// Why it failed.
        cause: RetryCause,
        /// Whether nothing went wrong: a healthy stream ended as streams do, by a `timeout` event, or in
        /// any way after it had reported a state and lived for 60 seconds.
        routine: bool,
    },
    /// Streams bring nothing here: from now on the watch polls ([`Mode::Auto`]). A report; there is nothing to do.
    ///
    /// [`Mode::Auto`]: crate::Mode::Auto
    SwitchedToPolling,
    /// The watch wants to connect and waits for [`Input::Permit`]. Only a watch made by
    /// [`Watch::with_permits`] asks.
    ///
    /// [`Input::Permit`]: crate::Input::Permit
    /// [`Watch::with_permits`]: crate::Watch::with_permits
    AskPermit,
    /// The attempt begins, and waits for its credential: answer with [`Input::Credential`], or with
    /// [`Input::Closed`] and [`CloseCause::Credential`] if there is none. The connect timeout includes the wait, and
    /// a `Disconnect` cancels it. Only a watch with [`PolicyBuilder::credential_per_attempt`] asks.
    ///
    /// [`Input::Credential`]: crate::Input::Credential
    /// [`Input::Closed`]: crate::Input::Closed
    /// [`CloseCause::Credential`]: crate::CloseCause::Credential
    /// [`PolicyBuilder::credential_per_attempt`]: crate::PolicyBuilder::credential_per_attempt
    AskCredential {
        /// The attempt, to be passed back with the answer.
        attempt: AttemptId,
    },
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

/// What [`Action::Retrying`] reports.
#[derive(Debug)]
pub(crate) struct Retrying {
    pub(crate) attempt: AttemptId,
    pub(crate) delay: Duration,
    pub(crate) cause: RetryCause,
    pub(crate) routine: bool,
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
    /// Boxed, like the other rare actions, so that a waiting watch is small.
    pub(crate) retrying: Option<Box<Retrying>>,
    pub(crate) switched: bool,
    pub(crate) ask_permit: bool,
    /// The attempt that begins; without a request it asks for its credential.
    pub(crate) connect: Option<Box<(AttemptId, Option<Request>)>>,
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
        if let Some(Retrying { attempt, delay, cause, routine }) = self.retrying.take().map(|retrying| *retrying) {
            return Some(Action::Retrying { attempt, delay, cause, routine });
        }
        if core::mem::take(&mut self.switched) {
            return Some(Action::SwitchedToPolling);
        }
        if core::mem::take(&mut self.ask_permit) {
            return Some(Action::AskPermit);
        }
        if let Some((attempt, request)) = self.connect.take().map(|connect| *connect) {
            return Some(match request {
                Some(request) => Action::Connect { attempt, request },
                None => Action::AskCredential { attempt },
            });
        }
        self.end.take().map(|end| match *end {
            End::Resolved(state) => Action::Resolve(state),
            End::Failed(failure) => Action::Fail(failure),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { emit, steady, disconnect, retrying, switched, ask_permit, connect, end } = self;
        emit.is_none()
            && disconnect.is_none()
            && retrying.is_none()
            && connect.is_none()
            && end.is_none()
            && !steady
            && !switched
            && !ask_permit
    }

    /// Drops all actions but a `Disconnect`, for an abort.
    pub(crate) fn discard(&mut self) {
        *self = Self { disconnect: self.disconnect, ..Self::default() };
    }
}
