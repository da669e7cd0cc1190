//! When a watch must be woken next, and why.

use super::State;
use super::stage::{Attempt, Stage};
use crate::action::Pending;
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::timer::{Wake, WakeReason, earliest};

impl State {
    /// Returns when to tick next.
    pub(crate) fn next_wake(&self, policy: &Policy, out: &Pending) -> Option<Wake> {
        let wake = |at: Option<Timestamp>, reason| at.map(|at| Wake { at, reason });
        let overall = wake(self.deadline, WakeReason::Deadline);
        let attempt = |attempt: &Attempt| wake(Some(attempt.deadline), WakeReason::AttemptTimeout);
        match &self.stage {
            Stage::Ended => None,
            // The timers of an attempt start when its `Connect` is polled.
            Stage::Queued => overall,
            Stage::Connecting(_) if out.connect.is_some() => overall,
            Stage::Connecting(current) => {
                let head = current.started + policy.connect_timeout();
                earliest([overall, attempt(current), wake(Some(head), WakeReason::ConnectTimeout)])
            }
            Stage::Streaming(current, heard) => {
                let idle = policy.idle_timeout().map(|idle| *heard + idle);
                let counts = self.judge.counts_at(policy);
                earliest([overall, attempt(current), counts, wake(idle, WakeReason::IdleTimeout)])
            }
            Stage::ReadingError(current, answer) => {
                earliest([overall, attempt(current), wake(Some(answer.until), WakeReason::ErrorBody)])
            }
            Stage::ReadingState(current, _) => earliest([overall, attempt(current)]),
            Stage::Waiting { until } => earliest([overall, wake(Some(*until), WakeReason::Retry)]),
        }
    }
}
