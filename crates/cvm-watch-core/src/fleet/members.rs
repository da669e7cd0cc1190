//! The watches of a fleet: who has something to say, and who wants to be woken when.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::action::Action;
use crate::input::{AttemptId, Input};
use crate::state::{Latest, Phase};
use crate::time::Timestamp;
use crate::timer::Wake;
use crate::watch::Watch;

/// What the way to the head may take of a turn that is to last for an interval.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// A turn after one in which nothing was said; each further one is twice as long.
const SILENT_TURN: Duration = Duration::from_secs(20);
/// No turn is longer, but for the interval: others wait.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// One watch of a [`Fleet`](super::Fleet), numbered from 0 in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u64);

impl MemberId {
    pub(super) const FIRST: Self = Self(0);

    /// The number: 0 for the first that was added.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Default)]
pub(super) struct Members {
    watches: BTreeMap<MemberId, Member>,
    added: u64,
    unfinished: usize,
    /// Those that have actions to poll, each once. One is polled to its end before the next, so
    /// that a place is free before somebody else connects.
    speaking: VecDeque<MemberId>,
    wakes: BTreeSet<(Timestamp, MemberId)>,
}

#[derive(Debug)]
struct Member {
    watch: Watch,
    /// Its entry in `wakes`.
    wake: Option<Timestamp>,
    /// Whether it is in `speaking`.
    speaks: bool,
    has_ended: bool,
    /// When it got its last place.
    looked: Option<Timestamp>,
    /// How many of its turns ended before its stream said a state.
    silent_turns: u32,
}

impl Members {
    pub(super) fn add(&mut self, watch: Watch) -> MemberId {
        let id = MemberId(self.added);
        self.added += 1;
        self.unfinished += 1;
        let member = Member { watch, wake: None, speaks: false, has_ended: false, looked: None, silent_turns: 0 };
        self.watches.insert(id, member);
        id
    }

    pub(super) fn handle(&mut self, now: Timestamp, id: MemberId, input: Input<'_>) {
        if let Some(member) = self.watches.get_mut(&id) {
            member.watch.handle(now, input);
        }
    }

    pub(super) fn receive(&mut self, now: Timestamp, id: MemberId, attempt: AttemptId, bytes: &[u8]) -> Option<usize> {
        self.watches.get_mut(&id).map(|member| member.watch.receive(now, attempt, bytes))
    }

    pub(super) fn permit(&mut self, now: Timestamp, id: MemberId) {
        if let Some(member) = self.watches.get_mut(&id) {
            member.looked = Some(now);
            member.watch.handle(now, Input::Permit);
        }
    }

    /// Ends its turn. False if it goes on, since no driver has heard of its connection yet.
    pub(super) fn give_way(&mut self, now: Timestamp, id: MemberId) -> bool {
        let Some(member) = self.watches.get_mut(&id) else { return false };
        if member.watch.phase() == Phase::Streaming && member.watch.latest() == Latest::Nothing {
            member.silent_turns = member.silent_turns.saturating_add(1);
        }
        member.watch.end_turn(now);
        !is_open(&member.watch)
    }

    /// How long its next turn may be. A server that is silent until it has looked at the CVM once is
    /// given the time for that after a turn in which it said nothing, and a slower one more and more.
    pub(super) fn turn(&self, id: MemberId) -> Duration {
        let Some(member) = self.watches.get(&id).filter(|member| member.silent_turns > 0) else {
            return Duration::ZERO;
        };
        let doubled = SILENT_TURN * 2_u32.saturating_pow(member.silent_turns.min(8) - 1);
        doubled.min(LONGEST_TURN).max(member.watch.policy().interval() + HEAD_TIME)
    }

    /// Whoever was looked at long ago by the clock may be looked at again now.
    pub(super) fn forget_looks(&mut self) {
        self.watches.values_mut().for_each(|member| member.looked = None);
    }

    pub(super) fn poll_action(&mut self) -> Option<(MemberId, Action)> {
        while let Some(id) = self.speaking.front().copied() {
            let member = self.watches.get_mut(&id);
            if let Some(action) = member.and_then(|member| member.watch.poll_action()) {
                return Some((id, action));
            }
            self.speaking.pop_front();
            if let Some(member) = self.watches.get_mut(&id) {
                member.speaks = false;
            }
        }
        None
    }

    /// After something was told to a watch, or an action was polled.
    pub(super) fn refresh(&mut self, id: MemberId) {
        let Some(member) = self.watches.get_mut(&id) else { return };
        let wake = member.watch.next_wake().map(|wake| wake.at);
        if wake != member.wake {
            if let Some(before) = member.wake {
                self.wakes.remove(&(before, id));
            }
            self.wakes.extend(wake.map(|at| (at, id)));
            member.wake = wake;
        }
        if !member.speaks && member.watch.has_actions() {
            member.speaks = true;
            self.speaking.push_back(id);
        }
        if !member.has_ended && member.watch.phase() == Phase::Ended {
            member.has_ended = true;
            self.unfinished -= 1;
        }
    }

    pub(super) fn forget(&mut self, id: MemberId) -> bool {
        let is_over = self.watches.get(&id).is_some_and(|member| member.has_ended && !member.watch.has_actions());
        if is_over {
            self.watches.remove(&id);
            self.speaking.retain(|other| *other != id);
        }
        is_over
    }

    /// Those whose timers are due.
    pub(super) fn due(&self, now: Timestamp) -> Vec<MemberId> {
        self.wakes.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    pub(super) fn next_wake(&self) -> Option<Wake> {
        let (_, id) = self.wakes.first()?;
        self.watch(*id)?.next_wake()
    }

    pub(super) fn watch(&self, id: MemberId) -> Option<&Watch> {
        self.watches.get(&id).map(|member| &member.watch)
    }

    pub(super) fn all(&self) -> Vec<MemberId> {
        self.watches.keys().copied().collect()
    }

    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    pub(super) fn has_ended(&self, id: MemberId) -> bool {
        self.watches.get(&id).is_none_or(|member| member.has_ended)
    }

    /// Whether it has a connection, or one whose end was not ordered yet.
    pub(super) fn is_connected(&self, id: MemberId) -> bool {
        self.watch(id).is_some_and(Watch::is_connected)
    }

    /// Whether its connection is over, but for the order to close it.
    pub(super) fn is_leaving(&self, id: MemberId) -> bool {
        self.watch(id).is_some_and(|watch| watch.is_connected() && !is_open(watch))
    }

    /// What its stream has said last.
    pub(super) fn latest(&self, id: MemberId) -> Latest {
        self.watch(id).map_or(Latest::Nothing, Watch::latest)
    }

    /// For how long there is no place, if the server has just said that there is none.
    pub(super) fn refused_place(&self, id: MemberId) -> Option<Duration> {
        self.watch(id)?.refused_place()
    }

    /// When it may be looked at again.
    pub(super) fn next_look(&self, id: MemberId) -> Option<Timestamp> {
        let member = self.watches.get(&id)?;
        member.looked.map(|at| at + member.watch.policy().interval())
    }
}

/// Whether its attempt goes on.
fn is_open(watch: &Watch) -> bool {
    matches!(watch.phase(), Phase::Connecting | Phase::Streaming | Phase::ReadingError)
}
