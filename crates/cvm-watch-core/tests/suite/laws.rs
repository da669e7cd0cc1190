//! The invariants of `ARCHITECTURE.md`, tried with inputs in any order from a seeded generator.

use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, Input, Policy, ResponseHead, Timestamp, TlsFault, UnixSeconds, Watch,
};

/// xorshift64*: enough to be unpredictable, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }
}

/// One thing that a driver, good or bad, might do.
#[derive(Clone, Debug)]
enum Op {
    Abort,
    Closed(u64, CloseCause),
    Head(u64, u16, Option<&'static str>),
    Tick,
    TickAtWake,
    Permit,
    Yield(u64),
    Bytes(u64, &'static [u8]),
    Drain,
    Pass(Duration),
}

const PIECES: [&[u8]; 12] = [
    b"event: state\ndata: {\"status\":\"starting\"}\n\n",
    b"event: state\ndata: {\"status\":\"running\"}\n\n",
    b"event: complete\ndata: {\"status\":\"running\"}\n\n",
    b"event: complete\ndata: {\"status\":\"stopped\"}\n\n",
    b"event: timeout\ndata: {}\n\n",
    b"event: error\ndata: {\"error\":\"oops\"}\n\n",
    b"event: st",
    b"ate\ndata: {",
    b"id: 7\nretry: 3000\n: beat\n\n",
    b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    b"\r",
    b"\n",
];

fn op(dice: &mut Dice) -> Op {
    let causes = [
        CloseCause::Dns,
        CloseCause::Reset,
        CloseCause::Ended,
        CloseCause::Truncated,
        CloseCause::Tls(TlsFault::Certificate),
        CloseCause::Tls(TlsFault::Other),
    ];
    // The current attempt or one before it; sometimes one that never was.
    let back = dice.one_of(&[0, 0, 0, 0, 1, u64::MAX]);
    match dice.roll(40) {
        0 => Op::Abort,
        1..=3 => Op::Closed(back, dice.one_of(&causes)),
        4..=9 => Op::Head(
            back,
            dice.one_of(&[200, 200, 200, 503, 429, 404, 302]),
            dice.one_of(&[None, Some("text/html"), None]),
        ),
        10..=12 => Op::Tick,
        13..=17 => Op::TickAtWake,
        18 | 19 => Op::Permit,
        20 => Op::Yield(back),
        21..=32 => Op::Bytes(back, dice.one_of(&PIECES)),
        33..=36 => Op::Drain,
        _ => Op::Pass(Duration::from_millis(dice.roll(4000))),
    }
}

fn policy(dice: &mut Dice) -> Policy {
    let seconds = |dice: &mut Dice, most| Duration::from_secs(1 + dice.roll(most));
    let mut policy = Policy::builder("running").max_event_bytes(80).timeout(Duration::from_secs(10 + dice.roll(30)));
    if dice.roll(2) == 0 {
        policy = policy.max_retries(dice.roll(6));
    }
    if dice.roll(2) == 0 {
        policy = policy.retry_delay(Duration::from_secs(dice.roll(4)));
    }
    if dice.roll(3) == 0 {
        let deadline = seconds(dice, 200);
        policy = policy.deadline(deadline);
    }
    if dice.roll(3) == 0 {
        let idle = seconds(dice, 10);
        policy = policy.idle_timeout(idle);
    }
    policy.build().unwrap()
}

/// Does what it is told, and holds the watch to its laws at every step.
struct Held {
    watch: Watch,
    now: Timestamp,
    /// The attempt whose `Connect` came out and that has neither been disconnected nor closed.
    live: Option<AttemptId>,
    attempts: Vec<AttemptId>,
    ended: bool,
    actions: Vec<Action>,
}

impl Held {
    fn new(policy: Policy, seed: u64, permits: bool) -> Self {
        let make = if permits { Watch::with_permits } else { Watch::new };
        let watch = make(Arc::new(policy), "my-cvm".parse().unwrap(), seed, Timestamp::ZERO);
        Self { watch, now: Timestamp::ZERO, live: None, attempts: Vec::new(), ended: false, actions: Vec::new() }
    }

    fn attempt(&self, back: u64) -> Option<AttemptId> {
        let newest = self.attempts.len().checked_sub(1)?;
        self.attempts.get(newest.checked_sub(usize::try_from(back).ok()?)?).copied()
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Abort => self.watch.handle(self.now, Input::Abort),
            Op::Closed(back, cause) => {
                if let Some(attempt) = self.attempt(*back) {
                    if self.live == Some(attempt) {
                        self.live = None;
                    }
                    self.watch.handle(self.now, Input::Closed { attempt, cause: *cause });
                }
            }
            Op::Head(back, status, content_type) => {
                if let Some(attempt) = self.attempt(*back) {
                    let mut head = ResponseHead::new(*status);
                    if let Some(content_type) = content_type {
                        head.header("content-type", content_type.as_bytes());
                    }
                    head.header("retry-after", b"2");
                    self.watch.handle(self.now, Input::Head { attempt, head, wall: Some(UnixSeconds(1)) });
                }
            }
            Op::Tick => self.watch.handle(self.now, Input::Tick),
            Op::TickAtWake => self.tick_at_wake(),
            Op::Permit => self.watch.handle(self.now, Input::Permit),
            Op::Yield(back) => {
                if let Some(attempt) = self.attempt(*back) {
                    self.watch.handle(self.now, Input::Yield { attempt });
                }
            }
            Op::Bytes(back, bytes) => {
                if let Some(attempt) = self.attempt(*back) {
                    let mut rest = *bytes;
                    while !rest.is_empty() {
                        let taken = self.watch.receive(self.now, attempt, rest);
                        rest = &rest[taken..];
                        // A bad driver loses what is not taken, a good one drains first.
                        if taken == 0 {
                            self.drain();
                        }
                    }
                }
            }
            Op::Drain => self.drain(),
            Op::Pass(time) => self.now = self.now + *time,
        }
    }

    /// Law 3: after a tick at the wake and a drain the next wake is strictly later.
    fn tick_at_wake(&mut self) {
        if let Some(wake) = self.watch.next_wake() {
            self.now = self.now.max(wake.at);
            self.watch.handle(self.now, Input::Tick);
            self.drain();
            let next = self.watch.next_wake();
            assert!(next.is_none_or(|next| next.at > self.now), "{wake:?} led to {next:?} at {}", self.now);
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.watch.poll_action() {
            // Law 2: the end is the last.
            assert!(!self.ended, "{action:?} came after the end");
            match &action {
                Action::Connect { attempt, .. } => {
                    // Law 7: never two live attempts; and their numbers rise.
                    assert_eq!(self.live, None, "two live attempts");
                    assert!(self.attempts.last().is_none_or(|last| last < attempt));
                    self.live = Some(*attempt);
                    self.attempts.push(*attempt);
                }
                Action::Disconnect { attempt } => {
                    assert_eq!(self.live.take(), Some(*attempt), "nothing to disconnect");
                }
                Action::Resolve(_) | Action::Fail(_) => {
                    assert_eq!(self.live, None, "it ended with a connection open");
                    self.ended = true;
                }
                _ => {}
            }
            self.actions.push(action);
        }
        assert_eq!(self.ended, self.watch.phase() == cvm_watch_core::Phase::Ended, "an end says so, once");
    }
}

#[test]
fn any_order_of_inputs_is_safe_and_ends_once() {
    let mut ended = 0;
    for seed in 1..=6000 {
        let mut dice = Dice::new(seed);
        let policy = policy(&mut dice);
        let permits = dice.roll(3) == 0;
        let ops: Vec<_> = (0..120).map(|_| op(&mut dice)).collect();
        let mut held = Held::new(policy.clone(), seed, permits);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for op in &ops {
                held.apply(op);
            }
            held.drain();
        }));
        assert!(result.is_ok(), "seed {seed}: {ops:?}");
        ended += usize::from(held.ended);
        // Law 6: the same seed and inputs give the same actions.
        let mut again = Held::new(policy, seed, permits);
        ops.iter().for_each(|op| again.apply(op));
        again.drain();
        assert_eq!(held.actions, again.actions, "seed {seed}");
    }
    assert!((600..6000).contains(&ended), "the generator is lopsided: {ended} of 6000 ended");
}

/// Law 1.
#[test]
fn the_same_bytes_give_the_same_actions_however_they_are_cut() {
    for seed in 1..=1500 {
        let mut dice = Dice::new(seed);
        let pieces: Vec<_> = (0..12).map(|_| dice.one_of(&PIECES)).collect();
        let bytes = pieces.concat();
        let whole = streamed(&bytes, |_| usize::MAX);
        let single = streamed(&bytes, |_| 1);
        let random = streamed(&bytes, |left| 1 + usize::try_from(dice.roll(left as u64)).unwrap());
        assert_eq!(whole, single, "seed {seed}: {:?}", bytes.escape_ascii().to_string());
        assert_eq!(whole, random, "seed {seed}: {:?}", bytes.escape_ascii().to_string());
    }
}

/// The actions of one stream of these bytes, handed over in chunks of the given lengths.
fn streamed(bytes: &[u8], mut length: impl FnMut(usize) -> usize) -> Vec<Action> {
    let policy = Policy::builder("running").max_event_bytes(80).build().unwrap();
    let mut held = Held::new(policy, 1, false);
    held.drain();
    held.apply(&Op::Head(0, 200, None));
    let attempt = held.attempts[0];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut chunk, later) = rest.split_at(length(rest.len()).min(rest.len()));
        rest = later;
        while !chunk.is_empty() {
            let taken = held.watch.receive(held.now, attempt, chunk);
            chunk = &chunk[taken..];
            held.drain();
        }
    }
    held.actions
}

/// Law 4.
#[test]
fn a_driver_that_sleeps_exactly_to_the_wake_misses_nothing() {
    for seed in 1..=300 {
        let mut dice = Dice::new(seed);
        let policy = policy(&mut dice);
        // One driver ticks only at the wake, the other every hundred milliseconds as well.
        let mut exact = Held::new(policy.clone(), seed, false);
        let mut eager = Held::new(policy, seed, false);
        exact.drain();
        eager.drain();
        for _ in 0..20 {
            let Some(wake) = exact.watch.next_wake() else { break };
            while eager.now < wake.at {
                eager.now = wake.at.min(eager.now + Duration::from_millis(100));
                eager.watch.handle(eager.now, Input::Tick);
                eager.drain();
                if eager.now < wake.at {
                    assert_eq!(exact.actions, eager.actions, "seed {seed}: something happened before {wake:?}");
                }
            }
            exact.now = exact.now.max(wake.at);
            exact.watch.handle(exact.now, Input::Tick);
            exact.drain();
            assert_eq!(exact.actions, eager.actions, "seed {seed}");
        }
    }
}
