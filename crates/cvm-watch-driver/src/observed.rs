//! The core with an eye on it: everything that goes in and comes out can be watched in order.

use std::sync::Arc;

use cvm_watch_core::{Action, AttemptId, CvmId, Input, Phase, Policy, Timestamp, Wake, Watch};

use crate::link::Listener;

/// One call of the core, as [`Watching::observe`](crate::Watching::observe) shows it. The calls in
/// their order are all that a watch ever does: the same ones give the same actions.
///
/// Secrets are shown as they are: the key in the policy, an echo of it in bytes and heads.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Observed<'a> {
    /// The watch begins; always the first.
    Started {
        /// What is waited for, and by which rules.
        policy: &'a Policy,
        /// The CVM that is watched.
        id: &'a CvmId,
        /// What the jitter of the retry delays begins from.
        seed: u64,
        /// The time then.
        now: Timestamp,
        /// Whether it asks for a permit before each connection ([`Watch::with_permits`]).
        permits: bool,
    },
    /// The core is about to be told something.
    Handled {
        /// The time.
        now: Timestamp,
        /// What it is told.
        input: &'a Input<'a>,
    },
    /// The core was offered a chunk of a body, from some byte on, and has taken some of it.
    Received {
        /// The time.
        now: Timestamp,
        /// Whose body.
        attempt: AttemptId,
        /// The whole chunk: the same one is shown until all of it is taken.
        chunk: &'a [u8],
        /// How many of its bytes were taken before; zero the first time.
        from: usize,
        /// How many were taken now.
        taken: usize,
    },
    /// The core was asked for its next action; `None` when there was none left.
    Polled(Option<&'a Action>),
}

pub(crate) type Observer = Box<dyn FnMut(Observed<'_>) + Send>;

/// A [`Watch`] whose calls an observer may see.
pub(crate) struct ObservedWatch {
    watch: Watch,
    observer: Option<Observer>,
}

impl ObservedWatch {
    pub(crate) fn new(
        policy: Arc<Policy>,
        id: CvmId,
        seed: u64,
        now: Timestamp,
        mut observer: Option<Observer>,
    ) -> Self {
        if let Some(observer) = &mut observer {
            observer(Observed::Started { policy: &policy, id: &id, seed, now, permits: false });
        }
        Self { watch: Watch::new(policy, id, seed, now), observer }
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        let action = self.watch.poll_action();
        if let Some(observer) = &mut self.observer {
            observer(Observed::Polled(action.as_ref()));
        }
        action
    }

    pub(crate) fn next_wake(&self) -> Option<Wake> {
        self.watch.next_wake()
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.watch.policy()
    }

    pub(crate) fn id(&self) -> &CvmId {
        self.watch.id()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.watch.phase()
    }
}

impl Listener for ObservedWatch {
    fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        if let Some(observer) = &mut self.observer {
            observer(Observed::Handled { now, input: &input });
        }
        self.watch.handle(now, input);
    }

    fn receive(&mut self, now: Timestamp, attempt: AttemptId, chunk: &[u8], from: usize) -> usize {
        let taken = self.watch.receive(now, attempt, chunk.get(from..).unwrap_or_default());
        if let Some(observer) = &mut self.observer {
            observer(Observed::Received { now, attempt, chunk, from, taken });
        }
        taken
    }

    fn cvm(&self) -> Option<&CvmId> {
        Some(self.watch.id())
    }
}
