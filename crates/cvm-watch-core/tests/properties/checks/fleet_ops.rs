//! A fleet with any inputs to any member in any order: checks the invariants, and with a slot for each member compares
//! each with a watch outside a fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cvm_watch_core::{Action, AttemptId, CvmId, Fleet, Input, MemberId, Phase, Policy, Timestamp, Until, Watch};

use super::choices::Choices;
use super::watch_ops::{bodies, id, setting};

/// The most steps of one case.
const MAX_STEPS: usize = 300;

/// Asserts after every step: there are never more open connections than slots, and never two of one member; each
/// member ends once, and reports nothing after; while a member has not ended there is a wake, and a tick at the wake
/// moves the wake on; no permit is requested; only a member that has ended and whose actions were polled is removed,
/// and later input for it does nothing; an abort ends all members and closes all connections. With a slot for each
/// member, each does exactly what a watch outside a fleet does.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let rules = setting::rules(&mut choices);
    let (members, places) = (1 + choices.below(5), 1 + choices.below(5));
    let until = choices.pick(&[Until::All, Until::Any]);
    let start = setting::start(&mut choices);
    let mut run = Run::new(places, until, start);
    for number in 0..members {
        run.add(rules.policy(), rules.id(), number as u64);
    }
    run.drain();
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            break;
        }
        run.step(&mut choices);
    }
    run.drain();
    run.fleet.abort(run.at());
    run.tell_alone(&Input::Abort);
    run.drain();
    assert_eq!((run.fleet.unfinished(), run.fleet.open_connections(), run.open.len()), (0, 0, 0), "after an abort");
    assert_eq!(run.ended.len(), members, "ends told");
}

struct Run {
    fleet: Fleet,
    places: usize,
    until: Until,
    now: u64,
    /// The latest time so far: the time of a fleet never goes back, for inputs of any member.
    latest: u64,
    ids: Vec<MemberId>,
    /// A watch outside a fleet with the same inputs, as long as it must behave the same.
    alone: Vec<Option<Watch>>,
    /// The open connection of each member, and its last attempt.
    open: BTreeMap<MemberId, u64>,
    last: BTreeMap<MemberId, u64>,
    ended: BTreeSet<MemberId>,
    /// After how many steps the actions are polled.
    lazy: usize,
}

impl Run {
    fn new(places: usize, until: Until, start: u64) -> Self {
        Self {
            fleet: Fleet::new(places, until).unwrap(),
            places,
            until,
            now: start,
            latest: start,
            ids: Vec::new(),
            alone: Vec::new(),
            open: BTreeMap::new(),
            last: BTreeMap::new(),
            ended: BTreeSet::new(),
            lazy: 0,
        }
    }

    fn add(&mut self, policy: Policy, id: CvmId, seed: u64) {
        let policy = Arc::new(policy);
        self.ids.push(self.fleet.add(policy.clone(), id.clone(), seed, self.at()));
        let alone = self.ids.len() <= self.places && self.until == Until::All;
        self.alone.push(alone.then(|| Watch::new(policy, id, seed, self.at())));
        if !alone {
            self.alone.iter_mut().for_each(|alone| *alone = None);
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        self.latest = self.latest.max(self.now);
        let index = choices.below(self.ids.len());
        let member = self.ids[index];
        let attempt = match choices.byte() {
            other @ 1..=6 => u64::from(other),
            _ => self.last.get(&member).copied().unwrap_or(1),
        };
        match choices.below(16) {
            0 | 1 => self.tick_at_wake(),
            2 => {
                self.now = self.now.saturating_add(setting::span(choices));
                self.tick();
            }
            3 | 4 => self.head(index, attempt, &bodies::stream_head()),
            5 => self.head(index, attempt, &bodies::head(choices)),
            6 => self.head(index, attempt, &super::answer::Head { status: 429, ..bodies::stream_head() }),
            7..=9 => {
                let phase = self.fleet.watch(member).map(Watch::phase);
                let bytes = bodies::bytes(choices, phase == Some(Phase::ReadingError));
                self.offer(index, attempt, &bytes);
            }
            10 => {
                if self.open.get(&member) == Some(&attempt) {
                    self.open.remove(&member);
                }
                let cause = bodies::cause(choices);
                self.handle(index, &Input::Closed { attempt: id(attempt), cause });
            }
            11 => self.lazy = choices.below(4),
            12 => self.handle(index, &Input::Permit),
            13 => match choices.byte() {
                0..4 => {
                    self.fleet.abort(self.at());
                    self.tell_alone(&Input::Abort);
                }
                4..8 => {
                    self.fleet.resumed(self.at());
                    self.tell_alone(&Input::Resumed);
                }
                8..16 => self.handle(index, &Input::Abort),
                // A clock that goes backwards.
                back => self.now = self.now.saturating_sub(u64::from(back) * 100_000_000),
            },
            14 => self.handle(index, &Input::Yield { attempt: id(attempt) }),
            _ => self.remove(index),
        }
        if self.lazy > 0 && self.alone.iter().all(Option::is_none) {
            self.lazy -= 1;
        } else {
            self.drain();
        }
    }

    fn tick_at_wake(&mut self) {
        self.drain();
        let Some(wake) = self.fleet.next_wake() else { return };
        self.now = self.now.max(wake.at.as_nanos());
        self.tick();
        self.drain();
        if let Some(next) = self.fleet.next_wake() {
            assert!(next.at > wake.at || next.at == Timestamp::MAX, "the wake moves on: {wake:?}, then {next:?}");
        }
    }

    fn tick(&mut self) {
        self.fleet.tick(self.at());
        let now = self.latest();
        // A fleet ticks only the members whose timers are due.
        for watch in self.alone.iter_mut().flatten() {
            if watch.next_wake().is_some_and(|wake| wake.at <= now) {
                watch.handle(now, Input::Tick);
            }
        }
    }

    fn head(&mut self, index: usize, attempt: u64, head: &super::answer::Head) {
        if head.status == 429 {
            // Here a fleet and a watch outside a fleet differ.
            self.alone.iter_mut().for_each(|alone| *alone = None);
        }
        let input = Input::Head { attempt: id(attempt), head: head.response(), wall: head.wall() };
        self.handle(index, &input);
    }

    fn handle(&mut self, index: usize, input: &Input<'_>) {
        self.fleet.handle(self.at(), self.ids[index], input.clone());
        let now = self.latest();
        if let (Some(watch), false) = (&mut self.alone[index], matches!(input, Input::Permit)) {
            watch.handle(now, input.clone());
        }
    }

    fn tell_alone(&mut self, input: &Input<'_>) {
        let now = self.latest();
        self.alone.iter_mut().flatten().for_each(|watch| watch.handle(now, input.clone()));
    }

    fn offer(&mut self, index: usize, attempt: u64, mut bytes: &[u8]) {
        let (now, latest): (Timestamp, Timestamp) = (self.at(), self.latest());
        let attempt: AttemptId = id(attempt);
        for _ in 0..1000 {
            let taken = self.fleet.receive(now, self.ids[index], attempt, bytes);
            if let Some(watch) = &mut self.alone[index] {
                assert_eq!(watch.receive(latest, attempt, bytes), taken, "bytes taken of {}", bytes.len());
            }
            bytes = &bytes[taken..];
            if bytes.is_empty() {
                return;
            }
            self.drain();
        }
    }

    fn remove(&mut self, index: usize) {
        let member = self.ids[index];
        let has_more = self.fleet.watch(member).is_some_and(|watch| watch.phase() != Phase::Ended);
        if self.fleet.remove(member) {
            assert!(!has_more && self.ended.contains(&member), "{member} was removed before its end was polled");
            assert!(self.fleet.watch(member).is_none());
            self.alone[index] = None;
        } else {
            let is_known = self.fleet.watch(member).is_some();
            assert!(!is_known || !self.ended.contains(&member), "{member} has ended and was not removed");
        }
    }

    fn drain(&mut self) {
        while let Some((member, action)) = self.fleet.poll_action() {
            let index = usize::try_from(member.number()).unwrap();
            if let Some(watch) = &mut self.alone[index] {
                assert_eq!(watch.poll_action().as_ref(), Some(&action), "member {member} beside a watch alone");
            }
            self.hold_to_the_laws(member, &action);
        }
        for (watch, id) in self.alone.iter_mut().zip(&self.ids) {
            let Some(watch) = watch else { continue };
            assert_eq!(watch.poll_action(), None, "a watch outside a fleet does more than member {id}");
        }
        assert!(self.open.len() <= self.places, "{} connections, {} places", self.open.len(), self.places);
        let unfinished = self.ids.iter().filter(|id| !self.ended.contains(id)).count();
        assert_eq!(self.fleet.unfinished(), unfinished);
        // A member that has not ended always has a wake: every phase has a time limit, and every wait for a slot ends.
        assert_eq!(self.fleet.next_wake().is_some(), unfinished > 0, "{unfinished} have not ended");
    }

    fn hold_to_the_laws(&mut self, member: MemberId, action: &Action) {
        assert!(!self.ended.contains(&member), "{action:?} came after the end of {member}");
        match action {
            Action::Connect { attempt, .. } => {
                let before = self.open.insert(member, attempt.number());
                assert_eq!(before, None, "attempt {attempt} of {member} beside another");
                assert!(self.last.insert(member, attempt.number()) < Some(attempt.number()), "an attempt twice");
                assert!(self.open.len() <= self.places, "{} connections, {} places", self.open.len(), self.places);
            }
            Action::Disconnect { attempt } => {
                assert_eq!(self.open.remove(&member), Some(attempt.number()), "{member} is not open");
            }
            Action::Resolve(_) | Action::Fail(_) => {
                assert!(!self.open.contains_key(&member), "{member} ended while it is open");
                self.ended.insert(member);
            }
            Action::AskPermit => panic!("the fleet gives permits itself"),
            _ => {}
        }
    }

    fn latest(&mut self) -> Timestamp {
        self.latest = self.latest.max(self.now);
        Timestamp::from_nanos(self.latest)
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_nanos(self.now)
    }
}
