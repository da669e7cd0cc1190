//! What the watch must do next, as exactly as the rows define it.

use std::ops::RangeInclusive;
use std::time::Duration;

use cvm_watch_core::{Action, CvmState, Event, Failure, RetryCause};

use crate::checks::answer::Refusal;

#[derive(Clone, Debug)]
pub enum Expected {
    Emit { attempt: u64, id: String, event: Event },
    Disconnect(u64),
    Retrying { attempt: u64, delay: RangeInclusive<Duration>, cause: RetryCause, routine: bool },
    SteadyTarget(Duration),
    AskPermit,
    Connect { attempt: u64, path: String, last_event_id: Option<String> },
    Resolve(CvmState),
    Fail(ExpectedFailure),
}

#[derive(Clone, Debug)]
pub enum ExpectedFailure {
    Exactly(Failure),
    Rejected(Refusal),
}

impl Expected {
    pub fn is(&self, action: &Action) -> bool {
        match (self, action) {
            (Self::Emit { attempt, id, event }, Action::Emit { attempt: a, id: i, event: e, .. }) => {
                *attempt == a.number() && id == i && event == e
            }
            (Self::Disconnect(attempt), Action::Disconnect { attempt: a }) => *attempt == a.number(),
            (
                Self::Retrying { attempt, delay, cause, routine },
                Action::Retrying { attempt: a, delay: d, cause: c, routine: r, .. },
            ) => *attempt == a.number() && delay.contains(d) && cause == c && routine == r,
            (Self::SteadyTarget(after), Action::SteadyTarget { after: a, .. }) => after == a,
            (Self::AskPermit, Action::AskPermit) => true,
            (Self::Connect { attempt, path, last_event_id }, Action::Connect { attempt: a, request, .. }) => {
                let sent = request.headers().iter().find(|header| header.name() == "Last-Event-ID");
                *attempt == a.number()
                    && path == request.path_and_query()
                    && last_event_id.as_deref() == sent.map(cvm_watch_core::Header::value)
            }
            (Self::Resolve(state), Action::Resolve(s)) => state == s,
            (Self::Fail(ExpectedFailure::Exactly(failure)), Action::Fail(f)) => failure == f,
            (Self::Fail(ExpectedFailure::Rejected(refusal)), Action::Fail(Failure::Rejected(rejection))) => {
                *refusal == Refusal::of(rejection)
            }
            _ => false,
        }
    }
}
