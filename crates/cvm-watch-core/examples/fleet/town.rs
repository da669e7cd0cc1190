//! Many CVMs that boot at random, behind one endpoint with a limit of streams, on a virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, Failure, Fleet, Input, MemberId, Policy, PolicyBuilder, ResponseHead, Timestamp,
    Until,
};

/// What the endpoint is like.
#[derive(Clone, Debug)]
pub(crate) struct Town {
    /// When each CVM is running; before that it is starting.
    pub(crate) boots: Vec<Duration>,
    /// From the request to the head and the first state.
    pub(crate) latency: Duration,
    /// From the head to the first state.
    pub(crate) first_state: Duration,
    /// Whether it says `complete` after a state at the target.
    pub(crate) completes: bool,
    /// Whether the first state of each stream is an old one, and the current one follows in the same chunk.
    pub(crate) stale: bool,
    /// How long after a client has closed the server counts its stream.
    pub(crate) notices_after: Duration,
    /// How many streams the server allows; the next one gets 429 and is told to wait a second.
    pub(crate) limit: usize,
    pub(crate) max_streams: usize,
    pub(crate) until: Until,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// When each watch ended, and how.
    pub(crate) ends: BTreeMap<u64, (Timestamp, Result<String, Failure>)>,
    /// When each CVM was looked at.
    pub(crate) looks: BTreeMap<u64, Vec<Timestamp>>,
    /// How many streams were open at once, at most.
    pub(crate) most_open: usize,
    pub(crate) refused: usize,
    pub(crate) ticks: usize,
}

impl Outcome {
    /// When the last one ended.
    pub(crate) fn finished(&self) -> Duration {
        self.ends.values().map(|(at, _)| at.since(Timestamp::ZERO)).max().unwrap_or_default()
    }
}

impl Town {
    /// So many CVMs, each of which boots within two minutes, by this seed.
    pub(crate) fn of(cvms: usize, seed: u64) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let boots = (0..cvms).map(|_| Duration::from_millis(10_000 + next() % 110_000)).collect();
        Self {
            boots,
            latency: Duration::from_millis(80),
            first_state: Duration::ZERO,
            completes: true,
            stale: false,
            notices_after: Duration::ZERO,
            limit: usize::MAX,
            max_streams: 4,
            until: Until::All,
        }
    }

    /// As if there were no limit of streams.
    pub(crate) fn without_limit(&self) -> Self {
        Self { max_streams: self.boots.len().max(1), ..self.clone() }
    }

    /// When the last one is seen running if each is waited for before the next is looked at.
    pub(crate) fn one_after_another(&self) -> Duration {
        self.boots.iter().fold(Duration::ZERO, |now, boot| {
            let alone = Self { boots: vec![boot.saturating_sub(now)], ..self.clone() };
            now + alone.play(|c| c).finished()
        })
    }

    pub(crate) fn play(&self, change: impl Fn(PolicyBuilder) -> PolicyBuilder) -> Outcome {
        let mut fleet = Fleet::new(self.max_streams, self.until).unwrap();
        let policy = Arc::new(change(Policy::builder("running")).build().unwrap());
        for number in 0..self.boots.len() {
            fleet.add(Arc::clone(&policy), format!("cvm-{number}").parse().unwrap(), number as u64, Timestamp::ZERO);
        }
        let mut run = Run {
            town: self,
            fleet,
            now: Timestamp::ZERO,
            due: BinaryHeap::new(),
            open: BTreeMap::new(),
            ghosts: Vec::new(),
            outcome: Outcome::default(),
        };
        run.play();
        run.outcome
    }
}

struct Run<'a> {
    town: &'a Town,
    fleet: Fleet,
    now: Timestamp,
    /// When which connection has something to say: `true` for the head.
    due: BinaryHeap<Reverse<(Timestamp, MemberId, u64, bool)>>,
    open: BTreeMap<MemberId, AttemptId>,
    /// When the server notices that a stream has ended.
    ghosts: Vec<Timestamp>,
    outcome: Outcome,
}

impl Run<'_> {
    fn play(&mut self) {
        for _ in 0..10_000_000 {
            self.drain();
            if self.fleet.unfinished() == 0 {
                assert!(self.open.is_empty(), "{:?} are open after the end", self.open);
                return;
            }
            let io = self.due.peek().map(|Reverse((at, ..))| *at);
            let wake = self.fleet.next_wake().map(|wake| wake.at);
            let next = [io, wake].into_iter().flatten().min().expect("it waits for nothing");
            self.now = self.now.max(next);
            if io.is_some_and(|at| at <= self.now) {
                let Some(Reverse((_, member, attempt, is_head))) = self.due.pop() else { return };
                if self.open.get(&member).is_some_and(|open| open.number() == attempt) {
                    self.speak(member, is_head);
                }
            } else {
                self.outcome.ticks += 1;
                self.fleet.tick(self.now);
                self.drain();
                let wake = self.fleet.next_wake();
                assert!(wake.is_none_or(|wake| wake.at > self.now), "a spin at {}: {wake:?}", self.now);
            }
        }
        panic!("no end in sight");
    }

    fn drain(&mut self) {
        while let Some((member, action)) = self.fleet.poll_action() {
            match action {
                Action::Connect { attempt, .. } => {
                    assert_eq!(self.open.insert(member, attempt), None, "two connections of one watch");
                    self.outcome.most_open = self.outcome.most_open.max(self.open.len());
                    self.outcome.looks.entry(member.number()).or_default().push(self.now);
                    self.due.push(Reverse((self.now + self.town.latency, member, attempt.number(), true)));
                }
                Action::Disconnect { attempt } => {
                    assert_eq!(self.open.remove(&member), Some(attempt));
                    self.ghosts.push(self.now + self.town.notices_after);
                }
                Action::Resolve(state) => self.end(member, Ok(state.status)),
                Action::Fail(failure) => self.end(member, Err(failure)),
                Action::AskPermit => panic!("a permit is the fleet's to give"),
                _ => {}
            }
        }
    }

    fn end(&mut self, member: MemberId, how: Result<String, Failure>) {
        let before = self.outcome.ends.insert(member.number(), (self.now, how));
        assert_eq!(before, None, "a watch that ends twice");
    }

    fn speak(&mut self, member: MemberId, is_head: bool) {
        let attempt = self.open[&member];
        if is_head {
            self.ghosts.retain(|until| *until > self.now);
            let has_place = self.open.len() + self.ghosts.len() <= self.town.limit;
            let mut head = ResponseHead::new(if has_place { 200 } else { 429 });
            if !has_place {
                self.outcome.refused += 1;
                head.header("retry-after", b"1");
            }
            self.fleet.handle(self.now, member, Input::Head { attempt, head, wall: None });
            if !has_place {
                self.open.remove(&member);
                self.fleet.handle(self.now, member, Input::Closed { attempt, cause: CloseCause::Ended });
                return;
            }
            if self.town.first_state > Duration::ZERO {
                let at = self.now + self.town.first_state;
                self.due.push(Reverse((at, member, attempt.number(), false)));
                return;
            }
        }
        let is_running = self.now.since(Timestamp::ZERO) >= self.town.boots[usize::try_from(member.number()).unwrap()];
        let bytes: &[u8] = match (is_running, self.town.completes) {
            (true, true) => {
                b"event: state\ndata: {\"status\":\"running\"}\n\nevent: complete\ndata: {\"status\":\"running\"}\n\n"
            }
            (true, false) => b"event: state\ndata: {\"status\":\"running\"}\n\n",
            (false, _) => b"event: state\ndata: {\"status\":\"starting\"}\n\n",
        };
        let stale: &[u8] =
            if self.town.stale && is_head { b"event: state\ndata: {\"status\":\"starting\"}\n\n" } else { b"" };
        let chunk = [stale, bytes].concat();
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            rest = &rest[self.fleet.receive(self.now, member, attempt, rest)..];
            self.drain();
        }
        let interval = Duration::from_secs(5);
        self.due.push(Reverse((self.now + interval, member, attempt.number(), false)));
    }
}
