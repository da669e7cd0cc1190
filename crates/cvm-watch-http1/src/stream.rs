//! Byte streams, and the fairness budget of a socket.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};

/// A connection: a TCP socket, a tunnel through a proxy, or TLS over one of them.
pub(crate) trait Stream: Read + Write + Send + Unpin {}

impl<S: Read + Write + Send + Unpin> Stream for S {}

/// A TCP socket of a runtime.
pub trait Socket: Send + Unpin + 'static {
    /// Reads some bytes; 0 is the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes some of these bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Closes the sending side.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// How many bytes are read before the task has to yield.
const BUDGET: usize = 64 << 10;

/// The most bytes of one read: a TLS record, and twice hyper's initial buffer.
const CHUNK: usize = 16 << 10;

thread_local! {
    /// The buffer for reads. Safe code cannot fill hyper's buffer, which may be uninitialized. No bytes stay in it
    /// between two polls, so all connections of a thread share it and an idle connection costs nothing.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A socket that makes its task yield after each 64 KiB.
///
/// Within one poll, hyper and rustls read for as long as bytes arrive that are not data for the caller: interim
/// responses, chunk sizes, empty TLS records. Without a budget, deadlines and aborts would be delayed meanwhile.
pub(crate) struct Fair<S> {
    socket: S,
    left: usize,
}

impl<S> Fair<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, left: BUDGET }
    }
}

impl<S: Socket> Read for Fair<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            this.left = BUDGET;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        buffer.resize(CHUNK, 0);
        let room = out.remaining().min(CHUNK);
        let read = this.socket.poll_read(cx, buffer.get_mut(..room).unwrap_or_default());
        match read {
            Poll::Ready(Ok(read)) => {
                this.left = this.left.saturating_sub(read);
                out.put_slice(buffer.get(..read).unwrap_or_default());
            }
            // The socket is drained, so the next bytes start with a full budget.
            Poll::Pending => this.left = BUDGET,
            Poll::Ready(Err(_)) => {}
        }
        // The thread is ending, and its buffer is gone.
        let _ = BUFFER.try_with(|kept| kept.set(buffer));
        read.map_ok(drop)
    }
}

impl<S: Socket> Write for Fair<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket does not buffer writes.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_shutdown(cx)
    }
}

/// A stream with some bytes that were read before.
pub(crate) struct Rewound<S> {
    before: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    pub(crate) fn new(before: Bytes, stream: S) -> Self {
        Self { before, stream }
    }
}

impl<S: Read + Unpin> Read for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, out);
        }
        let count = self.before.len().min(out.remaining());
        out.put_slice(&self.before.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::ReadBuf;

    /// A socket from which this much can be read.
    struct Source(usize);

    impl Socket for Source {
        fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            let count = buffer.len().min(self.0);
            for byte in &mut buffer[..count] {
                *byte = u8::try_from(self.0 % 251).unwrap();
                self.0 -= 1;
            }
            Poll::Ready(Ok(count))
        }

        fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Reads all of a source through buffers of this size: the bytes, and how often it yielded.
    fn read_all(length: usize, room: usize) -> (Vec<u8>, usize) {
        let mut stream = Fair::new(Source(length));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut all, mut yields) = (Vec::new(), 0);
        loop {
            let mut buffer = vec![0; room];
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut stream).poll_read(&mut cx, buffer.unfilled()) {
                Poll::Ready(read) => read.unwrap(),
                Poll::Pending => {
                    yields += 1;
                    continue;
                }
            }
            if buffer.filled().is_empty() {
                return (all, yields);
            }
            all.extend_from_slice(buffer.filled());
        }
    }

    #[test]
    fn a_stream_without_a_pause_yields_after_each_64_kib() {
        assert!((9..=10).contains(&read_all(10 * BUDGET, 5000).1));
        assert_eq!(read_all(BUDGET - 1, 5000).1, 0);
    }

    #[test]
    fn a_read_fills_no_more_than_the_room_there_is_and_loses_nothing() {
        let length = 3 * CHUNK + 7;
        let expected: Vec<_> = (1..=length).rev().map(|left| u8::try_from(left % 251).unwrap()).collect();
        for room in [1, 7, CHUNK, 2 * CHUNK] {
            assert!(read_all(length, room) == (expected.clone(), 0), "room of {room}");
        }
    }
}
