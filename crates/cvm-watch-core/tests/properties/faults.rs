//! Watches with one deliberate fault each, which the properties must detect.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cvm_watch_core::{Action, AttemptId, CvmId, Event, Input, Phase, Policy, Timestamp, Wake, Watch};

use crate::checks::machine::Machine;

/// A fault of a watch. By default each hook passes on what the watch does.
pub trait Fault {
    fn seed(seed: u64) -> u64 {
        seed
    }

    fn polled(_: &mut Vec<Action>, action: Option<Action>) -> Option<Action> {
        action
    }

    fn wake(wake: Option<Wake>, _: Timestamp) -> Option<Wake> {
        wake
    }

    fn overlooks(_: &[u8]) -> bool {
        false
    }

    /// The attempt to which it attributes an input.
    fn taken_for(named: AttemptId, _current: AttemptId) -> AttemptId {
        named
    }
}

pub struct OverlooksLoneBytes;

impl Fault for OverlooksLoneBytes {
    fn overlooks(bytes: &[u8]) -> bool {
        bytes.len() == 1
    }
}

pub struct SpeaksAfterItsEnd;

impl Fault for SpeaksAfterItsEnd {
    fn polled(seen: &mut Vec<Action>, action: Option<Action>) -> Option<Action> {
        if let Some(Action::Fail(_) | Action::Resolve(_)) = &action {
            seen.extend(action.clone());
        }
        action.or_else(|| seen.pop())
    }
}

pub struct WakesAtOnce;

impl Fault for WakesAtOnce {
    fn wake(wake: Option<Wake>, now: Timestamp) -> Option<Wake> {
        wake.map(|wake| Wake { at: now, ..wake })
    }
}

pub struct WakesLate;

impl Fault for WakesLate {
    fn wake(wake: Option<Wake>, _: Timestamp) -> Option<Wake> {
        wake.map(|wake| Wake { at: wake.at + Duration::from_millis(1), ..wake })
    }
}

/// Repeats each state event five times.
pub struct RepeatsEvents;

impl Fault for RepeatsEvents {
    fn polled(seen: &mut Vec<Action>, action: Option<Action>) -> Option<Action> {
        if let Some(Action::Emit { event: Event::State(_), .. }) = &action {
            seen.extend(std::iter::repeat_n(action.clone(), 5).flatten());
        }
        action.or_else(|| seen.pop())
    }
}

pub struct CountsItsOwnSeed;

impl Fault for CountsItsOwnSeed {
    fn seed(_: u64) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

pub struct DropsDisconnect;

impl Fault for DropsDisconnect {
    fn polled(_: &mut Vec<Action>, action: Option<Action>) -> Option<Action> {
        action.filter(|action| !matches!(action, Action::Disconnect { .. }))
    }
}

pub struct HearsOldConnections;

impl Fault for HearsOldConnections {
    fn taken_for(_: AttemptId, current: AttemptId) -> AttemptId {
        current
    }
}

/// A watch with the fault `F`.
pub struct Faulty<F> {
    watch: Watch,
    seen: Vec<Action>,
    current: Option<AttemptId>,
    now: Timestamp,
    fault: PhantomData<F>,
}

impl<F: Fault> Faulty<F> {
    fn attempt(&self, named: AttemptId) -> AttemptId {
        F::taken_for(named, self.current.unwrap_or(named))
    }
}

impl<F: Fault> Machine for Faulty<F> {
    fn start(policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp, permits: bool) -> Self {
        let watch = <Watch as Machine>::start(policy, id, F::seed(seed), now, permits);
        Self { watch, seen: Vec::new(), current: None, now, fault: PhantomData }
    }

    fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        self.now = self.now.max(now);
        let input = match input {
            Input::Closed { attempt, cause } => Input::Closed { attempt: self.attempt(attempt), cause },
            Input::Head { attempt, head, wall } => Input::Head { attempt: self.attempt(attempt), head, wall },
            Input::Yield { attempt } => Input::Yield { attempt: self.attempt(attempt) },
            other => other,
        };
        self.watch.handle(now, input);
    }

    fn receive(&mut self, now: Timestamp, attempt: AttemptId, bytes: &[u8]) -> usize {
        self.now = self.now.max(now);
        if F::overlooks(bytes) { bytes.len() } else { self.watch.receive(now, self.attempt(attempt), bytes) }
    }

    fn poll_action(&mut self) -> Option<Action> {
        let action = self.watch.poll_action();
        if let Some(Action::Connect { attempt, .. }) = &action {
            self.current = Some(*attempt);
        }
        let polled = F::polled(&mut self.seen, action.clone());
        // A dropped action does not end the drain.
        if polled.is_none() && action.is_some() { self.poll_action() } else { polled }
    }

    fn next_wake(&self) -> Option<Wake> {
        F::wake(self.watch.next_wake(), self.now)
    }

    fn phase(&self) -> Phase {
        self.watch.phase()
    }

    fn attempts(&self) -> u64 {
        self.watch.attempts()
    }

    fn last_event_id(&self) -> &str {
        self.watch.last_event_id()
    }
}
