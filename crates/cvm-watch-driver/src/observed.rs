//! A record of everything that goes into the core and comes out of it.

use std::sync::Arc;

use cvm_watch_core::{Action, AttemptId, CvmId, Fleet, Input, MemberId, Policy, Timestamp, Until, Watch};

use crate::engine::{ALONE, Engine};

/// One call of the core, as [`WatchHandle::observe`](crate::WatchHandle::observe) and
/// [`FleetHandle::observe`](crate::FleetHandle::observe) show it. The calls, in this order, determine
/// everything that the core does: the same calls give the same actions.
///
/// A watch outside a fleet is member 0. Secrets are not redacted: the key in the policy, and any repetition of it in
/// bytes and response heads.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Observed<'a> {
    /// A fleet was made ([`Fleet::new`]); the first call if there is a fleet.
    FleetStarted {
        /// How many streams may be open at once.
        max_streams: usize,
        /// When the fleet ends.
        until: Until,
    },
    /// A watch begins ([`Watch::new`] or [`Fleet::add`]).
    Started {
        /// Its member number.
        member: MemberId,
        /// Its policy.
        policy: &'a Policy,
        /// The CVM.
        id: &'a CvmId,
        /// The seed of the jitter.
        seed: u64,
        /// The time.
        now: Timestamp,
    },
    /// The core is about to handle an input.
    Handled {
        /// The time.
        now: Timestamp,
        /// The member it concerns; `None` if it concerns all, as time, a system sleep and an abort
        /// of all do ([`Fleet::tick`], [`Fleet::resumed`], [`Fleet::abort`]).
        member: Option<MemberId>,
        /// The input.
        input: &'a Input<'a>,
    },
    /// The core was offered a chunk of a body and took some of it.
    Received {
        /// The time.
        now: Timestamp,
        /// The member whose body it is.
        member: MemberId,
        /// The attempt whose body it is.
        attempt: AttemptId,
        /// The whole chunk. The same chunk is shown again until all of it is taken.
        chunk: &'a [u8],
        /// How many of its bytes were taken before; 0 the first time.
        from: usize,
        /// How many bytes were taken now.
        taken: usize,
    },
    /// The core was asked for its next action; `None` when there was none left.
    Polled(Option<(MemberId, &'a Action)>),
    /// A member was paused or unpaused ([`Fleet::set_paused`]).
    Paused {
        /// The time.
        now: Timestamp,
        /// The member.
        member: MemberId,
        /// Whether it is paused from now on.
        paused: bool,
    },
    /// A member that has ended was removed ([`Fleet::remove`]).
    Removed(MemberId),
}

impl<'a> Observed<'a> {
    /// The member it concerns; `None` if it concerns all.
    pub fn member(&self) -> Option<MemberId> {
        match self {
            Self::FleetStarted { .. } => None,
            Self::Started { member, .. }
            | Self::Received { member, .. }
            | Self::Paused { member, .. }
            | Self::Removed(member) => Some(*member),
            Self::Handled { member, .. } => *member,
            Self::Polled(action) => action.map(|(member, _)| member),
        }
    }
}

pub(crate) type Observer = Box<dyn FnMut(Observed<'_>) + Send>;

/// An engine whose calls observers may see.
pub(crate) struct Observable<E> {
    engine: E,
    /// Each with the only member whose calls it sees, if it does not see all.
    observers: Vec<(Option<MemberId>, Observer)>,
}

impl Observable<Watch> {
    pub(crate) fn watch_of(
        policy: Arc<Policy>,
        id: CvmId,
        seed: u64,
        now: Timestamp,
        observers: impl Iterator<Item = Observer>,
    ) -> Self {
        let engine = Watch::new(Arc::clone(&policy), id.clone(), seed, now);
        let mut this = Self { engine, observers: observers.map(|observer| (None, observer)).collect() };
        this.observe(|| Observed::Started { member: ALONE, policy: &policy, id: &id, seed, now });
        this
    }
}

impl Observable<Fleet> {
    pub(crate) fn fleet(max_streams: usize, until: Until, observers: impl Iterator<Item = Observer>) -> Self {
        // The handles have already refused a number of streams that the fleet would refuse.
        let engine = Fleet::new(max_streams, until).unwrap_or_default();
        let mut this = Self { engine, observers: observers.map(|observer| (None, observer)).collect() };
        this.observe(|| Observed::FleetStarted { max_streams, until });
        this
    }

    /// Adds a member; `observer` sees its calls and those that concern all.
    pub(crate) fn add(
        &mut self,
        policy: &Arc<Policy>,
        id: &CvmId,
        seed: u64,
        now: Timestamp,
        observer: Option<Observer>,
    ) -> MemberId {
        let member = self.engine.add(Arc::clone(policy), id.clone(), seed, now);
        self.observers.extend(observer.map(|observer| (Some(member), observer)));
        self.observe(|| Observed::Started { member, policy, id, seed, now });
        member
    }

    pub(crate) fn set_paused(&mut self, now: Timestamp, member: MemberId, paused: bool) {
        self.observe(|| Observed::Paused { now, member, paused });
        self.engine.set_paused(now, member, paused);
    }

    /// Removes a member that has ended.
    pub(crate) fn remove(&mut self, member: MemberId) {
        if self.engine.remove(member) {
            self.observe(|| Observed::Removed(member));
            self.observers.retain(|(only, _)| *only != Some(member));
        }
    }
}

impl<E: Engine> Observable<E> {
    pub(crate) fn poll_action(&mut self) -> Option<(MemberId, Action)> {
        let action = self.engine.poll_action();
        self.observe(|| Observed::Polled(action.as_ref().map(|(member, action)| (*member, action))));
        action
    }

    pub(crate) fn handle(&mut self, now: Timestamp, member: Option<MemberId>, input: Input<'_>) {
        self.observe(|| Observed::Handled { now, member, input: &input });
        self.engine.handle(now, member, input);
    }

    /// Offers the rest of a chunk of which `from` bytes were taken before.
    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        member: MemberId,
        attempt: AttemptId,
        chunk: &[u8],
        from: usize,
    ) -> usize {
        let taken = self.engine.receive(now, member, attempt, chunk.get(from..).unwrap_or_default());
        self.observe(|| Observed::Received { now, member, attempt, chunk, from, taken });
        taken
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.engine.next_wake()
    }

    pub(crate) fn watch(&self, member: MemberId) -> Option<&Watch> {
        self.engine.watch(member)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.engine.has_ended()
    }
}

impl<E> Observable<E> {
    fn observe<'a>(&mut self, observed: impl FnOnce() -> Observed<'a>) {
        if self.observers.is_empty() {
            return;
        }
        let observed = observed();
        for (only, observer) in &mut self.observers {
            if only.is_none() || observed.member().is_none() || observed.member() == *only {
                observer(observed);
            }
        }
    }
}
