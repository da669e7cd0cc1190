//! What can go wrong in one world. Each trouble is there or not, so that worlds differ in kind
//! rather than all having a little of everything.

use crate::random::Random;
use crate::world::{HOUR, MINUTE, Nanos, SECOND};

/// Chances in percent, per attempt unless it says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// From then on all is well.
    pub(crate) clears_up: Nanos,

    pub(crate) no_connection: u64,
    pub(crate) no_answer: u64,
    pub(crate) slow_answer: u64,
    /// Bodies that are reset or cut off, and those that go silent.
    pub(crate) cuts: u64,
    pub(crate) silences: u64,
    /// Seconds from the server to the client rather than milliseconds, per write.
    pub(crate) delays: u64,
    /// Closed connections that the server does not hear of.
    pub(crate) half_open: u64,
    /// Bytes that come in pieces.
    pub(crate) pieces: u64,

    pub(crate) retried_answers: u64,
    pub(crate) final_answers: u64,
    pub(crate) certificates: u64,

    /// Streams that end before their time, that outlive it, that never say `complete`, that say it
    /// of another status.
    pub(crate) early_ends: u64,
    pub(crate) overtime: u64,
    pub(crate) no_complete: u64,
    pub(crate) wrong_complete: u64,
    /// Per look of the server: words that say nothing, many at once.
    pub(crate) chatter: u64,
    pub(crate) floods: u64,

    /// Naps of the machine.
    pub(crate) naps: u64,
    /// Sleeps that end late.
    pub(crate) late_sleeps: bool,
}

impl Weather {
    pub(crate) fn new(random: &mut Random) -> Self {
        let clears_up = match random.below(20) {
            0 => 0,
            1..12 => random.between(SECOND, 10 * MINUTE),
            12..19 => random.between(MINUTE, 30 * MINUTE),
            _ => random.between(HOUR, 4 * HOUR),
        };
        let mut chance = |of: u64, least, most| if random.chance(of) { random.between(least, most) } else { 0 };
        Self {
            clears_up,
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
            naps: chance(20, 1, 3),
            late_sleeps: chance(30, 1, 1) == 1,
        }
    }
}
