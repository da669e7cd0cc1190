//! The watches of a fleet: which of them have actions to poll, and when each must be woken.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::action::Action;
use crate::input::{AttemptId, Input};
use crate::judge::Verdict;
use crate::state::Phase;
use crate::time::Timestamp;
use crate::timer::Wake;
use crate::watch::{Connection, Watch};

/// What a time slice for a slow server allows for the head, in addition to one interval.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The time slice after one without a state; each further one is twice as long.
const SECOND_SLICE: Duration = Duration::from_secs(20);
/// The longest time slice, unless the interval is longer.
const LONGEST_SLICE: Duration = Duration::from_secs(60);

/// One watch of a [`Fleet`](super::Fleet), numbered from 0 in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u64);

impl MemberId {
    pub(super) const FIRST: Self = Self(0);

    /// Makes the id of the member with this number, to replay a recording. A driver uses the ids that the fleet
    /// returns.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number: 0 for the first member that was added.
    pub const fn number(self) -> u64 {
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
    /// The members that have actions to poll, each once. All actions of one member are polled before those of the
    /// next, so that a slot is free before another member connects.
    queue: VecDeque<MemberId>,
    wakes: BTreeSet<(Timestamp, MemberId)>,
}

#[derive(Debug)]
struct Member {
    watch: Watch,
    /// Its entry in `wakes`.
    wake: Option<Timestamp>,
    /// Whether it is in `queue`.
    queued: bool,
    has_ended: bool,
    /// When it got its last slot.
    last_check: Option<Timestamp>,
    /// How many of its time slices ended before its stream reported a state.
    silent_slices: u32,
    pause: Pause,
}

/// Whether a member may get a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    No,
    Yes,
    /// It is paused, and wants to connect.
    Waiting,
}

impl Members {
    pub(super) fn add(&mut self, watch: Watch) -> MemberId {
        let id = MemberId(self.added);
        self.added += 1;
        self.unfinished += 1;
        let member = Member {
            watch,
            wake: None,
            queued: false,
            has_ended: false,
            last_check: None,
            silent_slices: 0,
            pause: Pause::No,
        };
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
            member.last_check = Some(now);
            member.watch.handle(now, Input::Permit);
        }
    }

    /// Pauses a member, which may be `waiting` to connect.
    pub(super) fn pause(&mut self, id: MemberId, waiting: bool) {
        if let Some(member) = self.watches.get_mut(&id) {
            let waiting = waiting || member.pause == Pause::Waiting;
            member.pause = if waiting { Pause::Waiting } else { Pause::Yes };
        }
    }

    /// Unpauses a member. Returns whether it wants to connect.
    pub(super) fn unpause(&mut self, id: MemberId) -> bool {
        let member = self.watches.get_mut(&id);
        member.is_some_and(|member| core::mem::replace(&mut member.pause, Pause::No) == Pause::Waiting)
    }

    pub(super) fn is_paused(&self, id: MemberId) -> bool {
        self.watches.get(&id).is_some_and(|member| member.pause != Pause::No)
    }

    /// Ends the member's time slice. Returns false if the attempt goes on because its `Connect` was not polled yet.
    pub(super) fn yield_slot(&mut self, now: Timestamp, id: MemberId) -> bool {
        let Some(member) = self.watches.get_mut(&id) else { return false };
        if member.watch.phase() == Phase::Streaming && member.watch.latest() == Verdict::Unknown {
            member.silent_slices = member.silent_slices.saturating_add(1);
        }
        let attempt = AttemptId(member.watch.attempts());
        member.watch.handle(now, Input::Yield { attempt });
        member.watch.connection() != Connection::Open
    }

    /// Returns the length of the member's next time slice. A server may send nothing until it has polled the CVM, so
    /// each slice after one without a state is longer.
    pub(super) fn time_slice(&self, id: MemberId) -> Duration {
        let Some(member) = self.watches.get(&id).filter(|member| member.silent_slices > 0) else {
            return Duration::ZERO;
        };
        let doubled = SECOND_SLICE * 2_u32.saturating_pow(member.silent_slices.min(8) - 1);
        doubled.min(LONGEST_SLICE).max(member.watch.policy().interval() + HEAD_TIME)
    }

    /// Allows every CVM to be checked again.
    pub(super) fn forget_checks(&mut self) {
        self.watches.values_mut().for_each(|member| member.last_check = None);
    }

    pub(super) fn poll_action(&mut self) -> Option<(MemberId, Action)> {
        while let Some(id) = self.queue.front().copied() {
            let member = self.watches.get_mut(&id);
            if let Some(action) = member.and_then(|member| member.watch.poll_action()) {
                return Some((id, action));
            }
            self.queue.pop_front();
            if let Some(member) = self.watches.get_mut(&id) {
                member.queued = false;
            }
        }
        None
    }

    /// Updates the queues after an input to a watch or after an action was polled from it.
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
        if !member.queued && member.watch.has_actions() {
            member.queued = true;
            self.queue.push_back(id);
        }
        if !member.has_ended && member.watch.phase() == Phase::Ended {
            member.has_ended = true;
            self.unfinished -= 1;
        }
    }

    pub(super) fn remove(&mut self, id: MemberId) -> bool {
        let is_over = self.watches.get(&id).is_some_and(|member| member.has_ended && !member.watch.has_actions());
        if is_over {
            self.watches.remove(&id);
            self.queue.retain(|other| *other != id);
        }
        is_over
    }

    /// Returns the members whose timers are due.
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

    pub(super) fn connection(&self, id: MemberId) -> Connection {
        self.watch(id).map_or(Connection::None, Watch::connection)
    }

    /// Returns the verdict on the member's latest state.
    pub(super) fn latest(&self, id: MemberId) -> Verdict {
        self.watch(id).map_or(Verdict::Unknown, Watch::latest)
    }

    /// Returns for how long the server allows no further stream, if it has just refused this member's.
    pub(super) fn refused_for(&self, id: MemberId) -> Option<Duration> {
        self.watch(id)?.refused_for()
    }

    /// Returns when the member's CVM may be checked again.
    pub(super) fn next_check(&self, id: MemberId) -> Option<Timestamp> {
        let member = self.watches.get(&id)?;
        member.last_check.map(|at| at + member.watch.policy().interval())
    }
}
