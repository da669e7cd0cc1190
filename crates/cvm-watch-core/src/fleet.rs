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

/// The shortest time after a refusal before the fleet tries one more stream, even if the refused watch has a shorter
/// delay: a thousand other members may wait for the same slot.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// When a fleet ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Until {
    /// When every watch has ended. A failed watch does not end the others.
    #[default]
    All,
    /// When one watch has reached its target; the others are aborted then. A failed watch does not end the others.
    Any,
}

/// Any number of watches over a limited number of concurrent connections.
///
/// The endpoint allows 5 event streams per user. With more watches than slots, a stream yields its slot to a waiting
/// member once it has reported a `state`, or when its time slice is over. A time slice lasts 10 seconds from the
/// moment the connection was requested. After a slice without a `state` the next one lasts 20, then 40 and 60
/// seconds, or an interval plus 5 seconds if that is longer. No input is dropped: a stream yields only at a
/// [`tick`](Self::tick), after everything that arrived was read.
///
/// The slot goes to the member that has been due longest, and each CVM is checked at most once per
/// [`interval`](Policy::interval). A stream at its target keeps its slot for its
/// [`complete_grace`](Policy::complete_grace), unless a member is due and no other stream can yield: then the target
/// counts at once. With enough slots for all, each watch keeps its own stream, as if alone.
///
/// Each time a member gets a slot is an attempt, and yielding does not count as a retry. If no head has arrived at the
/// end of a time slice, the attempt fails by its connect timeout. HTTP 429 does not count as a retry either: it means
/// that the server has no free slot. The watch then waits for as long as the server asks, and meanwhile the fleet uses
/// the connections that it has. Set a [`deadline`](crate::PolicyBuilder::deadline), since a server that always answers
/// 429 would be retried for ever.
///
/// A fleet is driven like a [`Watch`], with a member beside each input and action, and without permits. The deadline
/// of a [`Policy`] counts from when the member is added, including the wait for a slot. If all members are added at
/// the same time, the deadline is that of the fleet.
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
    /// Whether there was no input since the last tick, so that everything that had arrived was read.
    all_read: bool,
}

impl Fleet {
    /// One stream fewer than the endpoint allows per user, so that one is left for other tools.
    pub const DEFAULT_MAX_STREAMS: usize = 4;

    /// Makes a fleet without members, with at most `max_streams` connections at a time.
    ///
    /// # Errors
    ///
    /// Fails if `max_streams` is 0.
    ///
    /// ```
    /// use cvm_watch_core::{Fleet, Until};
    ///
    /// assert!(Fleet::new(4, Until::Any).is_ok());
    /// assert_eq!(Fleet::new(0, Until::Any).unwrap_err().field(), "max streams");
    /// ```
    pub fn new(max_streams: usize, until: Until) -> Result<Self, ConfigError> {
        if max_streams == 0 {
            let error = ConfigError::new("max streams", "0", "must be at least 1");
            return Err(error.with_kind(ConfigErrorKind::OutOfRange));
        }
        Ok(Self { slots: Slots::new(max_streams), until, ..Self::default() })
    }

    /// Adds a watch, which begins at `now`. For `seed` see [`Watch::new`].
    pub fn add(&mut self, policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp) -> MemberId {
        let now = self.at(now);
        let member = self.members.add(Watch::with_permits(policy, id, seed, now));
        self.settle(member);
        member
    }

    /// Reports what happened to a member's connection; then drain [`poll_action`](Self::poll_action).
    ///
    /// Time and inputs that concern all members have their own methods: [`tick`](Self::tick), [`abort`](Self::abort)
    /// and
    /// [`resumed`](Self::resumed). An [`Input::Permit`] is ignored, since the fleet gives permits itself.
    pub fn handle(&mut self, now: Timestamp, member: MemberId, input: Input<'_>) {
        let now = self.at(now);
        if matches!(input, Input::Permit) {
            // The input is ignored, but time has passed.
            return self.assign();
        }
        self.members.handle(now, member, input);
        self.settle(member);
    }

    /// Passes on bytes of a member's body, as [`Watch::receive`] does, and returns how many were taken. Bytes for a
    /// removed member are discarded.
    #[must_use = "the rest of the bytes must be offered again"]
    pub fn receive(&mut self, now: Timestamp, member: MemberId, attempt: AttemptId, bytes: &[u8]) -> usize {
        let now = self.at(now);
        let taken = self.members.receive(now, member, attempt, bytes);
        self.settle(member);
        taken.unwrap_or(bytes.len())
    }

    /// Lets time pass. Call it at [`next_wake`](Self::next_wake), after polling every connection once for ready I/O.
    pub fn tick(&mut self, now: Timestamp) {
        let now = self.at(now);
        for member in self.members.due(now) {
            self.members.handle(now, member, Input::Tick);
            self.settle(member);
        }
        self.all_read = true;
        self.assign();
    }

    /// Aborts every watch.
    pub fn abort(&mut self, now: Timestamp) {
        let now = self.at(now);
        // Waiting members first: otherwise the end of another one would give them its slot.
        let (connected, waiting): (Vec<_>, Vec<_>) =
            self.members.all().into_iter().partition(|id| self.members.connection(*id) != Connection::None);
        for member in waiting.into_iter().chain(connected) {
            self.members.handle(now, member, Input::Abort);
            self.settle(member);
        }
    }

    /// Reports that the machine was suspended and resumed; see [`Input::Resumed`].
    pub fn resumed(&mut self, now: Timestamp) {
        let now = self.at(now);
        self.members.forget_checks();
        self.slots.make_all_due(now);
        let all = self.members.all();
        // All members before any slot changes hands, so that the system sleep counts as a failure of none.
        all.iter().for_each(|member| self.members.handle(now, *member, Input::Resumed));
        all.into_iter().for_each(|member| self.settle(member));
    }

    /// Pauses a member, or unpauses it. A paused member gets no slot. A connection that it has stays open until its
    /// attempt ends or its slot is needed. Pause a member while its caller reads no events, so that it does not block
    /// others.
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
            // The slot is taken when the attempt begins, which is with the question for its credential if it asks.
            let asks = self.watch(member).is_some_and(|watch| watch.policy().credential_per_attempt());
            if matches!(action, Action::AskCredential { .. }) || (matches!(action, Action::Connect { .. }) && !asks) {
                self.slots.begin_slice(member, self.last_now, self.members.time_slice(member));
            }
            self.settle(member);
            if let (Action::Resolve(_), Until::Any) = (&action, self.until) {
                self.abort(self.last_now);
            }
            return Some((member, action));
        }
    }

    /// Removes a member that has ended and whose actions were all polled, to free its memory in a long-lived fleet.
    /// Returns whether it was removed.
    pub fn remove(&mut self, member: MemberId) -> bool {
        self.members.remove(member)
    }

    /// Returns when to [`tick`](Self::tick) next; `None` if no timer runs. If it is not later than the last `now`,
    /// tick as soon as everything that has arrived was read.
    pub fn next_wake(&self) -> Option<Wake> {
        let members = self.members.next_wake();
        let slots = self.slots.next_wake(self.last_now, |member| self.members.latest(member));
        [members, slots].into_iter().flatten().min_by_key(|wake| wake.at)
    }

    /// Returns a member's watch.
    pub fn watch(&self, member: MemberId) -> Option<&Watch> {
        self.members.watch(member)
    }

    /// Returns every member, in the order in which they were added.
    pub fn members(&self) -> impl Iterator<Item = MemberId> + use<> {
        self.members.all().into_iter()
    }

    /// Returns how many watches have not ended.
    pub fn unfinished(&self) -> usize {
        self.members.unfinished()
    }

    /// Returns how many connections are open or requested.
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

    /// Updates a member's slot after a change, then gives free slots to others.
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

    /// Gives free slots to members that are due, and makes streams yield for the rest of those.
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
