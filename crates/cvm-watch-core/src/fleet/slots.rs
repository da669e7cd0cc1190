//! Which members have a slot, which wait for one, and which yield. Time slices are known only here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::members::MemberId;
use crate::judge::Verdict;
use crate::time::Timestamp;
use crate::timer::{Wake, WakeReason, earliest};

/// The shortest time slice: how long a member keeps its slot while others wait, unless its stream reports a state.
const TIME_SLICE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    /// Periods with fewer slots than the limit, because the server refused one more stream. Periods with fewer slots
    /// end earlier.
    reduced: Vec<Reduced>,
    /// The members that have a slot, in the order in which they got it.
    held: Vec<Held>,
    /// The members that wait: from when each may connect, and the order in which they asked.
    waiting: BTreeSet<(Timestamp, u64, MemberId)>,
    /// The same by member.
    waiters: BTreeMap<MemberId, (Timestamp, u64)>,
    asked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    member: MemberId,
    /// When its time slice ends if others wait; `None` until its `Connect` was polled.
    slice_ends: Option<Timestamp>,
    /// Its attempt has ended, and its slot becomes free when its connection is closed.
    closing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Reduced {
    slots: usize,
    /// As long as the server asked for.
    until: Timestamp,
}

impl Reduced {
    /// While other members hold slots, the refused member gets one of those first, and one more stream is tried a
    /// time slice later. If no member holds a slot, there is nothing to wait for.
    fn ends(self) -> Timestamp {
        if self.slots == 0 { self.until } else { self.until + TIME_SLICE }
    }
}

impl Slots {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            reduced: Vec::new(),
            held: Vec::new(),
            waiting: BTreeSet::new(),
            waiters: BTreeMap::new(),
            asked: 0,
        }
    }

    /// Queues a member for a slot; it may connect from `from` on.
    pub(super) fn wait(&mut self, member: MemberId, from: Timestamp) {
        self.stop_waiting(member);
        self.asked += 1;
        self.waiting.insert((from, self.asked, member));
        self.waiters.insert(member, (from, self.asked));
    }

    /// Allows every waiting member to connect.
    pub(super) fn make_all_due(&mut self, now: Timestamp) {
        for (from, asked, member) in self.waiting.split_off(&(now + Duration::from_nanos(1), 0, MemberId::FIRST)) {
            self.waiting.insert((now.min(from), asked, member));
            self.waiters.insert(member, (now.min(from), asked));
        }
    }

    /// Returns whether the member was waiting.
    pub(super) fn stop_waiting(&mut self, member: MemberId) -> bool {
        let waiter = self.waiters.remove(&member);
        waiter.is_some_and(|(from, asked)| self.waiting.remove(&(from, asked, member)))
    }

    /// Gives a free slot to the member that has been due longest.
    pub(super) fn take_next(&mut self, now: Timestamp) -> Option<MemberId> {
        if self.held.len() >= self.available(now) {
            return None;
        }
        let (_, _, member) = self.waiting.first().copied().filter(|(from, ..)| *from <= now)?;
        self.stop_waiting(member);
        self.held.push(Held { member, slice_ends: None, closing: false });
        Some(member)
    }

    /// Begins the member's time slice, when its `Connect` is polled.
    pub(super) fn begin_slice(&mut self, member: MemberId, now: Timestamp, slice: Duration) {
        for held in self.held.iter_mut().filter(|held| held.member == member) {
            held.slice_ends = Some(now + slice.max(TIME_SLICE));
        }
    }

    pub(super) fn free(&mut self, member: MemberId) {
        self.held.retain(|held| held.member != member);
    }

    /// Notes that the member's attempt ended. Its slot becomes free when its connection is closed.
    pub(super) fn closing(&mut self, member: MemberId) {
        for held in self.held.iter_mut().filter(|held| held.member == member) {
            held.closing = true;
        }
    }

    /// The server refused a stream to `member`: until then there are only as many slots as other members hold. An
    /// earlier refusal with more slots may last longer.
    pub(super) fn reduce(&mut self, member: MemberId, until: Timestamp) {
        let slots = self.held.iter().filter(|held| held.member != member).count();
        let new = Reduced { slots, until };
        // No further slot is given meanwhile, so a later refusal never counts more slots than this one.
        self.reduced.retain(|old| old.ends() > new.ends());
        if self.reduced.iter().all(|old| old.slots > slots) {
            self.reduced.push(new);
        }
    }

    /// Returns the members that may yield, in this order: those whose stream reported a state that is not the target,
    /// those whose time slice ended without a state, and those at the target, which only wait for a `complete`.
    /// Within each group the member that has held its slot longest comes first.
    pub(super) fn may_yield(&self, now: Timestamp, latest: impl Fn(MemberId) -> Verdict) -> Vec<MemberId> {
        let is_over = |held: &Held| held.slice_ends.is_some_and(|ends| ends <= now);
        let open = self.held.iter().filter(|held| !held.closing);
        let may = open.filter(|held| latest(held.member) != Verdict::Unknown || is_over(held));
        let mut members: Vec<_> = may.map(|held| held.member).collect();
        members.sort_by_key(|member| match latest(*member) {
            Verdict::Reached => 2,
            Verdict::Unknown => 1,
            _ => 0,
        });
        members
    }

    /// Returns whether at least as many slots become free as members are due.
    pub(super) fn enough_closing(&self, now: Timestamp) -> bool {
        let closing = self.held.iter().filter(|held| held.closing).count();
        self.waiting.iter().take_while(|(from, ..)| *from <= now).nth(closing).is_none()
    }

    /// Returns how many members may have a slot now.
    pub(super) fn available(&self, now: Timestamp) -> usize {
        let reduced = self.reduced.iter().filter(|reduced| now < reduced.ends());
        reduced.map(|reduced| reduced.slots).fold(self.limit, usize::min)
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Returns when the next timer is due: a member may be checked again, another one must yield, or the server may
    /// allow one more stream.
    pub(super) fn next_wake(&self, now: Timestamp, latest: impl Fn(MemberId) -> Verdict) -> Option<Wake> {
        let wake = |at: Option<Timestamp>, reason| at.filter(|at| *at > now).map(|at| Wake { at, reason });
        let not_yet = (now + Duration::from_nanos(1), 0, MemberId::FIRST);
        let next_check = self.waiting.range(not_yet..).next().map(|(from, ..)| *from);
        let next_check = wake(next_check, WakeReason::NextCheck);
        if self.waiting.first().is_none_or(|(from, ..)| *from > now) {
            return next_check;
        }
        let slot = self.reduced.iter().map(|reduced| reduced.ends()).filter(|ends| *ends > now).min();
        let slot = wake(slot, WakeReason::SlotAgain);
        if self.enough_closing(now) {
            return earliest([next_check, slot]);
        }
        // A stream that reported a state yields at the next tick, after everything that arrived was read.
        let ends = |held: &Held| if latest(held.member) == Verdict::Unknown { held.slice_ends } else { Some(now) };
        let slice = self.held.iter().filter(|held| !held.closing).filter_map(ends).min();
        let slice = slice.map(|at| Wake { at, reason: WakeReason::TimeSliceOver });
        earliest([next_check, slice, slot])
    }
}
