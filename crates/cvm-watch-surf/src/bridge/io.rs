//! A stream of async-std's kind as one of hyper's.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_std::io::{Read, Write};
use hyper::rt::ReadBufCursor;

/// What one read takes at most: a TLS record, and twice hyper's first buffer.
const CHUNK: usize = 16 * 1024;

/// So many bytes are read before the task is made to wait for its next turn.
const TURN: usize = 64 * 1024;

thread_local! {
    /// What reads go through. One for all connections of a thread, since none holds bytes in it
    /// between two polls: an idle watch is not to pay for it.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads through the thread's buffer: hyper's may hold uninitialized memory, which `Read` can't fill.
///
/// Within one poll hyper reads on for as long as bytes are there and none of them is for the caller
/// (interim responses without end, for one), and meanwhile no deadline and no abort is heard. So
/// after each 64 KiB this says that there is nothing yet, and wakes the task.
pub(crate) struct HyperIo<S> {
    stream: S,
    left: usize,
}

impl<S> HyperIo<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, left: TURN }
    }
}

impl<S: Read + Unpin> hyper::rt::Read for HyperIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            this.left = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        buffer.resize(CHUNK, 0);
        let room = out.remaining().min(CHUNK);
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer.get_mut(..room).unwrap_or_default());
        if let Poll::Ready(Ok(read)) = read {
            this.left = this.left.saturating_sub(read);
            out.put_slice(buffer.get(..read).unwrap_or_default());
        } else if read.is_pending() {
            // The stream has run dry: the next bytes begin a new turn.
            this.left = TURN;
        }
        // A thread that is ending keeps nothing.
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
        read.map_ok(drop)
    }
}

impl<S: Write + Unpin> hyper::rt::Write for HyperIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_std::io::Cursor;
    use hyper::rt::{Read as _, ReadBuf};

    #[test]
    fn a_stream_without_end_is_read_in_turns() {
        let mut io = HyperIo::new(async_std::io::repeat(b'x'));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut turns, mut bytes) = (0, 0);
        while bytes < 10 * TURN {
            let mut buffer = vec![0; 5000];
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut io).poll_read(&mut cx, buffer.unfilled()) {
                Poll::Ready(read) => read.unwrap(),
                Poll::Pending => turns += 1,
            }
            bytes += buffer.filled().len();
        }
        assert!((9..=10).contains(&turns), "{turns} turns");
    }

    #[test]
    fn a_read_never_takes_more_than_there_is_room_for() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * CHUNK + 7).collect();
        for room in [1, 7, CHUNK, 2 * CHUNK] {
            let mut io = HyperIo::new(Cursor::new(text.clone()));
            let mut all = Vec::new();
            let mut turns = 0;
            loop {
                let mut buffer = vec![0; room];
                let mut buffer = ReadBuf::new(&mut buffer);
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let read = Pin::new(&mut io).poll_read(&mut cx, buffer.unfilled());
                if read.is_pending() {
                    turns += 1;
                    continue;
                }
                assert!(matches!(read, Poll::Ready(Ok(()))));
                if buffer.filled().is_empty() {
                    break;
                }
                all.extend_from_slice(buffer.filled());
            }
            assert!(all == text && turns == 0, "room of {room}: {turns} turns");
        }
    }
}
