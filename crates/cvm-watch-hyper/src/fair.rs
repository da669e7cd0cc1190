//! A stream that lets others have their turn, and tells the truth of its own.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;

/// So many bytes are read before the task is made to wait for its next turn.
const TURN: usize = 64 << 10;

/// Within one poll hyper reads on for as long as bytes are there and none of them is for the caller:
/// interim responses, or the line of a chunk's size, without end. Meanwhile no deadline and no
/// abort is heard. So after each 64 KiB this says that there is nothing yet, and wakes the task.
///
/// Tokio's own measure against that says the same of a socket with bytes to read when the *task* has
/// done much since it was woken, whoever did it. The loop would take that for silence, and a timer
/// that is due for the truth. It counts its own turns, so a read here is not held to tokio's.
pub(crate) struct Fair<S> {
    stream: S,
    left: usize,
}

impl<S> Fair<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, left: TURN }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Fair<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.left = TURN;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let stream = &mut self.stream;
        let read = pin!(unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buffer)))).poll(cx);
        match read {
            Poll::Ready(Ok(())) => self.left = self.left.saturating_sub(buffer.filled().len() - before),
            // The stream has run dry: the next bytes begin a new turn.
            Poll::Pending => self.left = TURN,
            Poll::Ready(Err(_)) => {}
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Fair<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::coop;

    use super::*;

    #[tokio::test]
    async fn what_there_is_to_read_is_told_however_much_the_task_has_done() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"bytes").await.unwrap();
        client.readable().await.unwrap();
        let mut client = Fair::new(client);
        poll_fn(|cx| {
            // The caller's own work in the same task.
            while pin!(coop::consume_budget()).poll(cx).is_ready() {}
            let mut space = [0; 8];
            let mut buffer = ReadBuf::new(&mut space);
            assert!(Pin::new(&mut client).poll_read(cx, &mut buffer).is_ready());
            assert_eq!(buffer.filled(), b"bytes");
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_stream_without_end_is_read_in_turns() {
        let mut fair = Fair::new(tokio::io::repeat(b'x'));
        let mut turns = 0;
        let mut bytes = 0;
        let mut space = [0; 5000];
        poll_fn(|cx| {
            while bytes < 10 * TURN {
                let mut buffer = ReadBuf::new(&mut space);
                match Pin::new(&mut fair).poll_read(cx, &mut buffer) {
                    Poll::Ready(read) => read.unwrap(),
                    Poll::Pending => {
                        turns += 1;
                        return Poll::Pending;
                    }
                }
                bytes += buffer.filled().len();
            }
            Poll::Ready(())
        })
        .await;
        assert!((9..=10).contains(&turns), "{turns} turns");
    }
}
