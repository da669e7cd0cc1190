//! The faults of one run. Each kind is either absent or frequent, so that runs differ in kind instead of all having a
//! few faults of every kind.

use crate::random::Random;
use crate::simulation::{HOUR, MINUTE, Nanos, SECOND};

/// Chances in percent, per attempt unless stated otherwise.
#[derive(Clone, Debug)]
pub(crate) struct FaultSchedule {
    /// No faults happen from this time on.
    pub(crate) healthy_from: Nanos,

    pub(crate) no_connection: u64,
    pub(crate) no_answer: u64,
    pub(crate) slow_answer: u64,
    /// Bodies that are reset or truncated, and bodies that stop without an end.
    pub(crate) cuts: u64,
    pub(crate) silences: u64,
    /// Latencies of seconds instead of milliseconds, per write.
    pub(crate) delays: u64,
    /// Connections whose close does not reach the server.
    pub(crate) half_open: u64,
    /// Bytes that arrive in small chunks.
    pub(crate) pieces: u64,

    pub(crate) retried_answers: u64,
    pub(crate) final_answers: u64,
    pub(crate) certificates: u64,

    /// Streams that end early, that outlive their timeout, that never send `complete`, that send it with another status.
    pub(crate) early_ends: u64,
    pub(crate) overtime: u64,
    pub(crate) no_complete: u64,
    pub(crate) wrong_complete: u64,
    /// Per status check: irrelevant messages, and many messages at once.
    pub(crate) chatter: u64,
    pub(crate) floods: u64,

    /// System sleeps.
    pub(crate) suspends: u64,
    /// Sleeps that end late.
    pub(crate) late_sleeps: bool,
}

impl FaultSchedule {
    pub(crate) fn new(random: &mut Random) -> Self {
        let healthy_from = match random.below(20) {
            0 => 0,
            1..12 => random.between(SECOND, 10 * MINUTE),
            12..19 => random.between(MINUTE, 30 * MINUTE),
            _ => random.between(HOUR, 4 * HOUR),
        };
        let mut chance = |of: u64, least, most| if random.chance(of) { random.between(least, most) } else { 0 };
        Self {
            healthy_from,
            no_connection: chance(30, 5, 70),
            no_answer: chance(20, 5, 50),
            slow_answer: chance(20, 5, 50),
            cuts: chance(40, 5, 80),
            silences: chance(30, 5, 60),
            delays: chance(20, 1, 30),
            half_open: chance(20, 5, 90),
            pieces: chance(50, 5, 100),
            retried_answers: chance(30, 5, 60),
            final_answers: chance(10, 1, 20),
            certificates: chance(4, 1, 20),
            early_ends: chance(40, 5, 80),
            overtime: chance(20, 5, 60),
            no_complete: chance(30, 20, 100),
            wrong_complete: chance(15, 5, 50),
            chatter: chance(40, 2, 40),
            floods: chance(10, 1, 5),
            suspends: chance(20, 1, 3),
            late_sleeps: chance(30, 1, 1) == 1,
        }
    }
}
