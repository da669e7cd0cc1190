//! A fleet that watches many CVMs, which boot at random behind one endpoint with a limit of streams.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, Failure, Fleet, Input, MemberId, Policy, PolicyBuilder, ResponseHead, Timestamp,
    Until,
};

/// The CVMs and their endpoint.
#[derive(Clone, Debug)]
pub(crate) struct BootingCvms {
    /// When each CVM is running; before that it is starting.
    pub(crate) running_at: Vec<Duration>,
    /// From the request to the head and the first state.
    pub(crate) latency: Duration,
    /// From the head to the first state.
    pub(crate) first_state: Duration,
    /// Whether `complete` follows a state at the target.
    pub(crate) sends_complete: bool,
    /// Whether each stream begins with an outdated state, with the current one in the same chunk.
    pub(crate) begins_with_stale_state: bool,
    /// How long the server still counts a stream after the client closed it.
    pub(crate) close_delay: Duration,
    /// How many streams the server allows; a further one gets 429 with `Retry-After: 1`.
    pub(crate) stream_limit: usize,
    pub(crate) max_streams: usize,
    pub(crate) until: Until,
}

/// The result of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// When each watch ended, and how.
    pub(crate) ends: BTreeMap<u64, (Timestamp, Result<String, Failure>)>,
    /// When each CVM was checked.
    pub(crate) checks: BTreeMap<u64, Vec<Timestamp>>,
    /// How many streams were open at once, at most.
    pub(crate) most_open: usize,
    /// Each connection: its member, and from when to when it was open.
    pub(crate) connections: Vec<(u64, Timestamp, Option<Timestamp>)>,
    pub(crate) refused: usize,
    pub(crate) ticks: usize,
}

impl Outcome {
    /// When the last watch ended.
    pub(crate) fn finished(&self) -> Duration {
        self.ends.values().map(|(at, _)| at.since(Timestamp::ZERO)).max().unwrap_or_default()
    }
}

impl BootingCvms {
    /// CVMs that each boot within two minutes, by this seed.
    pub(crate) fn new(cvms: usize, seed: u64) -> Self {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let running_at = (0..cvms).map(|_| Duration::from_millis(10_000 + next() % 110_000)).collect();
        Self {
            running_at,
            latency: Duration::from_millis(80),
            first_state: Duration::ZERO,
            sends_complete: true,
            begins_with_stale_state: false,
            close_delay: Duration::ZERO,
            stream_limit: usize::MAX,
            max_streams: 4,
            until: Until::All,
        }
    }

    /// The same CVMs, with a slot for each.
    pub(crate) fn without_limit(&self) -> Self {
        Self { max_streams: self.running_at.len().max(1), ..self.clone() }
    }

    /// When the last one is seen running if each is waited for before the next is watched.
    pub(crate) fn one_after_another(&self) -> Duration {
        self.running_at.iter().fold(Duration::ZERO, |now, running_at| {
            let alone = Self { running_at: vec![running_at.saturating_sub(now)], ..self.clone() };
            now + alone.run(|c| c).finished()
        })
    }

    pub(crate) fn run(&self, change: impl Fn(PolicyBuilder) -> PolicyBuilder) -> Outcome {
        let mut fleet = Fleet::new(self.max_streams, self.until).unwrap();
        let policy = Arc::new(change(Policy::builder("running")).build().unwrap());
        for number in 0..self.running_at.len() {
            fleet.add(Arc::clone(&policy), format!("cvm-{number}").parse().unwrap(), number as u64, Timestamp::ZERO);
        }
        let mut run = FleetRun {
            cvms: self,
            fleet,
            now: Timestamp::ZERO,
            due: BinaryHeap::new(),
            open: BTreeMap::new(),
            closing: Vec::new(),
            outcome: Outcome::default(),
        };
        assert!(super::run(&mut run), "it waits for nothing");
        assert!(run.open.is_empty(), "{:?} are open after the end", run.open);
        run.outcome
    }
}

struct FleetRun<'a> {
    cvms: &'a BootingCvms,
    fleet: Fleet,
    now: Timestamp,
    /// When which connection sends something: `true` for the head.
    due: BinaryHeap<Reverse<(Timestamp, MemberId, u64, bool)>>,
    open: BTreeMap<MemberId, AttemptId>,
    /// When the server notices each closed stream.
    closing: Vec<Timestamp>,
    outcome: Outcome,
}

impl super::Run for FleetRun<'_> {
    fn drain(&mut self) -> bool {
        self.execute();
        self.fleet.unfinished() == 0
    }

    fn next_input(&mut self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.fleet.next_wake().map(|wake| wake.at)
    }

    fn input(&mut self, _: Timestamp) {
        let Some(Reverse((_, member, attempt, is_head))) = self.due.pop() else { return };
        if self.open.get(&member).is_some_and(|open| open.number() == attempt) {
            self.respond(member, is_head);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.outcome.ticks += 1;
        self.fleet.tick(now);
        self.execute();
        let wake = self.fleet.next_wake();
        assert!(wake.is_none_or(|wake| wake.at > now), "a spin at {now}: {wake:?}");
    }

    fn now(&mut self) -> &mut Timestamp {
        &mut self.now
    }
}

impl FleetRun<'_> {
    fn execute(&mut self) {
        while let Some((member, action)) = self.fleet.poll_action() {
            match action {
                Action::Connect { attempt, .. } => {
                    assert_eq!(self.open.insert(member, attempt), None, "two connections of one watch");
                    self.outcome.most_open = self.outcome.most_open.max(self.open.len());
                    self.outcome.checks.entry(member.number()).or_default().push(self.now);
                    self.outcome.connections.push((member.number(), self.now, None));
                    self.due.push(Reverse((self.now + self.cvms.latency, member, attempt.number(), true)));
                }
                Action::Disconnect { attempt } => {
                    assert_eq!(self.open.remove(&member), Some(attempt));
                    self.closing.push(self.now + self.cvms.close_delay);
                    let mut connections = self.outcome.connections.iter_mut().rev();
                    let closed = connections.find(|connection| connection.0 == member.number());
                    closed.unwrap().2 = Some(self.now);
                }
                Action::Resolve(state) => self.end(member, Ok(state.status)),
                Action::Fail(failure) => self.end(member, Err(failure)),
                Action::AskPermit => panic!("the fleet gives permits itself"),
                _ => {}
            }
        }
    }

    fn end(&mut self, member: MemberId, how: Result<String, Failure>) {
        let before = self.outcome.ends.insert(member.number(), (self.now, how));
        assert_eq!(before, None, "a watch ended twice");
    }

    fn respond(&mut self, member: MemberId, is_head: bool) {
        let attempt = self.open[&member];
        if is_head {
            self.closing.retain(|until| *until > self.now);
            let has_slot = self.open.len() + self.closing.len() <= self.cvms.stream_limit;
            let mut head = ResponseHead::new(if has_slot { 200 } else { 429 });
            if !has_slot {
                self.outcome.refused += 1;
                head.header("retry-after", b"1");
            }
            self.fleet.handle(self.now, member, Input::Head { attempt, head, wall: None });
            if !has_slot {
                self.open.remove(&member);
                self.fleet.handle(self.now, member, Input::Closed { attempt, cause: CloseCause::Ended });
                return;
            }
            if self.cvms.first_state > Duration::ZERO {
                let at = self.now + self.cvms.first_state;
                self.due.push(Reverse((at, member, attempt.number(), false)));
                return;
            }
        }
        let is_running =
            self.now.since(Timestamp::ZERO) >= self.cvms.running_at[usize::try_from(member.number()).unwrap()];
        let bytes: &[u8] = match (is_running, self.cvms.sends_complete) {
            (true, true) => {
                b"event: state\ndata: {\"status\":\"running\"}\n\nevent: complete\ndata: {\"status\":\"running\"}\n\n"
            }
            (true, false) => b"event: state\ndata: {\"status\":\"running\"}\n\n",
            (false, _) => b"event: state\ndata: {\"status\":\"starting\"}\n\n",
        };
        let stale: &[u8] = if self.cvms.begins_with_stale_state && is_head {
            b"event: state\ndata: {\"status\":\"starting\"}\n\n"
        } else {
            b""
        };
        let chunk = [stale, bytes].concat();
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            rest = &rest[self.fleet.receive(self.now, member, attempt, rest)..];
            self.execute();
        }
        let interval = Duration::from_secs(5);
        self.due.push(Reverse((self.now + interval, member, attempt.number(), false)));
    }
}
