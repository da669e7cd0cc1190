//! Measures the heap of a watch with a counting allocator: never more than documented, for any input and any cuts. The
//! decoder's crate does the same for the decoder.
//!
//! A separate test program, since a program has one allocator. It counts per thread.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers of tests may panic too, and some are shared with the decoder's tests"
)]

use std::sync::Arc;

use cvm_watch_core::{Action, AttemptId, Input, Phase, Policy, PolicyBuilder, ResponseHead, Timestamp, Watch};

#[path = "../../cvm-watch-sse/tests/heap/meter.rs"]
mod meter;

use meter::{A_FEW_KIB, KIB, Meter, adversaries, cuts, documented};

/// What a watch holds besides its event, its texts and the decoder: a request, the message of an error.
const A_WATCH: usize = 8 * KIB;
/// How much of an error body is read (row 13).
const ERROR_BODY: usize = 64 * KIB;

/// A watch whose actions are discarded, and its heap.
struct Watched {
    watch: Watch,
    attempt: Option<AttemptId>,
    meter: Meter,
    polls: bool,
}

impl Watched {
    fn new(policy: PolicyBuilder, polls: bool) -> Self {
        let policy = Arc::new(policy.build().unwrap());
        let (mut watch, mut meter) = (None, Meter::default());
        meter.step(|| watch = Some(Watch::new(policy, "my-cvm".parse().unwrap(), 1, Timestamp::ZERO)));
        let mut watched = Self { watch: watch.unwrap(), attempt: None, meter, polls: true };
        watched.drain();
        watched.polls = polls;
        watched
    }

    fn streaming(limit: usize, keep_raw: bool, polls: bool) -> Self {
        let policy = Policy::builder("running").max_event_bytes(limit).keep_raw(keep_raw);
        let mut watched = Self::new(policy, polls);
        watched.head(200);
        watched
    }

    fn head(&mut self, status: u16) {
        let attempt = self.attempt.unwrap();
        self.meter.step(|| {
            self.watch.handle(Timestamp::ZERO, Input::Head { attempt, head: ResponseHead::new(status), wall: None });
        });
    }

    /// False if it takes nothing, since an action waits.
    fn receive(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let attempt = self.attempt.unwrap();
            let mut taken = 0;
            self.meter.step(|| taken = self.watch.receive(Timestamp::ZERO, attempt, bytes));
            if taken == 0 && !self.polls {
                return false;
            }
            bytes = &bytes[taken..];
            self.drain();
        }
        true
    }

    fn drain(&mut self) {
        if self.polls {
            self.meter.step(|| {
                while let Some(action) = self.watch.poll_action() {
                    if let Action::Connect { attempt, .. } = action {
                        self.attempt = Some(attempt);
                    }
                }
            });
        }
    }
}

/// What a watch may hold: the decoder, the last state, and one event that waits, each with its
/// JSON text if that is kept.
fn watch_limit(limit: usize, keep_raw: bool) -> usize {
    let event = if keep_raw { 2 * limit } else { limit };
    documented(limit, KIB) + 2 * event + A_WATCH
}

#[test]
fn a_watch_holds_the_event_it_reads_the_last_state_and_one_that_waits() {
    let limit = 32 * KIB;
    for (keep_raw, polls) in [(false, true), (true, true), (false, false), (true, false)] {
        let most = watch_limit(limit, keep_raw);
        let state = |size: usize| {
            let text = "s".repeat(size);
            format!("event: state\ndata: {{\"status\":\"{text}\",\"name\":\"\"}}\n\n").repeat(3).into_bytes()
        };
        let states = [limit / 2, limit - 100, limit, 3 * limit].map(|size| (format!("states of {size}"), state(size)));
        let error = format!("event: error\ndata: {{\"message\":\"{}\"}}\n\n", "e".repeat(limit - 100)).repeat(3);
        let others = [("errors".to_owned(), error.into_bytes())];
        for (name, stream) in adversaries(limit).into_iter().chain(states).chain(others) {
            for cut in cuts(&stream) {
                let mut watched = Watched::streaming(limit, keep_raw, polls);
                for chunk in stream.chunks(cut) {
                    let goes_on = watched.receive(chunk);
                    let live = watched.meter.live();
                    assert!(live <= most, "{name}, cut by {cut}, raw {keep_raw}: {live} bytes live, over {most}");
                    if !goes_on {
                        break;
                    }
                }
                let peak = watched.meter.peak();
                assert!(peak <= 2 * most, "{name}, cut by {cut}: {peak} bytes at once, over twice {most}");
            }
        }
    }
}

#[test]
fn a_watch_is_small_again_after_a_large_state() {
    let large = format!("event: state\ndata: {{\"status\":\"a\",\"name\":\"{}\"}}\n\n", "n".repeat(3 << 20));
    let small = "event: state\ndata: {\"status\":\"starting\"}\n\n";
    for cut in [997, 64 * KIB, 8 << 20] {
        let mut watched = Watched::streaming(4 << 20, true, true);
        let mut most = 0;
        for chunk in large.as_bytes().chunks(cut).chain([small.as_bytes(), small.as_bytes()]) {
            watched.receive(chunk);
            most = most.max(watched.meter.live());
        }
        let live = watched.meter.live();
        assert!(most >= 3 << 20, "the large state was not kept: {most}");
        assert!(live <= A_FEW_KIB, "cut by {cut}: {live} bytes live");
    }
}

#[test]
fn a_watch_keeps_64_kib_of_a_large_error_body_and_then_only_its_message() {
    let bodies = [
        "x".repeat(8 << 20),
        format!("<html>{}", " <p>".repeat(2 << 20)),
        format!("{{\"message\":\"{}", "\\u0041".repeat(1 << 20)),
        format!("{{\"details\":[{}", "\"d\",".repeat(2 << 20)),
    ];
    for status in [404, 503] {
        for body in &bodies {
            for cut in [997, 64 * KIB, 8 << 20] {
                let mut watched = Watched::new(Policy::builder("running"), true);
                watched.head(status);
                for chunk in body.as_bytes().chunks(cut) {
                    watched.receive(chunk);
                    // A vector grows by doubling.
                    let (live, most) = (watched.meter.live(), 2 * ERROR_BODY + A_WATCH);
                    assert!(live <= most, "{status}, cut by {cut}: {live} bytes live, over {most}");
                }
                assert_ne!(watched.watch.phase(), Phase::ReadingError, "{status}, cut by {cut}");
                assert!(watched.meter.live() <= A_WATCH, "{status}, cut by {cut}: {} live", watched.meter.live());
            }
        }
    }
}

#[test]
fn a_watch_does_not_grow_with_its_attempts() {
    let mut watched = Watched::new(Policy::builder("running"), true);
    let stream = "retry: 1000\nid: 5\nevent: state\ndata: {\"status\":\"starting\"}\n\nevent: timeout\ndata: {}\n\nda";
    let (mut now, mut warm) = (Timestamp::ZERO, 0);
    for round in 0..2000 {
        watched.head(200);
        watched.receive(stream.as_bytes());
        now = watched.watch.next_wake().unwrap().at.max(now);
        watched.meter.step(|| watched.watch.handle(now, Input::Tick));
        watched.drain();
        if round == 10 {
            warm = watched.meter.live();
        }
    }
    assert_eq!(watched.watch.attempts(), 2001);
    assert!(watched.meter.live() <= warm + 64, "{} bytes live, {warm} at first", watched.meter.live());
}

#[test]
fn a_watch_that_has_ended_holds_almost_no_memory() {
    let state = format!("event: state\ndata: {{\"status\":\"a\",\"name\":\"{}\"}}\n\n", "n".repeat(1 << 20));
    for end in [None, Some("event: complete\ndata: {\"status\":\"running\"}\n\n")] {
        let mut watched = Watched::streaming(4 << 20, false, true);
        watched.receive(state.as_bytes());
        assert!(watched.meter.live() >= 1 << 20);
        match end {
            Some(complete) => assert!(watched.receive(complete.as_bytes())),
            None => watched.meter.step(|| watched.watch.handle(Timestamp::ZERO, Input::Abort)),
        }
        watched.drain();
        assert_eq!(watched.watch.phase(), Phase::Ended);
        assert!(watched.meter.live() <= A_FEW_KIB, "{end:?}: {} bytes live", watched.meter.live());
    }
}
