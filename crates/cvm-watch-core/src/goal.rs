//! What counts as reaching the target, and what says that it cannot be reached.
//!
//! One state by itself is judged by [`Goal::look`], on the server's own words; what a row of them
//! means is kept in [`Progress`].

use alloc::boxed::Box;
use core::time::Duration;

use crate::cvm::CvmState;
use crate::policy::{FailEarly, Policy};
use crate::time::Timestamp;

/// The progress a boot ends with (source: the platform's public installer).
const BOOTED: &str = "done";
/// What the way of one answer may take more than that of another: looks an interval apart are told
/// so much less than an interval apart.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// So many attempts with a `complete` and no state of their own say that the server does not tell
/// how far the boot is.
const SILENT_LOOKS: u8 = 2;

/// What one state says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Its status is the target.
    pub(crate) at_target: bool,
    /// Nothing in it says that it is not ready; always so where readiness was not asked for.
    pub(crate) ready: bool,
    /// Its status is one of those that end hope.
    pub(crate) hopeless: bool,
}

impl Look {
    /// Judges a state by its own words; of one that is read from a stream, before they are masked.
    pub(crate) fn at(state: &CvmState, policy: &Policy) -> Self {
        let at_target = state.is(policy.target());
        Self {
            at_target,
            ready: !policy.ready() || is_ready(state),
            hopeless: !at_target && policy.fail_early().is_some_and(|early| early.counts_status(state)),
        }
    }
}

/// `running` says that the machine runs; a boot that has not come to its end, or not well, says
/// more.
fn is_ready(state: &CvmState) -> bool {
    state.boot_error.is_none() && has_booted(state).unwrap_or(true)
}

/// Whether the boot is done, if the state says so or otherwise.
fn has_booted(state: &CvmState) -> Option<bool> {
    state.boot_progress.as_deref().map(|progress| progress.eq_ignore_ascii_case(BOOTED))
}

/// What the states so far mean together.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The boot error of the first state seen, which may be that of the boot before.
    old_boot_error: Option<Box<str>>,
    seen_any: bool,
    /// Another status than the target was seen, or has been waited for long enough.
    changed: bool,
    /// Since when only the target was seen, while another status is waited for.
    steady_since: Option<Timestamp>,
    /// Since when each state has said that the target cannot be reached, if the latest did.
    hopeless_since: Option<Timestamp>,
    /// How many attempts since the last state said just that the target is reached.
    silent_looks: u8,
}

/// What a state means, given those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not the target, or not yet.
    NotYet,
    /// The target, in every respect that was asked for.
    Reached,
    /// The target cannot be reached any more.
    Hopeless,
}

impl Progress {
    /// Takes note of a state, which may be the first of its stream.
    pub(crate) fn state(
        &mut self,
        look: Look,
        state: &CvmState,
        is_first: bool,
        policy: &Policy,
        now: Timestamp,
    ) -> Standing {
        if !self.seen_any {
            self.seen_any = true;
            if policy.fail_early().is_some_and(FailEarly::counts_boot_errors) {
                self.old_boot_error = state.boot_error.as_deref().map(Box::from);
            }
        }
        self.silent_looks = 0;
        self.status(look.at_target, now);
        let hopeless_since = self.hopeless_since.take();
        if look.at_target {
            return if look.ready && self.has_changed(policy) { Standing::Reached } else { Standing::NotYet };
        }
        if !look.hopeless && !self.boot_failed(state, policy) {
            return Standing::NotYet;
        }
        // Another stream may repeat what the server has seen in one look at the CVM; two in a row
        // are two looks.
        let is_second = hopeless_since.is_some_and(|since| !is_first || now + ON_THE_WAY >= since + policy.interval());
        self.hopeless_since = hopeless_since.or(Some(now));
        if is_second { Standing::Hopeless } else { Standing::NotYet }
    }

    /// Takes note of a status that a `complete` named.
    pub(crate) fn completed(&mut self, at_target: bool, now: Timestamp) {
        self.status(at_target, now);
    }

    /// Takes note that an attempt said that the target is reached, and no state. True if that has
    /// happened often enough since the last state: what that said of the boot is old then, and
    /// progress that is not reported does not count.
    pub(crate) fn is_unreported(&mut self) -> bool {
        self.silent_looks = self.silent_looks.saturating_add(1);
        self.silent_looks >= SILENT_LOOKS
    }

    /// Whether the target counts, given what was seen before it.
    pub(crate) fn has_changed(&self, policy: &Policy) -> bool {
        self.changed || policy.after_change().is_none()
    }

    /// When a target that has not changed begins to count, if that is waited for.
    pub(crate) fn steady_at(&self, policy: &Policy) -> Option<Timestamp> {
        let (limit, since) = policy.after_change().zip(self.steady_since)?;
        Some(since + limit)
    }

    /// A steady target counts from now on.
    pub(crate) fn accept_steady(&mut self) {
        self.changed = true;
    }

    fn status(&mut self, at_target: bool, now: Timestamp) {
        if at_target {
            self.steady_since.get_or_insert(now);
        } else {
            self.changed = true;
        }
    }

    fn boot_failed(&self, state: &CvmState, policy: &Policy) -> bool {
        policy.fail_early().is_some_and(FailEarly::counts_boot_errors)
            && has_booted(state) != Some(true)
            && state.boot_error.is_some()
            && state.boot_error.as_deref() != self.old_boot_error.as_deref()
    }
}
