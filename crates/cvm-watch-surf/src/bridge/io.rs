//! A stream of async-std's kind as one of hyper's.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_std::io::{Read, Write};
use hyper::rt::ReadBufCursor;

/// What one read takes at most: a TLS record, and twice hyper's first buffer.
const CHUNK: usize = 16 * 1024;

/// Reads through a buffer of its own: hyper's may hold uninitialized memory, which `Read` can't fill.
pub(crate) struct HyperIo<S> {
    stream: S,
    buffer: Box<[u8]>,
}

impl<S> HyperIo<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; CHUNK].into() }
    }
}

impl<S: Read + Unpin> hyper::rt::Read for HyperIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = out.remaining().min(this.buffer.len());
        let Some(buffer) = this.buffer.get_mut(..room) else { return Poll::Ready(Ok(())) };
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        out.put_slice(buffer.get(..read).unwrap_or_default());
        Poll::Ready(Ok(()))
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
    fn a_read_never_takes_more_than_there_is_room_for() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * CHUNK + 7).collect();
        for room in [1, 7, CHUNK, 2 * CHUNK] {
            let mut io = HyperIo::new(Cursor::new(text.clone()));
            let mut all = Vec::new();
            loop {
                let mut buffer = vec![0; room];
                let mut buffer = ReadBuf::new(&mut buffer);
                let mut cx = Context::from_waker(std::task::Waker::noop());
                assert!(matches!(Pin::new(&mut io).poll_read(&mut cx, buffer.unfilled()), Poll::Ready(Ok(()))));
                if buffer.filled().is_empty() {
                    break;
                }
                all.extend_from_slice(buffer.filled());
            }
            assert!(all == text, "room of {room}");
        }
    }
}
