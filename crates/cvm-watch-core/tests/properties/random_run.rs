//! Drives a state machine with random inputs, as a correct driver would, in one of several styles.

use std::fmt::Write;

use cvm_watch_core::{Action, AttemptId, CloseCause, Input, Timestamp, Wake};

use crate::checks::choices::Choices;
use crate::checks::machine::Machine;
use crate::checks::watch_ops::{bodies, setting};

/// The most ticks of one sleep.
const MAX_TICKS: usize = 40;

/// How the driver behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// The size of the chunks that it passes on; 0: unchanged.
    pub cut: usize,
    /// Whether it also ticks when no timer is due.
    pub restless: bool,
    /// Whether it polls no action between the first one and the end.
    pub never_polls: bool,
    /// Whether it aborts at the end of the script, and then repeats the script with the ended watch.
    pub abort_at_last: bool,
}

/// The record of a run.
#[derive(Debug, Default)]
pub struct Recorded {
    pub actions: Vec<Action>,
    /// The actions with their times, as text.
    pub log: String,
    /// Each wake, and the next wake after its tick.
    pub wakes: Vec<(Wake, Wake)>,
    /// The attempts whose connections ended by themselves.
    pub closed: Vec<AttemptId>,
}

pub fn run<M: Machine>(data: &[u8], style: Style) -> Recorded {
    let mut choices = Choices::new(data);
    let rules = setting::rules(&mut choices);
    let (seed, start) = (u64::from(choices.byte()), setting::start(&mut choices));
    let machine = M::start(rules.policy().into(), rules.id(), seed, Timestamp::from_nanos(start), rules.permits);
    let mut run = RandomRun { machine, style, now: start, current: None, recorded: Recorded::default() };
    run.drain();
    run.script(choices.clone());
    if style.abort_at_last {
        run.machine.handle(run.at(), Input::Abort);
        run.drain();
        run.script(choices);
    }
    run.style.never_polls = false;
    if style.never_polls {
        run.recorded.actions.clear();
    }
    run.drain();
    run.recorded
}

struct RandomRun<M> {
    machine: M,
    style: Style,
    now: u64,
    current: Option<AttemptId>,
    recorded: Recorded,
}

impl<M: Machine> RandomRun<M> {
    fn script(&mut self, mut choices: Choices<'_>) {
        while !choices.is_empty() {
            self.step(&mut choices);
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let step = choices.below(12);
        let (now, current) = (self.at(), self.current);
        match (step, current) {
            (0..3, _) => self.pass(setting::span(choices)),
            (3, _) => self.machine.handle(now, Input::Permit),
            (4 | 5, Some(attempt)) => {
                let head = bodies::stream_head();
                self.machine.handle(now, Input::Head { attempt, head: head.response(), wall: None });
            }
            (6, Some(attempt)) => {
                let head = bodies::head(choices);
                self.machine.handle(now, Input::Head { attempt, head: head.response(), wall: head.wall() });
            }
            (7..10, Some(attempt)) => {
                let bytes = bodies::bytes(choices, false);
                let piece = if self.style.cut == 0 { bytes.len().max(1) } else { self.style.cut };
                bytes.chunks(piece).for_each(|piece| self.offer(attempt, piece));
            }
            (10, Some(attempt)) => {
                self.recorded.closed.push(attempt);
                let cause: CloseCause = bodies::cause(choices);
                self.machine.handle(now, Input::Closed { attempt, cause });
                self.current = None;
            }
            (11, Some(attempt)) => self.machine.handle(now, Input::Yield { attempt }),
            _ => {}
        }
        self.drain();
    }

    /// Sleeps from wake to wake, up to a number of ticks.
    fn pass(&mut self, span: u64) {
        // At the end of time every timer is always due.
        let mut until = self.now.saturating_add(span).min(u64::MAX - 1);
        let mut ticks = 0;
        while let Some(wake) = self.machine.next_wake().filter(|wake| wake.at.as_nanos() <= until) {
            if self.style.restless {
                let early = self.now + wake.at.as_nanos().saturating_sub(self.now) / 2;
                if early < wake.at.as_nanos() {
                    self.tick(early);
                }
            }
            self.tick(wake.at.as_nanos());
            if let Some(next) = self.machine.next_wake().filter(|_| !self.style.never_polls) {
                self.recorded.wakes.push((wake, next));
            }
            ticks += 1;
            if ticks == MAX_TICKS {
                until = self.now;
            }
            if ticks > 2 * MAX_TICKS {
                break;
            }
        }
        if self.style.restless {
            self.tick(until);
        }
        self.now = self.now.max(until);
    }

    fn tick(&mut self, at: u64) {
        self.now = self.now.max(at);
        self.machine.handle(self.at(), Input::Tick);
        self.drain();
    }

    fn offer(&mut self, attempt: AttemptId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.machine.receive(self.at(), attempt, bytes);
            bytes = &bytes[taken..];
            self.drain();
            if taken == 0 && self.style.never_polls {
                return;
            }
        }
    }

    fn drain(&mut self) {
        if self.style.never_polls && self.current.is_some() {
            return;
        }
        while let Some(action) = self.machine.poll_action() {
            match &action {
                Action::Connect { attempt, .. } => self.current = Some(*attempt),
                Action::Disconnect { .. } => self.current = None,
                _ => {}
            }
            writeln!(self.recorded.log, "{} {action:?}", self.now).unwrap();
            self.recorded.actions.push(action);
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }
}
