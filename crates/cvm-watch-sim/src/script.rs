//! Scripts: what a server does on each attempt, as plain data.

mod attempt;
mod moves;
mod payload;
mod proxied;

pub use attempt::Attempt;
pub use moves::{Move, Playback};
pub use payload::Payload;

use std::time::Duration;

use crate::head::Head;

/// What a server does, attempt by attempt. After the last attempt, the last one is repeated.
///
/// Plain data, with no socket in it: [`Sim::script`](crate::Sim::script) plays it over TCP, and a test on a virtual clock
/// can walk [`Attempt::moves`].
///
/// ```
/// use cvm_watch_sim::{Attempt, Script};
///
/// let script = Script::new()
///     .then(Attempt::stream().progress("starting", "booting").reset())
///     .then(Attempt::stream().state("running").complete("running"));
/// assert_eq!(script.attempt(1).moves().count(), 3);
/// assert_eq!(script.attempt(2), script.attempt(9));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    attempts: Vec<Attempt>,
}

impl Script {
    /// A script of no attempts: each connection is closed without an answer.
    pub const fn new() -> Script {
        Script { attempts: Vec::new() }
    }

    /// Adds the next attempt.
    #[must_use]
    pub fn then(mut self, attempt: Attempt) -> Script {
        self.attempts.push(attempt);
        self
    }

    /// What happens on attempt `number`, from 1. Beyond the end, the last one.
    pub fn attempt(&self, number: u32) -> &Attempt {
        static NOTHING: Attempt = Attempt::new();
        let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        self.attempts.get(index).or_else(|| self.attempts.last()).unwrap_or(&NOTHING)
    }

    /// The attempts as written, without the repetition of the last.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }
}

/// A script that does the same on every attempt.
impl From<Attempt> for Script {
    fn from(attempt: Attempt) -> Script {
        Script::new().then(attempt)
    }
}

impl FromIterator<Attempt> for Script {
    fn from_iter<I: IntoIterator<Item = Attempt>>(attempts: I) -> Script {
        Script { attempts: attempts.into_iter().collect() }
    }
}

/// One step of an [`Attempt`], as written. To execute a script, walk [`Attempt::moves`] instead: it expands the steps
/// that stand for many.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Sends the response head.
    Head(Head),
    /// Sends body bytes, framed as the attempt's [`Framing`](crate::Framing) says.
    Body(Payload),
    /// Sends bytes on the socket as they are: before a head, in place of one, or between chunks.
    Raw(Payload),
    /// `times` times: waits `every`, then sends `payload` as body bytes.
    Repeat {
        /// The body bytes of each repetition.
        payload: Payload,
        /// The pause before each repetition.
        every: Duration,
        /// How many repetitions; `u64::MAX` has no end in practice.
        times: u64,
    },
    /// Sends nothing for this long.
    Wait(Duration),
    /// Ends the attempt.
    End(Ending),
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Nothing more is sent, with the connection open, until the client leaves.
    Stall,
    /// The body ends properly (last chunk), then the connection. With no head before, the connection ends without an
    /// answer.
    Close,
    /// The connection ends (FIN) in the middle of the body.
    Truncate,
    /// The connection is reset (TCP RST).
    Reset,
    /// The connection ends without an answer.
    Refuse,
}

/// How bytes are cut on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Split {
    /// Each step's bytes in one piece (floods in pieces of about 64 KiB).
    #[default]
    Whole,
    /// Body bytes in pieces of this many, each its own chunk and its own write. 0 counts as 1.
    Chunks(usize),
    /// Everything on the socket, heads and chunk lines too, in writes of this many bytes. 0 counts as 1.
    Packets(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_is_repeated_and_number_0_is_the_first() {
        let script: Script = [Attempt::new().refuse(), Attempt::new().reset()].into_iter().collect();
        assert_eq!(script.attempt(0), &Attempt::new().refuse());
        assert_eq!(script.attempt(1), &Attempt::new().refuse());
        assert_eq!(script.attempt(2), &Attempt::new().reset());
        assert_eq!(script.attempt(u32::MAX), &Attempt::new().reset());
        assert_eq!(script.attempts().len(), 2);
    }

    #[test]
    fn an_empty_script_closes_without_an_answer() {
        let script = Script::new();
        assert_eq!(script.attempt(1).moves().collect::<Vec<_>>(), [Move::End(Ending::Close)]);
    }
}
