//! The moves of an attempt, one at a time.

use std::iter;
use std::time::Duration;

use super::{Attempt, Ending, Head, Payload, Split, Step};

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
        let size = match self.split_mode() {
            Split::Chunks(size) => size.max(1),
            Split::Whole | Split::Packets(_) => usize::MAX,
        };
        let written = self.steps().iter().flat_map(move |step| expand(step, size));
        written.chain(iter::once(Move::End(Ending::Close))).scan(false, |over, next| {
            let yielded = (!*over).then_some(next);
            *over |= matches!(next, Move::End(_));
            yielded
        })
    }
}

fn expand<'a>(step: &'a Step, size: usize) -> impl Iterator<Item = Move<'a>> + Send {
    let (single, bytes) = match step {
        Step::Body(payload) => (None, Some((payload, None, 1, size))),
        Step::Repeat { payload, every, times } => (None, Some((payload, Some(Move::Wait(*every)), *times, size))),
        Step::Raw(payload) => (None, Some((payload, None, 1, usize::MAX))),
        Step::Head(head) => (Some(Move::Head(head)), None),
        Step::Wait(time) => (Some(Move::Wait(*time)), None),
        Step::End(ending) => (Some(Move::End(*ending)), None),
    };
    let move_of: fn(&'a [u8]) -> Move<'a> = match step {
        Step::Raw(_) => Move::Raw,
        _ => Move::Body,
    };
    let repeated = bytes.into_iter().flat_map(move |(payload, pause, times, size)| {
        (0..times).flat_map(move |_| pause.into_iter().chain(cut(payload, size).map(move_of)))
    });
    single.into_iter().chain(repeated)
}

fn cut(payload: &Payload, size: usize) -> impl Iterator<Item = &[u8]> + Send {
    payload.pieces().flat_map(move |piece| piece.chunks(size))
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
    fn a_repetition_waits_each_time_and_may_never_end() {
        let attempt = Attempt::new().repeat("x", SECOND, 2);
        let once = [Move::Wait(SECOND), Move::Body(b"x")];
        check(&attempt, &[once[0], once[1], once[0], once[1], Move::End(Ending::Close)]);
        let attempt = Attempt::new().repeat("x", SECOND, u64::MAX);
        assert_eq!(attempt.moves().nth(1_000_001), Some(once[1]));
    }
}
