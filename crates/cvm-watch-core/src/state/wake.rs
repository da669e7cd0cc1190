//! When a watch wants to be woken next, and for what. Nothing here changes anything.

use super::State;
use super::stage::{Attempt, Latest, Stage};
use crate::action::Pending;
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::timer::{Wake, WakeReason, earliest};

impl State {
    /// When to tick next. Nothing here looks at what was received.
    pub(crate) fn next_wake(&self, policy: &Policy, out: &Pending) -> Option<Wake> {
        let wake = |at: Option<Timestamp>, reason| at.map(|at| Wake { at, reason });
        let overall = wake(self.deadline, WakeReason::Deadline);
        let attempt = |attempt: &Attempt| wake(Some(attempt.deadline), WakeReason::AttemptTimeout);
        match &self.stage {
            Stage::Ended => None,
            // An attempt that no driver has heard of yet has no time running.
            Stage::Queued => overall,
            Stage::Connecting(_) if out.connect.is_some() => overall,
            Stage::Connecting(current) => {
                let head = current.started + policy.connect_timeout();
                earliest([overall, attempt(current), wake(Some(head), WakeReason::ConnectTimeout)])
            }
            Stage::Streaming(current, stream) => {
                let idle = policy.idle_timeout().map(|idle| stream.heard + idle);
                let grace = wake(stream.grace_ends, WakeReason::CompleteGrace);
                let steady = (stream.latest == Latest::Steady).then(|| self.progress.steady_at(policy)).flatten();
                let steady = wake(steady, WakeReason::SteadyTarget);
                earliest([overall, attempt(current), grace, steady, wake(idle, WakeReason::IdleTimeout)])
            }
            Stage::ReadingError(current, answer) => {
                earliest([overall, attempt(current), wake(Some(answer.until), WakeReason::ErrorBody)])
            }
            Stage::Waiting { until } => earliest([overall, wake(Some(*until), WakeReason::Retry)]),
        }
    }
}
