//! Many watches that share a few connections, as a pure state machine around [`Watch`].

mod members;
mod places;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::action::Action;
use crate::cvm::CvmId;
use crate::input::{AttemptId, Input};
use crate::policy::Policy;
use crate::state::Latest;
use crate::time::Timestamp;
use crate::timer::Wake;
use crate::watch::Watch;
pub use members::MemberId;
use members::Members;
use places::Places;

/// A refused connection keeps others from trying for this long at least, whatever the delay of the
/// watch that was refused: a thousand others may wait for the same place.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// When a fleet is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Until {
    /// When every watch has ended. One that fails does not end the others.
    #[default]
    All,
    /// When one watch has reached its target: the others are aborted then. Until then one that
    /// fails does not end the others.
    Any,
}

/// Any number of watches over at most so many connections at once.
///
/// The endpoint lets a user have 5 event streams. With more watches than that, a stream gives up
/// its place for one that waits, at its first `state` that is not the target, or when its turn is
/// over: 10 seconds after its connection was asked for, or after a turn in which it said nothing 20,
/// then 40 and 60, and an interval and 5 seconds if that is more. The place goes to whoever has been
/// due longest, and each CVM is looked at once per [`interval`](Policy::interval) at most. A stream
/// at its target keeps its place for its [`complete_grace`](Policy::complete_grace), unless another
/// is due for it and nobody else can give way: then the target counts when whatever has come was
/// read. Where all fit, each has a stream of its own, as if alone.
///
/// Each turn is an attempt, and giving up a stream is no retry. A connection that has brought no
/// head in its turn has met its connect timeout, which is no longer than that while others wait. HTTP
/// 429 is no retry either: it says that there is no place. The watch goes back to the queue for as
/// long as the server asks, and meanwhile the fleet makes do with the connections that it has. So
/// give a [`deadline`](Policy::deadline): a server that has no place for ever refuses for ever.
///
/// It is driven like a [`Watch`], with a member beside each input and action; it asks for no
/// permit. A deadline in the [`Policy`] counts from when the member is added, waiting included:
/// give all the same, and there is one overall deadline.
///
/// ```
/// use std::sync::Arc;
///
/// use cvm_watch_core::{Action, CvmId, Fleet, Policy, Timestamp, Until};
///
/// let mut fleet = Fleet::new(1, Until::All);
/// let policy = Arc::new(Policy::builder("running").build()?);
/// for (seed, id) in [(1, "a"), (2, "b")] {
///     fleet.add(Arc::clone(&policy), CvmId::new(id)?, seed, Timestamp::ZERO);
/// }
/// let Some((first, Action::Connect { .. })) = fleet.poll_action() else { panic!("no connection") };
/// assert_eq!(fleet.watch(first).unwrap().id().as_str(), "a");
/// // The other waits for a place.
/// assert!(fleet.poll_action().is_none());
/// assert_eq!(fleet.open_connections(), 1);
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Fleet {
    members: Members,
    places: Places,
    until: Until,
    last_now: Timestamp,
    /// Nothing came in since the last tick: whatever was ready by then has been read.
    is_tick: bool,
}

impl Fleet {
    /// As many connections as a user of the endpoint can have and still have one for other tools.
    pub const DEFAULT_MAX_STREAMS: usize = 4;

    /// A fleet without members. `max_streams` is how many connections may be open at once, at least
    /// one.
    pub fn new(max_streams: usize, until: Until) -> Self {
        Self {
            members: Members::default(),
            places: Places::new(max_streams.max(1)),
            until,
            last_now: Timestamp::ZERO,
            is_tick: false,
        }
    }

    /// One more watch, which begins now. `seed` is as in [`Watch::new`].
    pub fn add(&mut self, policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp) -> MemberId {
        let now = self.at(now);
        let member = self.members.add(Watch::with_permits(policy, id, seed, now));
        self.settle(member);
        member
    }

    /// Tells what happened to a member's connection, then drain [`poll_action`](Self::poll_action).
    ///
    /// For the passing of time there is [`tick`](Self::tick), and for what concerns all members
    /// [`abort`](Self::abort) and [`resumed`](Self::resumed). Permits are the fleet's to give: an
    /// [`Input::Permit`] from outside is ignored.
    pub fn handle(&mut self, now: Timestamp, member: MemberId, input: Input<'_>) {
        let now = self.at(now);
        if matches!(input, Input::Permit) {
            // Time has passed all the same.
            return self.assign();
        }
        self.members.handle(now, member, input);
        self.settle(member);
    }

    /// Hands over bytes of a member's body, as [`Watch::receive`] does, and says how many were
    /// taken.
    pub fn receive(&mut self, now: Timestamp, member: MemberId, attempt: AttemptId, bytes: &[u8]) -> usize {
        let now = self.at(now);
        let taken = self.members.receive(now, member, attempt, bytes);
        self.settle(member);
        // Of a member that was forgotten nobody wants them.
        taken.unwrap_or(bytes.len())
    }

    /// Time has passed. Call it at [`next_wake`](Self::next_wake), after asking for ready I/O once.
    pub fn tick(&mut self, now: Timestamp) {
        let now = self.at(now);
        for member in self.members.due(now) {
            self.members.handle(now, member, Input::Tick);
            self.settle(member);
        }
        self.is_tick = true;
        self.assign();
    }

    /// Ends every watch now.
    pub fn abort(&mut self, now: Timestamp) {
        let now = self.at(now);
        // Those that wait first: an end must not give them a place for nothing.
        let (connected, waiting) = self.members.all().into_iter().partition(|id| self.members.is_connected(*id));
        let both: [Vec<MemberId>; 2] = [waiting, connected];
        for member in both.into_iter().flatten() {
            self.members.handle(now, member, Input::Abort);
            self.settle(member);
        }
    }

    /// The machine was suspended and runs again; see [`Input::Resumed`].
    pub fn resumed(&mut self, now: Timestamp) {
        let now = self.at(now);
        self.members.forget_looks();
        self.places.make_all_due(now);
        let all = self.members.all();
        // Every one, before any place is given or taken: what the nap did is nobody's fault.
        all.iter().for_each(|member| self.members.handle(now, *member, Input::Resumed));
        all.into_iter().for_each(|member| self.settle(member));
    }

    /// The next thing to do, and for whom. Call until `None` after each input.
    pub fn poll_action(&mut self) -> Option<(MemberId, Action)> {
        loop {
            let (member, action) = self.members.poll_action()?;
            if let Action::AskPermit = action {
                self.ask(member);
                self.settle(member);
                continue;
            }
            if let Action::Connect { .. } = action {
                self.places.begins(member, self.last_now, self.members.turn(member));
            }
            self.settle(member);
            if let (Action::Resolve(_), Until::Any) = (&action, self.until) {
                self.abort(self.last_now);
            }
            return Some((member, action));
        }
    }

    /// Forgets a member that has ended and whose actions were all polled, so that a fleet that goes
    /// on for ever holds no more than what it watches. False if it is not over yet.
    pub fn forget(&mut self, member: MemberId) -> bool {
        self.members.forget(member)
    }

    /// When to [`tick`](Self::tick) next; `None` when there is nothing to wait for.
    pub fn next_wake(&self) -> Option<Wake> {
        let members = self.members.next_wake();
        let has_reached = |member| self.members.latest(member) == Latest::Reached;
        let places = self.places.next_wake(self.last_now, has_reached);
        [members, places].into_iter().flatten().min_by_key(|wake| wake.at)
    }

    /// A member's watch, to ask where it stands.
    pub fn watch(&self, member: MemberId) -> Option<&Watch> {
        self.members.watch(member)
    }

    /// Every member, in the order in which they were added.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + use<> {
        self.members.all().into_iter()
    }

    /// How many watches have not ended.
    pub fn unfinished(&self) -> usize {
        self.members.unfinished()
    }

    /// How many connections are open, or about to be.
    pub fn open_connections(&self) -> usize {
        self.places.held()
    }

    /// A member wants to connect: it waits for its turn, and where not all fit, until it may be
    /// looked at again.
    fn ask(&mut self, member: MemberId) {
        let is_crowded = self.members.unfinished() > self.places.room(self.last_now);
        let next_look = self.members.next_look(member).filter(|_| is_crowded);
        self.places.wait(member, next_look.unwrap_or_default().max(self.last_now));
    }

    /// After something happened to a member: what it no longer needs goes to others.
    fn settle(&mut self, member: MemberId) {
        self.members.refresh(member);
        if let Some(delay) = self.members.refused_place(member) {
            self.places.narrow(member, self.last_now + delay.max(SHORTEST_PAUSE));
        }
        if !self.members.is_connected(member) {
            self.places.free(member);
        } else if self.members.is_leaving(member) {
            self.places.leaves(member);
        }
        if self.members.has_ended(member) {
            self.places.leave_queue(member);
        }
        self.assign();
    }

    /// Gives free places to those whose turn it is, and has others give way to the rest of them.
    /// Whose turn is over is judged like any timer: at a tick, after whatever was ready came in.
    fn assign(&mut self) {
        let now = self.last_now;
        while let Some(member) = self.places.take_next(now) {
            self.members.permit(now, member);
            self.members.refresh(member);
        }
        for member in self.places.may_give_way(now, self.is_tick, |member| self.members.latest(member)) {
            // Its place is free when its connection is closed.
            if self.places.is_enough_leaving(now) {
                break;
            }
            if self.members.give_way(now, member) {
                self.places.leaves(member);
            }
            self.members.refresh(member);
        }
    }

    fn at(&mut self, now: Timestamp) -> Timestamp {
        self.is_tick = false;
        self.last_now = self.last_now.max(now);
        self.last_now
    }
}
