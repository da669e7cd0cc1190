//! Who may connect, who waits, and who gives way: the only place that knows the turns.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use super::members::MemberId;
use crate::state::Latest;
use crate::time::Timestamp;
use crate::timer::{Wake, WakeReason, earliest};

/// How long a connection may keep its place while others wait, if it has not said a state.
const TURN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    /// Fewer places than the limit, for a while, since the server refused one more: the fewer the
    /// places, the sooner it is over.
    narrowed: Vec<Narrowed>,
    /// Who has a place, in the order in which they got it.
    held: Vec<Held>,
    /// Who waits: from when on they may be looked at, and in which order they asked.
    waiting: BTreeSet<(Timestamp, u64, MemberId)>,
    /// The same by member.
    waiters: BTreeMap<MemberId, (Timestamp, u64)>,
    asked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    member: MemberId,
    /// When its turn is over, if others wait; `None` until its connection was asked for.
    turn_ends: Option<Timestamp>,
    /// It gives way, and its place is free when its connection is closed.
    leaves: bool,
}

#[derive(Clone, Copy, Debug)]
struct Narrowed {
    places: usize,
    /// As long as the server asked for.
    until: Timestamp,
}

impl Narrowed {
    /// While others have places, whoever was refused gets one of theirs first: only later is it
    /// tried whether there is one more. Where nobody has a place there is none to get.
    fn ends(self) -> Timestamp {
        if self.places == 0 { self.until } else { self.until + TURN }
    }
}

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            narrowed: Vec::new(),
            held: Vec::new(),
            waiting: BTreeSet::new(),
            waiters: BTreeMap::new(),
            asked: 0,
        }
    }

    /// A member waits for a place, and is not to be looked at before `from`.
    pub(super) fn wait(&mut self, member: MemberId, from: Timestamp) {
        self.leave_queue(member);
        self.asked += 1;
        self.waiting.insert((from, self.asked, member));
        self.waiters.insert(member, (from, self.asked));
    }

    /// Nobody needs to wait for a later look any more.
    pub(super) fn make_all_due(&mut self, now: Timestamp) {
        for (from, asked, member) in self.waiting.split_off(&(now + Duration::from_nanos(1), 0, MemberId::FIRST)) {
            self.waiting.insert((now.min(from), asked, member));
            self.waiters.insert(member, (now.min(from), asked));
        }
    }

    /// A member waits no longer.
    pub(super) fn leave_queue(&mut self, member: MemberId) {
        if let Some((from, asked)) = self.waiters.remove(&member) {
            self.waiting.remove(&(from, asked, member));
        }
    }

    /// Gives a free place to the member that has been due longest.
    pub(super) fn take_next(&mut self, now: Timestamp) -> Option<MemberId> {
        if self.held.len() >= self.room(now) {
            return None;
        }
        let (_, _, member) = self.waiting.first().copied().filter(|(from, ..)| *from <= now)?;
        self.leave_queue(member);
        self.held.push(Held { member, turn_ends: None, leaves: false });
        Some(member)
    }

    /// Its connection is asked for now: its turn begins, and lasts so long, but not less than ten
    /// seconds.
    pub(super) fn begins(&mut self, member: MemberId, now: Timestamp, turn: Duration) {
        for held in self.held.iter_mut().filter(|held| held.member == member) {
            held.turn_ends = Some(now + turn.max(TURN));
        }
    }

    pub(super) fn free(&mut self, member: MemberId) {
        self.held.retain(|held| held.member != member);
    }

    pub(super) fn leaves(&mut self, member: MemberId) {
        for held in self.held.iter_mut().filter(|held| held.member == member) {
            held.leaves = true;
        }
    }

    /// The server refused a place to `member`: there are as many as the others have, until then.
    /// Another one may have been told to wait longer when there were more.
    pub(super) fn narrow(&mut self, member: MemberId, until: Timestamp) {
        let places = self.held.iter().filter(|held| held.member != member).count();
        let new = Narrowed { places, until };
        // As long as there are fewer places nobody else comes in, so this is never more than before.
        self.narrowed.retain(|old| old.ends() > new.ends());
        if self.narrowed.iter().all(|old| old.places > places) {
            self.narrowed.push(new);
        }
    }

    /// Those that may be asked to give way to others, the longest there first: their stream has
    /// said that the target is not reached. When time is judged, and so whatever was ready has been
    /// read, also those whose turn is over, and last those at their target, which wait for a
    /// `complete` only.
    pub(super) fn may_give_way(
        &self,
        now: Timestamp,
        is_tick: bool,
        latest: impl Fn(MemberId) -> Latest,
    ) -> Vec<MemberId> {
        if !self.is_wanted(now) {
            return Vec::new();
        }
        let stays = self.held.iter().filter(|held| !held.leaves);
        let (reached, others): (Vec<_>, Vec<_>) = stays.partition(|held| latest(held.member) == Latest::Reached);
        let is_over = |held: &Held| held.turn_ends.is_some_and(|ends| ends <= now);
        let may = |held: &&&Held| latest(held.member) != Latest::Nothing || is_tick && is_over(held);
        let reached = reached.iter().filter(|_| is_tick);
        others.iter().filter(may).chain(reached).map(|held| held.member).collect()
    }

    /// Whether as many give way as there are others whose turn it is, or more.
    pub(super) fn is_enough_leaving(&self, now: Timestamp) -> bool {
        let leaving = self.held.iter().filter(|held| held.leaves).count();
        self.waiting.iter().take_while(|(from, ..)| *from <= now).nth(leaving).is_none()
    }

    /// How many may have a place now.
    pub(super) fn room(&self, now: Timestamp) -> usize {
        let narrowed = self.narrowed.iter().filter(|narrowed| now < narrowed.ends());
        narrowed.map(|narrowed| narrowed.places).fold(self.limit, usize::min)
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// When something changes by time alone: somebody may be looked at, a turn is over or a stream
    /// at its target is not waited for any more, or the server may have room again.
    pub(super) fn next_wake(&self, now: Timestamp, has_reached: impl Fn(MemberId) -> bool) -> Option<Wake> {
        let wake = |at: Option<Timestamp>, reason| at.filter(|at| *at > now).map(|at| Wake { at, reason });
        let not_yet = (now + Duration::from_nanos(1), 0, MemberId::FIRST);
        let next_look = self.waiting.range(not_yet..).next().map(|(from, ..)| *from);
        let next_look = wake(next_look, WakeReason::NextLook);
        if !self.is_wanted(now) {
            return next_look;
        }
        let room = self.narrowed.iter().map(|narrowed| narrowed.ends()).filter(|ends| *ends > now).min();
        let room = wake(room, WakeReason::RoomAgain);
        if self.is_enough_leaving(now) {
            return earliest([next_look, room]);
        }
        let ends = |held: &Held| if has_reached(held.member) { Some(now) } else { held.turn_ends };
        // One that is over already is judged at the next tick.
        let turn = self.held.iter().filter(|held| !held.leaves).filter_map(ends).min();
        let turn = turn.map(|at| Wake { at, reason: WakeReason::TurnOver });
        earliest([next_look, turn, room])
    }

    /// Whether somebody whose turn it is has no place.
    fn is_wanted(&self, now: Timestamp) -> bool {
        self.waiting.first().is_some_and(|(from, ..)| *from <= now)
    }
}
