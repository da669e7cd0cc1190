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
    /// Fewer places than the limit, for a while, since the server refused one more.
    narrowed: Option<Narrowed>,
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
    /// When its turn is over, if others wait.
    turn_ends: Timestamp,
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
        Self { limit, narrowed: None, held: Vec::new(), waiting: BTreeSet::new(), waiters: BTreeMap::new(), asked: 0 }
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
    ///
    /// Its turn lasts so long, but not less than ten seconds.
    pub(super) fn take_next(&mut self, now: Timestamp, turn: impl Fn(MemberId) -> Duration) -> Option<MemberId> {
        if self.held.len() >= self.room(now) {
            return None;
        }
        let (_, _, member) = self.waiting.first().copied().filter(|(from, ..)| *from <= now)?;
        self.leave_queue(member);
        let turn_ends = now + turn(member).max(TURN);
        self.held.push(Held { member, turn_ends, leaves: false });
        Some(member)
    }

    pub(super) fn free(&mut self, member: MemberId) {
        self.held.retain(|held| held.member != member);
    }

    pub(super) fn leaves(&mut self, member: MemberId) {
        for held in self.held.iter_mut().filter(|held| held.member == member) {
            held.leaves = true;
        }
    }

    /// The server refused a place to `member`: there are as many as the others have, until then or
    /// as long as it has asked for before.
    pub(super) fn narrow(&mut self, member: MemberId, until: Timestamp) {
        let places = self.held.iter().filter(|held| held.member != member).count();
        let until = self.narrowed.map_or(until, |narrowed| narrowed.until.max(until));
        self.narrowed = Some(Narrowed { places, until });
    }

    /// Those that may be asked to give way to others, the longest there first: their stream has
    /// said where the CVM stands, or their turn is over. Last come those at their target, which wait
    /// for a `complete` only.
    pub(super) fn may_give_way(&self, now: Timestamp, latest: impl Fn(MemberId) -> Latest) -> Vec<MemberId> {
        if !self.is_wanted(now) {
            return Vec::new();
        }
        let stays = self.held.iter().filter(|held| !held.leaves);
        let (reached, others): (Vec<_>, Vec<_>) = stays.partition(|held| latest(held.member) == Latest::Reached);
        let may = |held: &&&Held| latest(held.member) != Latest::Nothing || held.turn_ends <= now;
        others.iter().filter(may).chain(&reached).map(|held| held.member).collect()
    }

    /// Whether as many give way as there are others whose turn it is, or more.
    pub(super) fn is_enough_leaving(&self, now: Timestamp) -> bool {
        let leaving = self.held.iter().filter(|held| held.leaves).count();
        self.waiting.iter().take_while(|(from, ..)| *from <= now).nth(leaving).is_none()
    }

    /// How many may have a place now.
    pub(super) fn room(&self, now: Timestamp) -> usize {
        match self.narrowed {
            Some(narrowed) if now < narrowed.ends() => narrowed.places.min(self.limit),
            _ => self.limit,
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// When something changes by time alone: somebody may be looked at, a turn is over, or the
    /// server may have room again.
    pub(super) fn next_wake(&self, now: Timestamp) -> Option<Wake> {
        let wake = |at: Option<Timestamp>, reason| at.filter(|at| *at > now).map(|at| Wake { at, reason });
        let not_yet = (now + Duration::from_nanos(1), 0, MemberId::FIRST);
        let next_look = self.waiting.range(not_yet..).next().map(|(from, ..)| *from);
        let next_look = wake(next_look, WakeReason::NextLook);
        if !self.is_wanted(now) {
            return next_look;
        }
        let turns = self.held.iter().filter(|held| !held.leaves);
        let turn = turns.map(|held| held.turn_ends).filter(|over| *over > now).min();
        let room = self.narrowed.map(Narrowed::ends);
        earliest([next_look, wake(turn, WakeReason::TurnOver), wake(room, WakeReason::RoomAgain)])
    }

    /// Whether somebody whose turn it is has no place.
    fn is_wanted(&self, now: Timestamp) -> bool {
        self.waiting.first().is_some_and(|(from, ..)| *from <= now)
    }
}
