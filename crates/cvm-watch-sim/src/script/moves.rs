//! The moves that carry an attempt out, one at a time.

use std::iter;
use std::time::Duration;

use super::{Attempt, Head, Payload, Split, Step};

/// One thing to do now. [`Attempt::moves`] yields them in order; the last is always one for which
/// [`is_last`](Move::is_last) holds.
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
    /// Last: nothing more happens until the client leaves.
    Stall,
    /// Last: the body ends cleanly. With no head before, the connection ends without an answer.
    Close,
    /// Last: the connection ends in the middle of the body.
    Truncate,
    /// Last: the connection is reset.
    Reset,
    /// Last: the connection ends without an answer.
    Refuse,
}

impl Move<'_> {
    /// Whether the connection is over, or will stay silent, after this.
    pub const fn is_last(&self) -> bool {
        matches!(self, Move::Stall | Move::Close | Move::Truncate | Move::Reset | Move::Refuse)
    }
}

impl Attempt {
    /// The moves that carry this attempt out, lazily: a flood is yielded in pieces, a repetition turn by turn.
    ///
    /// Steps after the first that ends the connection are left out; with no such step, the attempt ends by
    /// [`Move::Close`]. [`Split::Chunks`] is applied here, [`Split::Packets`] is the socket's business.
    ///
    /// ```
    /// use cvm_watch_sim::{Attempt, Move};
    ///
    /// let attempt = Attempt::new().bytes("data: 1\n\n").truncate();
    /// let moves: Vec<Move> = attempt.moves().collect();
    /// assert_eq!(moves, [Move::Body(b"data: 1\n\n"), Move::Truncate]);
    /// ```
    pub fn moves(&self) -> impl Iterator<Item = Move<'_>> + Send {
        let size = match self.split_mode() {
            Split::Chunks(size) => size.max(1),
            Split::Whole | Split::Packets(_) => usize::MAX,
        };
        let written = self.steps().iter().flat_map(move |step| expand(step, size));
        written.chain(iter::once(Move::Close)).scan(false, |over, next| {
            let yielded = (!*over).then_some(next);
            *over |= next.is_last();
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
        Step::Stall => (Some(Move::Stall), None),
        Step::Close => (Some(Move::Close), None),
        Step::Truncate => (Some(Move::Truncate), None),
        Step::Reset => (Some(Move::Reset), None),
        Step::Refuse => (Some(Move::Refuse), None),
    };
    let carry: fn(&'a [u8]) -> Move<'a> = match step {
        Step::Raw(_) => Move::Raw,
        _ => Move::Body,
    };
    let turns = bytes.into_iter().flat_map(move |(payload, pause, times, size)| {
        (0..times).flat_map(move |_| pause.into_iter().chain(cut(payload, size).map(carry)))
    });
    single.into_iter().chain(turns)
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
        check(&attempt, &[Move::Body(b"x"), Move::Close]);
    }

    #[test]
    fn nothing_comes_after_the_first_end() {
        let attempt = Attempt::new().stall().bytes("x").reset();
        check(&attempt, &[Move::Stall]);
    }

    #[test]
    fn chunk_splitting_cuts_body_bytes_and_nothing_else() {
        let attempt = Attempt::new().raw("abc").bytes("abc").split(Split::Chunks(2));
        check(&attempt, &[Move::Raw(b"abc"), Move::Body(b"ab"), Move::Body(b"c"), Move::Close]);
        let attempt = attempt.split(Split::Chunks(0));
        assert_eq!(attempt.moves().count(), 5);
        let attempt = attempt.split(Split::Packets(1));
        assert_eq!(attempt.moves().count(), 3);
    }

    #[test]
    fn a_repetition_waits_before_each_turn_and_may_never_end() {
        let attempt = Attempt::new().repeat("x", SECOND, 2);
        let turn = [Move::Wait(SECOND), Move::Body(b"x")];
        check(&attempt, &[turn[0], turn[1], turn[0], turn[1], Move::Close]);
        let attempt = Attempt::new().repeat("x", SECOND, u64::MAX);
        assert_eq!(attempt.moves().nth(1_000_001), Some(turn[1]));
    }
}
