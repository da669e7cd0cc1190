//! Decides whether the target is reached, and from when on that counts. No other module does.

use alloc::boxed::Box;
use core::time::Duration;

use crate::cvm_state::{CvmState, RUNNING};
use crate::event::{Complete, Event};
use crate::policy::{FailEarly, Policy};
use crate::time::Timestamp;
use crate::timer::{Wake, WakeReason};

/// The boot progress of a finished boot (source: the platform's public installer).
const BOOTED: &str = "done";
/// Allowance for network jitter: two checks one interval apart may arrive this much closer together.
const JITTER: Duration = Duration::from_secs(1);
/// After this many attempts with a `complete` and no `state`, the server counts as one that does not report progress.
const SILENT_COMPLETES: u8 = 2;

/// What an event means for the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The event is not about the target.
    #[default]
    Unknown,
    /// The state is not at the target, or not ready.
    NotYet,
    /// The state is at the target, but the policy requires another status before it, and none was seen.
    Steady,
    /// The state is at the target, but not for as long as the policy requires.
    Settling,
    /// The state is at the target.
    Reached,
    /// The second state in a row from which the target cannot be reached.
    Unreachable,
    /// The state is not at the target, and has not changed for the stall timeout.
    Stalled,
    /// The server completed at the target.
    Completed,
    /// The server completed at another status.
    CompletedElsewhere,
    /// The server completed before the CVM was ready.
    NotReady,
    /// The server completed before another status was seen.
    NotChanged,
    /// The server completed before the target was stable.
    NotStable,
}

/// Judges the events of all attempts of a watch, before redaction.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// The verdict on the latest state of the current stream.
    latest: Verdict,
    /// Since when every state of the current stream has been at the target.
    reached_since: Option<Timestamp>,
    /// Whether any attempt has reported a state.
    seen_state: bool,
    /// The boot error of the first state, which may be left over from the previous boot.
    old_boot_error: Option<Box<str>>,
    /// Whether the last state of any attempt was not ready, if the policy requires readiness.
    not_ready: bool,
    /// Whether a status other than the target was seen, or a steady target counts.
    changed: bool,
    /// When the target was first seen.
    steady_since: Option<Timestamp>,
    /// Since when every state and `complete` has been at the target.
    stable_since: Option<Timestamp>,
    /// Since when status and boot progress are the same, if the policy has a stall timeout.
    unchanged_since: Option<Timestamp>,
    /// Since when the target could not be reached from any state.
    unreachable_since: Option<Timestamp>,
    /// How many attempts since the last state had a `complete` and no state while the CVM was not ready.
    silent_completes: u8,
    /// A steady target counts, and that was not reported yet.
    report_steady: bool,
}

impl Judge {
    /// A new stream has begun.
    pub(crate) fn begin_stream(&mut self) {
        self.latest = Verdict::Unknown;
        self.reached_since = None;
    }

    /// Judges an event of the current stream; `last` is the last state of any attempt.
    pub(crate) fn event(&mut self, event: &Event, last: Option<&CvmState>, policy: &Policy, now: Timestamp) -> Verdict {
        match event {
            Event::State(state) => self.state(state, last, policy, now),
            Event::Complete(complete) => self.complete(complete, last, policy, now),
            _ => Verdict::Unknown,
        }
    }

    /// Lets time pass. Returns whether the latest state counts now.
    pub(crate) fn counts_now(&mut self, policy: &Policy, now: Timestamp) -> bool {
        let counts = self.counts_at(policy).is_some_and(|wake| wake.at <= now);
        if counts && self.latest == Verdict::Steady {
            self.accept_steady();
        }
        counts
    }

    /// Returns whether a steady target began to count since the last call.
    pub(crate) fn take_steady(&mut self) -> bool {
        core::mem::take(&mut self.report_steady)
    }

    /// Returns the verdict on the latest state of the current stream.
    pub(crate) fn latest(&self) -> Verdict {
        self.latest
    }

    /// Returns from when on the latest state counts without a `complete`.
    pub(crate) fn counts_at(&self, policy: &Policy) -> Option<Wake> {
        let (at, reason) = match self.latest {
            Verdict::Reached => (self.reached_since? + policy.complete_grace(), WakeReason::CompleteGrace),
            Verdict::Steady => {
                let at = self.steady_at(policy)?;
                (self.stable_at(policy).map_or(at, |stable| stable.max(at)), WakeReason::SteadyTarget)
            }
            Verdict::Settling => (self.stable_at(policy)?, WakeReason::StableTarget),
            _ => return None,
        };
        Some(Wake { at, reason })
    }

    fn state(&mut self, state: &CvmState, last: Option<&CvmState>, policy: &Policy, now: Timestamp) -> Verdict {
        if !self.seen_state {
            self.seen_state = true;
            if counts_boot_errors(policy) {
                self.old_boot_error = state.boot_error.as_deref().map(Box::from);
            }
        }
        let at_target = is_at_target(state, policy);
        let stalls = policy.stall_timeout().is_some_and(|limit| self.stalls(state, last, limit, now));
        self.silent_completes = 0;
        self.not_ready = policy.ready() && !is_ready(state);
        self.saw_status(at_target, now);
        let counts = at_target && !(self.not_ready && state.is(RUNNING));
        self.stable_since = counts.then(|| self.stable_since.unwrap_or(now));
        let verdict = if !at_target {
            self.away_from_target(state, policy, now)
        } else if !counts {
            Verdict::NotYet
        } else if !self.has_changed(policy, now) {
            Verdict::Steady
        } else if self.is_stable(policy, now) {
            Verdict::Reached
        } else {
            Verdict::Settling
        };
        let verdict = if stalls && verdict == Verdict::NotYet { Verdict::Stalled } else { verdict };
        if at_target {
            self.unreachable_since = None;
        }
        self.latest = verdict;
        self.reached_since = (verdict == Verdict::Reached).then(|| self.reached_since.unwrap_or(now));
        verdict
    }

    fn complete(&mut self, complete: &Complete, last: Option<&CvmState>, policy: &Policy, now: Timestamp) -> Verdict {
        let is_named = policy.targets().any(|target| complete.status.eq_ignore_ascii_case(target));
        let at_target = match policy.predicate() {
            None => is_named,
            Some(predicate) => {
                let last = last.cloned().unwrap_or_default();
                predicate.holds(&CvmState { status: complete.status.clone(), ..last })
            }
        };
        self.saw_status(at_target, now);
        if !at_target {
            self.stable_since = None;
            return if is_named { Verdict::NotReady } else { Verdict::CompletedElsewhere };
        }
        if self.not_ready && complete.status.eq_ignore_ascii_case(RUNNING) {
            let is_silent = self.latest == Verdict::Unknown;
            self.silent_completes = self.silent_completes.saturating_add(u8::from(is_silent));
            if !is_silent || self.silent_completes < SILENT_COMPLETES {
                return Verdict::NotReady;
            }
        }
        self.stable_since.get_or_insert(now);
        if !self.has_changed(policy, now) {
            Verdict::NotChanged
        } else if self.is_stable(policy, now) {
            Verdict::Completed
        } else {
            Verdict::NotStable
        }
    }

    /// Whether status and boot progress have been the same for `limit`. Only a report of the server proves it.
    fn stalls(&mut self, state: &CvmState, last: Option<&CvmState>, limit: Duration, now: Timestamp) -> bool {
        let is_same = last.is_some_and(|last| last.is(&state.status) && last.boot_progress == state.boot_progress);
        let since = self.unchanged_since.filter(|_| is_same).unwrap_or(now);
        self.unchanged_since = Some(since);
        is_same && now >= since + limit
    }

    /// When a target that was seen without a break has been stable for long enough, if the policy requires that.
    fn stable_at(&self, policy: &Policy) -> Option<Timestamp> {
        let (limit, since) = policy.stable_for().zip(self.stable_since)?;
        Some(since + limit)
    }

    fn is_stable(&self, policy: &Policy, now: Timestamp) -> bool {
        self.stable_at(policy).is_none_or(|at| at <= now)
    }

    fn away_from_target(&mut self, state: &CvmState, policy: &Policy, now: Timestamp) -> Verdict {
        let since = self.unreachable_since.take();
        if !self.is_unreachable(state, policy) {
            return Verdict::NotYet;
        }
        self.unreachable_since = since.or(Some(now));
        // A new stream may repeat the server's previous check, while two states of one stream are two checks.
        let is_first = self.latest == Verdict::Unknown;
        match since {
            Some(since) if !is_first || now + JITTER >= since + policy.interval() => Verdict::Unreachable,
            _ => Verdict::NotYet,
        }
    }

    fn is_unreachable(&self, state: &CvmState, policy: &Policy) -> bool {
        let by_status = policy.fail_early().is_some_and(|early| early.statuses().any(|status| state.is(status)));
        by_status
            || counts_boot_errors(policy)
                && has_booted(state) != Some(true)
                && state.boot_error.is_some()
                && state.boot_error.as_deref() != self.old_boot_error.as_deref()
    }

    fn saw_status(&mut self, at_target: bool, now: Timestamp) {
        if at_target {
            self.steady_since.get_or_insert(now);
        } else {
            self.changed = true;
        }
    }

    /// Returns whether the target counts, given the statuses before it.
    fn has_changed(&mut self, policy: &Policy, now: Timestamp) -> bool {
        if !self.changed && self.steady_at(policy).is_some_and(|at| at <= now) {
            self.accept_steady();
        }
        self.changed || policy.after_change().is_none()
    }

    fn accept_steady(&mut self) {
        self.changed = true;
        self.report_steady = true;
    }

    /// Returns when a steady target begins to count, if the policy requires a change.
    fn steady_at(&self, policy: &Policy) -> Option<Timestamp> {
        let (limit, since) = policy.after_change().zip(self.steady_since)?;
        Some(since + limit)
    }
}

fn is_at_target(state: &CvmState, policy: &Policy) -> bool {
    match policy.predicate() {
        None => policy.targets().any(|target| state.is(target)),
        Some(predicate) => predicate.holds(state),
    }
}

/// Returns whether a `running` CVM is ready: its boot may go on, or may have failed.
fn is_ready(state: &CvmState) -> bool {
    state.boot_error.is_none() && has_booted(state).unwrap_or(true)
}

/// Returns whether the boot is done, if the state reports its progress.
fn has_booted(state: &CvmState) -> Option<bool> {
    state.boot_progress.as_deref().map(|progress| progress.eq_ignore_ascii_case(BOOTED))
}

fn counts_boot_errors(policy: &Policy) -> bool {
    policy.fail_early().is_some_and(FailEarly::counts_boot_errors)
}
