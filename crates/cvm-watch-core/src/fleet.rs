//! Many watches that share a few connections, as a pure state machine around [`Watch`].

mod members;
mod slots;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use members::MemberId;
use members::Members;
use slots::Slots;

use crate::action::Action;
use crate::cvm_id::CvmId;
use crate::error::{ConfigError, ConfigErrorKind};
use crate::input::{AttemptId, Input};
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::timer::Wake;
use crate::watch::{Connection, Watch};

/// After a refusal no further stream is tried for this long at least, whatever the delay of the
/// watch that was refused: a thousand others may wait for the same slot.
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

/// Any number of watches over a limited number of concurrent connections.
///
/// The endpoint allows 5 event streams per user. With more watches than slots, a stream yields its
/// slot to a member that waits: once it has reported a `state`, or when its time slice is over. A
/// time slice lasts 10 seconds from when the connection was asked for; after a slice without a
/// `state` 20, then 40 and 60, and an interval plus 5 seconds if that is more. Nothing that has
/// arrived is dropped: a stream yields only at a [`tick`](Self::tick), after everything was read.
///
/// The slot goes to the member that has been due longest, and each CVM is checked once per
/// [`interval`](Policy::interval) at most. A stream at its target keeps its slot for its
/// [`complete_grace`](Policy::complete_grace), unless a member is due and no other one can yield:
/// then the target counts at once. With enough slots for all, each watch has a stream of its own,
/// as if alone.
///
/// Each slot taken is an attempt, and yielding does not count as a retry. A connection without a
/// head at the end of its time slice has met its connect timeout. HTTP 429 does not count as a
/// retry either: it means that there is no slot. The watch waits for as long as the server asks, and
/// meanwhile the fleet uses the connections that it has. Set a
/// [`deadline`](crate::PolicyBuilder::deadline): a server that always refuses would be asked for ever.
///
/// It is driven like a [`Watch`], with a member beside each input and action, and asks for no
/// permit. The deadline of a [`Policy`] counts from when the member is added, waiting included:
/// add all at one time, and there is one overall deadline.
///
/// ```
/// use std::sync::Arc;
///
/// use cvm_watch_core::{Action, CvmId, Fleet, Policy, Timestamp, Until};
///
/// let mut fleet = Fleet::new(1, Until::All)?;
/// let policy = Arc::new(Policy::builder("running").build()?);
/// for (seed, id) in [(1, "a"), (2, "b")] {
///     fleet.add(Arc::clone(&policy), CvmId::new(id)?, seed, Timestamp::ZERO);
/// }
/// let Some((first, Action::Connect { .. })) = fleet.poll_action() else { panic!("no connection") };
/// assert_eq!(fleet.watch(first).unwrap().id().as_str(), "a");
/// // The other one waits for a slot.
/// assert!(fleet.poll_action().is_none());
/// assert_eq!(fleet.open_connections(), 1);
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Fleet {
    members: Members,
    slots: Slots,
    until: Until,
    last_now: Timestamp,
    /// Nothing came in since the last tick, so everything that had arrived was read.
    all_read: bool,
}

impl Fleet {
    /// One connection less than the endpoint allows a user, so that one is left for other tools.
    pub const DEFAULT_MAX_STREAMS: usize = 4;

    /// A fleet without members, with at most `max_streams` connections at once.
    ///
    /// # Errors
    ///
    /// A `max_streams` of 0.
    pub fn new(max_streams: usize, until: Until) -> Result<Self, ConfigError> {
        if max_streams == 0 {
            let error = ConfigError::new("max streams", "0", "must be at least 1");
            return Err(error.with_kind(ConfigErrorKind::OutOfRange));
        }
        Ok(Self { slots: Slots::new(max_streams), until, ..Self::default() })
    }

    /// Adds a watch, which begins now. `seed` is as in [`Watch::new`].
    pub fn add(&mut self, policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp) -> MemberId {
        let now = self.at(now);
        let member = self.members.add(Watch::with_permits(policy, id, seed, now));
        self.settle(member);
        member
    }

    /// Reports what happened to a member's connection; then drain [`poll_action`](Self::poll_action).
    ///
    /// For the passing of time call [`tick`](Self::tick), and for what concerns all members
    /// [`abort`](Self::abort) and [`resumed`](Self::resumed). An [`Input::Permit`] is ignored: the
    /// fleet itself gives permits.
    pub fn handle(&mut self, now: Timestamp, member: MemberId, input: Input<'_>) {
        let now = self.at(now);
        if matches!(input, Input::Permit) {
            // Time has passed all the same.
            return self.assign();
        }
        self.members.handle(now, member, input);
        self.settle(member);
    }

    /// Hands over bytes of a member's body, as [`Watch::receive`] does, and returns how many were
    /// taken. Bytes for a removed member are discarded.
    #[must_use = "the rest of the bytes must be offered again"]
    pub fn receive(&mut self, now: Timestamp, member: MemberId, attempt: AttemptId, bytes: &[u8]) -> usize {
        let now = self.at(now);
        let taken = self.members.receive(now, member, attempt, bytes);
        self.settle(member);
        taken.unwrap_or(bytes.len())
    }

    /// Time has passed. Call it at [`next_wake`](Self::next_wake), after asking every connection for
    /// ready I/O once.
    pub fn tick(&mut self, now: Timestamp) {
        let now = self.at(now);
        for member in self.members.due(now) {
            self.members.handle(now, member, Input::Tick);
            self.settle(member);
        }
        self.all_read = true;
        self.assign();
    }

    /// Ends every watch now.
    pub fn abort(&mut self, now: Timestamp) {
        let now = self.at(now);
        // Those that wait come first, so that the end of another one gives them no slot.
        let (connected, waiting): (Vec<_>, Vec<_>) =
            self.members.all().into_iter().partition(|id| self.members.connection(*id) != Connection::None);
        for member in waiting.into_iter().chain(connected) {
            self.members.handle(now, member, Input::Abort);
            self.settle(member);
        }
    }

    /// The machine was suspended and runs again; see [`Input::Resumed`].
    pub fn resumed(&mut self, now: Timestamp) {
        let now = self.at(now);
        self.members.forget_checks();
        self.slots.make_all_due(now);
        let all = self.members.all();
        // All of them before any slot changes hands: the system sleep is no member's failure.
        all.iter().for_each(|member| self.members.handle(now, *member, Input::Resumed));
        all.into_iter().for_each(|member| self.settle(member));
    }

    /// Pauses a member, or unpauses it. A paused member is given no slot; a connection that it has
    /// stays until its attempt ends or its slot is needed. So a member whose events nobody takes at
    /// the moment holds up no other.
    ///
    /// ```
    /// use cvm_watch_core::{Action, Fleet, Policy, Timestamp};
    ///
    /// let mut fleet = Fleet::default();
    /// let policy = Policy::builder("running").build()?;
    /// let member = fleet.add(policy.into(), "my-cvm".parse()?, 1, Timestamp::ZERO);
    /// let Some((_, Action::Connect { attempt, .. })) = fleet.poll_action() else { panic!("no connection") };
    ///
    /// fleet.set_paused(Timestamp::ZERO, member, true);
    /// let cause = cvm_watch_core::CloseCause::Reset;
    /// fleet.handle(Timestamp::ZERO, member, cvm_watch_core::Input::Closed { attempt, cause });
    /// assert!(matches!(fleet.poll_action(), Some((_, Action::Retrying { .. }))));
    /// fleet.tick(Timestamp::from_secs(10));
    /// assert!(fleet.poll_action().is_none());
    ///
    /// fleet.set_paused(Timestamp::from_secs(10), member, false);
    /// assert!(matches!(fleet.poll_action(), Some((_, Action::Connect { .. }))));
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn set_paused(&mut self, now: Timestamp, member: MemberId, paused: bool) {
        self.at(now);
        if paused {
            let was_waiting = self.slots.stop_waiting(member);
            self.members.pause(member, was_waiting);
        } else if self.members.unpause(member) {
            self.wait(member);
        }
        self.assign();
    }

    /// Returns the next thing to do, and for which member. Call it until `None` after each input.
    #[must_use = "an action that is not executed is lost"]
    pub fn poll_action(&mut self) -> Option<(MemberId, Action)> {
        loop {
            let (member, action) = self.members.poll_action()?;
            if let Action::AskPermit = action {
                self.wait(member);
                self.settle(member);
                continue;
            }
            if let Action::Connect { .. } = action {
                self.slots.begin_slice(member, self.last_now, self.members.time_slice(member));
            }
            self.settle(member);
            if let (Action::Resolve(_), Until::Any) = (&action, self.until) {
                self.abort(self.last_now);
            }
            return Some((member, action));
        }
    }

    /// Removes a member that has ended and whose actions were all polled, so that a long-lived fleet
    /// holds no more than what it watches. Returns whether it was removed.
    pub fn remove(&mut self, member: MemberId) -> bool {
        self.members.remove(member)
    }

    /// When to [`tick`](Self::tick) next; `None` when there is nothing to wait for. It may be the
    /// last `now`: then tick as soon as everything that has arrived was read.
    pub fn next_wake(&self) -> Option<Wake> {
        let members = self.members.next_wake();
        let slots = self.slots.next_wake(self.last_now, |member| self.members.latest(member));
        [members, slots].into_iter().flatten().min_by_key(|wake| wake.at)
    }

    /// A member's watch.
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
        self.slots.held()
    }

    /// A member wants to connect. Over capacity it also waits until its CVM may be checked again.
    fn wait(&mut self, member: MemberId) {
        if self.members.is_paused(member) {
            return self.members.pause(member, true);
        }
        let over_capacity = self.members.unfinished() > self.slots.available(self.last_now);
        let next_check = self.members.next_check(member).filter(|_| over_capacity);
        self.slots.wait(member, next_check.unwrap_or_default().max(self.last_now));
    }

    /// After a member changed: updates its slot, then gives free slots to others.
    fn settle(&mut self, member: MemberId) {
        self.members.refresh(member);
        if let Some(delay) = self.members.refused_for(member) {
            self.slots.reduce(member, self.last_now + delay.max(SHORTEST_PAUSE));
        }
        match self.members.connection(member) {
            Connection::None => self.slots.free(member),
            Connection::Closing => self.slots.closing(member),
            Connection::Open => {}
        }
        if self.members.has_ended(member) {
            self.slots.stop_waiting(member);
        }
        self.assign();
    }

    /// Gives free slots to the members that are due, and makes others yield to the rest of them.
    fn assign(&mut self) {
        let now = self.last_now;
        while let Some(member) = self.slots.take_next(now) {
            self.members.permit(now, member);
            self.members.refresh(member);
        }
        if !self.all_read || self.slots.enough_closing(now) {
            return;
        }
        for member in self.slots.may_yield(now, |member| self.members.latest(member)) {
            if self.members.yield_slot(now, member) {
                self.slots.closing(member);
            }
            self.members.refresh(member);
            if self.slots.enough_closing(now) {
                break;
            }
        }
    }

    fn at(&mut self, now: Timestamp) -> Timestamp {
        self.all_read = false;
        self.last_now = self.last_now.max(now);
        self.last_now
    }
}

impl Default for Fleet {
    /// A fleet of [`DEFAULT_MAX_STREAMS`](Self::DEFAULT_MAX_STREAMS) that waits for all.
    fn default() -> Self {
        Self {
            members: Members::default(),
            slots: Slots::new(Self::DEFAULT_MAX_STREAMS),
            until: Until::All,
            last_now: Timestamp::ZERO,
            all_read: false,
        }
    }
}
