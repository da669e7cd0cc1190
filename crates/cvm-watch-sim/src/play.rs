//! Carrying an attempt out on a socket.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::log::Tally;
use crate::script::{Attempt, Framing, Move, Split};
use crate::wire;

/// How the connection is to end after the last move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// Everything was said.
    Close,
    /// In the middle of the body.
    Cut,
    /// By a reset.
    Reset,
}

/// Carries every move of `attempt` out; waits are divided by `speed`.
///
/// # Errors
///
/// When the client no longer takes bytes.
pub(crate) async fn play<W: AsyncWrite + Unpin>(
    writer: W,
    attempt: &Attempt,
    speed: f64,
    tally: &Tally,
) -> io::Result<Last> {
    let packet = match attempt.split_mode() {
        Split::Packets(size) => size.max(1),
        Split::Whole | Split::Chunks(_) => usize::MAX,
    };
    let mut wire = Wire { writer, packet, tally };
    // Until a head was sent there is nothing to frame.
    let mut framing = Framing::UntilClose;
    for next in attempt.moves() {
        match next {
            Move::Head(head) => {
                if wire::has_body(head.status) {
                    framing = attempt.framing_mode();
                }
                wire.send(&wire::head(head, framing, attempt.content_length())).await?;
            }
            Move::Body(bytes) if framing == Framing::Chunked => wire.send(&wire::chunk(bytes)).await?,
            Move::Body(bytes) | Move::Raw(bytes) => wire.send(bytes).await?,
            Move::Wait(time) => tokio::time::sleep(scaled(time, speed)).await,
            Move::Stall => std::future::pending().await,
            Move::Close => {
                if framing == Framing::Chunked {
                    wire.send(wire::LAST_CHUNK).await?;
                }
                return Ok(Last::Close);
            }
            Move::Truncate => return Ok(Last::Cut),
            Move::Reset => return Ok(Last::Reset),
            Move::Refuse => return Ok(Last::Close),
        }
    }
    Ok(Last::Close)
}

struct Wire<'a, W> {
    writer: W,
    packet: usize,
    tally: &'a Tally,
}

impl<W: AsyncWrite + Unpin> Wire<'_, W> {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for packet in bytes.chunks(self.packet) {
            self.writer.write_all(packet).await?;
            self.writer.flush().await?;
            self.tally.sent(packet.len());
            if self.packet < bytes.len() {
                // Gives a client on the same machine the chance to read packets one by one.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

/// `time` at `speed`; what can't be represented counts as for ever.
fn scaled(time: Duration, speed: f64) -> Duration {
    if speed == 1.0 {
        return time;
    }
    Duration::try_from_secs_f64(time.as_secs_f64() / speed).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    fn run<W: AsyncWrite + Unpin>(writer: W, attempt: &Attempt) -> Last {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let tally = Log::new(1).accepted(([127, 0, 0, 1], 9).into());
        runtime.block_on(play(writer, attempt, 1e6, &tally)).unwrap()
    }

    fn played(attempt: &Attempt) -> (String, Last) {
        let mut bytes = Vec::new();
        let last = run(&mut bytes, attempt);
        (String::from_utf8(bytes).unwrap(), last)
    }

    #[test]
    fn a_body_is_framed_as_the_attempt_says() {
        let attempt = Attempt::stream().bytes("abc").wait(Duration::from_secs(60)).bytes("d");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        let close = "connection: close\r\n\r\n";
        let expected = format!("{head}transfer-encoding: chunked\r\n{close}3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
        assert_eq!(played(&attempt), (expected, Last::Close));
        let attempt = attempt.framing(Framing::ContentLength);
        assert_eq!(played(&attempt).0, format!("{head}content-length: 4\r\n{close}abcd"));
        let attempt = attempt.framing(Framing::UntilClose);
        assert_eq!(played(&attempt).0, format!("{head}{close}abcd"));
    }

    #[test]
    fn bytes_without_a_head_go_out_as_they_are() {
        let attempt = Attempt::new().raw("HTTP/1.0 200 OK\r\n\r\n").bytes("data: x\n\n");
        let expected = "HTTP/1.0 200 OK\r\n\r\ndata: x\n\n".to_owned();
        assert_eq!(played(&attempt), (expected, Last::Close));
    }

    #[test]
    fn a_cut_body_gets_no_last_chunk() {
        let (text, last) = played(&Attempt::stream().bytes("abc").truncate());
        assert!(text.ends_with("3\r\nabc\r\n"), "{text}");
        assert_eq!(last, Last::Cut);
        assert_eq!(played(&Attempt::new().refuse()), (String::new(), Last::Close));
        assert_eq!(played(&Attempt::stream().reset()).1, Last::Reset);
    }

    #[test]
    fn an_answer_without_a_body_has_none() {
        let (text, _) = played(&Attempt::new().head(204, &[]).close());
        assert_eq!(text, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    }

    /// Takes everything, and keeps the size of each write.
    struct Sizes(Vec<usize>);

    impl AsyncWrite for Sizes {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn packets_are_writes_of_their_size() {
        let mut sizes = Sizes(Vec::new());
        let attempt = Attempt::new().raw("abcdefg").bytes("hi").split(Split::Packets(3));
        run(&mut sizes, &attempt);
        assert_eq!(sizes.0, [3, 3, 1, 2]);
    }

    #[test]
    fn times_too_long_to_tell_are_for_ever() {
        assert_eq!(scaled(Duration::from_secs(10), 4.0), Duration::from_millis(2500));
        assert_eq!(scaled(Duration::from_secs(10), 1e-300), Duration::MAX);
        assert_eq!(scaled(Duration::MAX, 1.0), Duration::MAX);
    }
}
