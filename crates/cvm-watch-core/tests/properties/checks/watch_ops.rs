//! Compares a watch with the reference model and checks the invariants, for any inputs, in any order, at any times,
//! drained or not.

pub mod bodies;
pub mod setting;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cvm_watch_core::{Action, AttemptId, CloseCause, Input, Phase, Policy, Timestamp, TlsFault, Wake, Watch};

use super::answer::Head;
use super::choices::Choices;
use super::machine::Machine;
use crate::model::{Model, Rules};

/// The most steps of one case.
const MAX_STEPS: usize = 300;

/// Asserts after every step: phase, attempts, last event id, next wake and each action are those of the reference
/// model; there is one end and it is last; there are never two open connections, and none at the end; a tick at the
/// wake moves the wake on; `receive` takes something, and at most one event.
pub fn check(data: &[u8]) {
    check_machine::<Watch>(data);
}

/// [`check`] for any [`Machine`].
pub fn check_machine<M: Machine>(data: &[u8]) {
    let mut choices = Choices::new(data);
    let rules = setting::rules(&mut choices);
    let (seed, start) = (u64::from(choices.byte()), setting::start(&mut choices));
    let mut run = Run::<M>::new(rules, seed, start);
    run.drain();
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            break;
        }
        run.step(&mut choices);
        run.compare();
    }
    run.drain();
    run.compare();
}

struct Run<M> {
    machine: M,
    model: Model,
    now: u64,
    /// After how many steps the actions are polled.
    lazy: usize,
    current: u64,
    open: BTreeSet<u64>,
    connected: u64,
    ended: bool,
}

impl<M: Machine> Run<M> {
    fn new(rules: Rules, seed: u64, start: u64) -> Self {
        let policy: Policy = rules.policy();
        let machine = M::start(policy.into(), rules.id(), seed, Timestamp::from_nanos(start), rules.permits);
        let model = Model::new(rules, start);
        Self { machine, model, now: start, lazy: 0, current: 1, open: BTreeSet::new(), connected: 0, ended: false }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0 | 1 => self.tick_at_wake(),
            2 => {
                self.pass(setting::span(choices));
                self.tick();
            }
            3 => self.pass(setting::span(choices)),
            4 | 5 => {
                let attempt = self.attempt(choices);
                self.head(attempt, bodies::stream_head());
            }
            6 => {
                let attempt = self.attempt(choices);
                self.head(attempt, bodies::head(choices));
            }
            7..=10 => {
                let attempt = self.attempt(choices);
                let bytes = bodies::bytes(choices, self.machine.phase() == Phase::ReadingError);
                self.offer(attempt, &bytes, choices.flag());
            }
            11 => {
                let attempt = self.attempt(choices);
                self.closed(attempt, bodies::cause(choices));
            }
            12 => {
                self.machine.handle(self.at(), Input::Permit);
                self.model.permit(self.now);
            }
            13 => {
                let attempt = self.attempt(choices);
                self.machine.handle(self.at(), Input::Yield { attempt: id(attempt) });
                self.model.yield_slot(self.now, attempt);
            }
            14 => self.lazy = choices.below(4),
            _ => match choices.byte() {
                0..4 => {
                    self.machine.handle(self.at(), Input::Abort);
                    self.model.abort(self.now);
                }
                // The machine is suspended.
                250.. => {
                    self.machine.handle(self.at(), Input::Resumed);
                    self.model.resumed(self.now);
                }
                // A clock that goes backwards.
                back => self.now = self.now.saturating_sub(u64::from(back) * 100_000_000),
            },
        }
        if self.lazy > 0 && self.model.knows_its_delay() {
            self.lazy -= 1;
        } else {
            self.drain();
        }
    }

    fn tick_at_wake(&mut self) {
        let Some(wake) = self.machine.next_wake() else { return };
        self.now = self.now.max(wake.at.as_nanos());
        self.tick();
        self.drain();
        if let Some(next) = self.machine.next_wake() {
            assert!(next.at > wake.at || next.at == Timestamp::MAX, "the wake moves on: {wake:?}, then {next:?}");
        }
    }

    fn tick(&mut self) {
        self.machine.handle(self.at(), Input::Tick);
        self.model.tick(self.now);
    }

    fn pass(&mut self, nanos: u64) {
        self.now = self.now.saturating_add(nanos);
    }

    fn head(&mut self, attempt: u64, head: Head) {
        let input = Input::Head { attempt: id(attempt), head: head.response(), wall: head.wall() };
        self.machine.handle(self.at(), input);
        self.model.head(self.now, attempt, head);
    }

    fn closed(&mut self, attempt: u64, cause: CloseCause) {
        self.open.remove(&attempt);
        self.machine.handle(self.at(), Input::Closed { attempt: id(attempt), cause });
        self.model.closed(self.now, attempt, cause);
    }

    /// Offers bytes once, or until they are all taken as a driver does.
    fn offer(&mut self, attempt: u64, mut bytes: &[u8], to_the_end: bool) {
        loop {
            let must_take = self.model.offered(self.now, attempt, bytes);
            let taken = self.machine.receive(self.at(), id(attempt), bytes);
            assert!(taken <= bytes.len(), "took {taken} bytes of {}", bytes.len());
            match must_take {
                Some(must_take) => assert_eq!(taken, must_take, "bytes taken of {}", bytes.len()),
                None => {
                    assert!(taken > 0 || bytes.is_empty(), "an open stream takes bytes");
                    let events = self.model.took(&bytes[..taken]);
                    assert!(events <= 1, "{events} events in one call");
                    assert!(events == 1 || taken == bytes.len(), "bytes are left without an event");
                }
            }
            bytes = &bytes[taken..];
            if bytes.is_empty() || !to_the_end {
                return;
            }
            self.drain();
            self.compare();
        }
    }

    fn drain(&mut self) {
        loop {
            let action = self.machine.poll_action();
            let delay = match &action {
                Some(Action::Retrying { delay, .. }) => Some(*delay),
                _ => None,
            };
            let expected = self.model.pop(delay);
            match (&action, &expected) {
                (None, None) => return,
                (Some(action), Some(expected)) if expected.is(action) => {}
                _ => panic!("the watch does\n  {action:?}\nbut the model\n  {expected:?}\nin {:#?}", self.model),
            }
            if let Some(action) = action {
                self.hold_to_the_laws(&action);
            }
        }
    }

    fn hold_to_the_laws(&mut self, action: &Action) {
        assert!(!self.ended, "{action:?} came after the end");
        match action {
            Action::Connect { attempt, .. } => {
                assert!(self.open.is_empty(), "attempt {attempt} beside {:?}", self.open);
                assert!(attempt.number() > self.connected, "attempt {attempt} again");
                self.connected = attempt.number();
                self.current = attempt.number();
                self.open.insert(attempt.number());
            }
            Action::Disconnect { attempt } => _ = self.open.remove(&attempt.number()),
            Action::Resolve(_) | Action::Fail(_) => {
                assert!(self.open.is_empty(), "ended while {:?} is open", self.open);
                self.ended = true;
            }
            _ => {}
        }
    }

    fn compare(&self) {
        let machine = (self.machine.phase(), self.machine.attempts(), self.machine.last_event_id());
        let model = (self.model.phase(), self.model.attempts(), self.model.last_event_id());
        assert_eq!(machine, model, "phase, attempts and last event id, in {:#?}", self.model);
        if self.model.knows_its_delay() {
            assert_eq!(self.machine.next_wake(), self.model.next_wake(), "the next wake, in {:#?}", self.model);
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }

    /// Mostly the current attempt, sometimes an older or later one.
    fn attempt(&self, choices: &mut Choices<'_>) -> u64 {
        match choices.byte() {
            other @ 1..=8 => u64::from(other),
            _ => self.current,
        }
    }
}

/// Attempt ids, from a watch whose connections were reset repeatedly.
pub fn id(number: u64) -> AttemptId {
    static IDS: OnceLock<Vec<AttemptId>> = OnceLock::new();
    let ids = IDS.get_or_init(|| {
        let policy = Policy::builder("running").retry_delay(std::time::Duration::ZERO).build();
        let mut watch = Watch::new(
            policy.expect("a valid policy").into(),
            "my-cvm".parse().expect("a valid id"),
            0,
            Timestamp::ZERO,
        );
        let mut ids = Vec::new();
        while ids.len() < MAX_STEPS + 10 {
            match watch.poll_action() {
                Some(Action::Connect { attempt, .. }) => {
                    ids.push(attempt);
                    let cause = CloseCause::Tls(TlsFault::Other);
                    watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause });
                }
                Some(_) => {}
                None => {
                    let wake: Option<Wake> = watch.next_wake();
                    watch.handle(wake.map_or(Timestamp::ZERO, |wake| wake.at), Input::Tick);
                }
            }
        }
        ids
    });
    let at = usize::try_from(number).unwrap_or(usize::MAX).clamp(1, ids.len());
    ids[at - 1]
}
