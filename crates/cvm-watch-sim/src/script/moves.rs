//! The moves of an attempt, one at a time.

use std::iter;
use std::time::Duration;

use super::{Attempt, Ending, Split, Step};
use crate::head::Head;

/// One thing to do now. [`Attempt::moves`] yields them in order; the last, and only the last, is [`Move::End`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Move<'a> {
    /// The response head arrives.
    Head(&'a Head),
    /// Body bytes arrive; never empty.
    Body(&'a [u8]),
    /// Bytes appear on the socket as they are. They mean something to an HTTP client only, so an attempt with
    /// [`needs_socket`](Attempt::needs_socket) can't be walked without one.
    Raw(&'a [u8]),
    /// This much time passes.
    Wait(Duration),
    /// The attempt ends.
    End(Ending),
}

impl Attempt {
    /// The moves of this attempt, lazily: a flood is yielded in pieces, a repetition one by one.
    ///
    /// Steps after the first [`Step::End`] are left out; with no such step, the attempt ends by [`Ending::Close`].
    /// [`Split::Chunks`] is applied here; [`Split::Packets`] only means something on a socket.
    ///
    /// ```
    /// use cvm_watch_sim::{Attempt, Ending, Move};
    ///
    /// let attempt = Attempt::new().bytes("data: 1\n\n").truncate();
    /// let moves: Vec<Move> = attempt.moves().collect();
    /// assert_eq!(moves, [Move::Body(b"data: 1\n\n"), Move::End(Ending::Truncate)]);
    /// ```
    pub fn moves(&self) -> impl Iterator<Item = Move<'_>> + Send {
        let mut position = Position::START;
        iter::from_fn(move || next_move(self, &mut position))
    }
}

/// An [`Attempt`] that is walked on a virtual clock: its moves, and when each is due.
///
/// The times do not depend on when the moves are taken, as a server does not wait for its client.
///
/// ```
/// use std::time::Duration;
/// use cvm_watch_sim::{Attempt, Ending, Move, Playback};
///
/// let second = Duration::from_secs(1);
/// let mut playback = Playback::new(Attempt::new().wait(second).bytes("data: 1\n\n").wait(second).reset());
/// assert_eq!(playback.due(), Some(second));
/// assert_eq!(playback.next_move(), Some(Move::Body(b"data: 1\n\n")));
/// assert_eq!(playback.due(), Some(2 * second));
/// assert_eq!(playback.next_move(), Some(Move::End(Ending::Reset)));
/// assert_eq!(playback.due(), None);
/// ```
#[derive(Debug, Clone)]
pub struct Playback {
    attempt: Attempt,
    position: Position,
    elapsed: Duration,
}

impl Playback {
    /// The start of an attempt.
    pub const fn new(attempt: Attempt) -> Playback {
        Playback { attempt, position: Position::START, elapsed: Duration::ZERO }
    }

    /// When the next move is due, counted from the start; `None` when nothing more happens: after the end, and in a
    /// stall.
    pub fn due(&mut self) -> Option<Duration> {
        loop {
            let mut after = self.position;
            match next_move(&self.attempt, &mut after)? {
                Move::Wait(time) => {
                    self.elapsed = self.elapsed.saturating_add(time);
                    self.position = after;
                }
                Move::End(Ending::Stall) => return None,
                _ => return Some(self.elapsed),
            }
        }
    }

    /// The next move, never a [`Move::Wait`]; `None` after the end.
    pub fn next_move(&mut self) -> Option<Move<'_>> {
        self.due();
        next_move(&self.attempt, &mut self.position)
    }

    /// The attempt that is walked.
    pub const fn attempt(&self) -> &Attempt {
        &self.attempt
    }
}

/// A place between two moves of an attempt.
#[derive(Debug, Clone, Copy)]
struct Position {
    step: usize,
    /// How often the payload of this step was sent.
    repeated: u64,
    /// Whether the pause before this repetition is over.
    waited: bool,
    /// How much of the payload was sent.
    offset: u64,
    ended: bool,
}

impl Position {
    const START: Position = Position { step: 0, repeated: 0, waited: false, offset: 0, ended: false };
}

fn next_move<'a>(attempt: &'a Attempt, position: &mut Position) -> Option<Move<'a>> {
    while !position.ended {
        let (payload, every, times) = match attempt.steps().get(position.step) {
            Some(Step::Body(payload) | Step::Raw(payload)) => (payload, None, 1),
            Some(Step::Repeat { payload, every, times }) => (payload, Some(*every), *times),
            Some(Step::Head(head)) => {
                position.step += 1;
                return Some(Move::Head(head));
            }
            Some(Step::Wait(time)) => {
                position.step += 1;
                return Some(Move::Wait(*time));
            }
            end => {
                position.ended = true;
                return Some(Move::End(if let Some(Step::End(ending)) = end { *ending } else { Ending::Close }));
            }
        };
        if position.repeated == times {
            *position = Position { step: position.step + 1, ..Position::START };
        } else if let Some(every) = every.filter(|_| !position.waited) {
            position.waited = true;
            return Some(Move::Wait(every));
        } else {
            let is_raw = matches!(attempt.steps().get(position.step), Some(Step::Raw(_)));
            let size = match attempt.split_mode() {
                Split::Chunks(size) if !is_raw => size.max(1),
                _ => usize::MAX,
            };
            let piece = payload.piece(position.offset, size);
            if !piece.is_empty() {
                position.offset += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                return Some(if is_raw { Move::Raw(piece) } else { Move::Body(piece) });
            }
            *position = Position { step: position.step, repeated: position.repeated + 1, ..Position::START };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[track_caller]
    fn check(attempt: &Attempt, expected: &[Move<'_>]) {
        assert_eq!(attempt.moves().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_attempt_without_an_end_closes() {
        let attempt = Attempt::new().bytes("x");
        check(&attempt, &[Move::Body(b"x"), Move::End(Ending::Close)]);
    }

    #[test]
    fn nothing_comes_after_the_first_end() {
        let attempt = Attempt::new().stall().bytes("x").reset();
        check(&attempt, &[Move::End(Ending::Stall)]);
    }

    #[test]
    fn chunk_splitting_cuts_body_bytes_and_nothing_else() {
        let attempt = Attempt::new().raw("abc").bytes("abc").split(Split::Chunks(2));
        check(&attempt, &[Move::Raw(b"abc"), Move::Body(b"ab"), Move::Body(b"c"), Move::End(Ending::Close)]);
        let attempt = attempt.split(Split::Chunks(0));
        assert_eq!(attempt.moves().count(), 5);
        let attempt = attempt.split(Split::Packets(1));
        assert_eq!(attempt.moves().count(), 3);
    }

    #[test]
    fn the_time_of_a_move_does_not_depend_on_when_it_is_taken() {
        let mut playback = Playback::new(Attempt::new().repeat("x", SECOND, 2).wait(SECOND).stall());
        for due in [SECOND, 2 * SECOND] {
            assert_eq!((playback.due(), playback.due()), (Some(due), Some(due)));
            assert_eq!(playback.next_move(), Some(Move::Body(b"x")));
        }
        assert_eq!((playback.due(), playback.due()), (None, None));
        assert_eq!(playback.next_move(), Some(Move::End(Ending::Stall)));
        assert_eq!(playback.next_move(), None);
        assert_eq!(playback.due(), None);
    }

    #[test]
    fn a_repetition_waits_each_time_and_may_never_end() {
        let attempt = Attempt::new().repeat("x", SECOND, 2);
        let once = [Move::Wait(SECOND), Move::Body(b"x")];
        check(&attempt, &[once[0], once[1], once[0], once[1], Move::End(Ending::Close)]);
        let attempt = Attempt::new().repeat("x", SECOND, u64::MAX);
        assert_eq!(attempt.moves().nth(1_000_001), Some(once[1]));
    }
}
