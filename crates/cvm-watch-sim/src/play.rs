//! Plays an attempt on a socket.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::head::{Framing, Head};
use crate::log::ConnectionRecorder;
use crate::script::{Attempt, Ending, Move, Split};
use crate::wire;

/// What the form of the request allows in the answer.
#[derive(Debug)]
pub(crate) struct Form {
    /// Not in an answer to HTTP/1.0, where the body ends with the connection instead.
    pub(crate) chunks: bool,
    /// Not in an answer to `HEAD`.
    pub(crate) body: bool,
    /// Headers that every answer carries, raw ones excepted.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Default for Form {
    fn default() -> Form {
        Form { chunks: true, body: true, headers: Vec::new() }
    }
}

/// How to end the connection after the last move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// After everything was sent.
    Close,
    /// In the middle of the body.
    Cut,
    /// By a reset.
    Reset,
}

/// Executes every move of `attempt`; waits are divided by `speed`.
///
/// # Errors
///
/// When the client no longer takes bytes.
pub(crate) async fn play<W: AsyncWrite + Unpin>(
    writer: W,
    attempt: &Attempt,
    form: &Form,
    speed: f64,
    recorder: &ConnectionRecorder,
) -> io::Result<Closing> {
    let packet = match attempt.split_mode() {
        Split::Packets(size) => size.max(1),
        Split::Whole | Split::Chunks(_) => usize::MAX,
    };
    let mut wire = Wire { writer, packet, recorder };
    // Until a head was sent there is nothing to frame.
    let mut framing = Framing::UntilClose;
    for next in attempt.moves() {
        match next {
            Move::Head(head) => {
                if wire::has_body(head.status) {
                    framing = match attempt.framing_mode() {
                        Framing::Chunked if !form.chunks => Framing::UntilClose,
                        framing => framing,
                    };
                }
                let head = Head { status: head.status, headers: [&head.headers[..], &form.headers[..]].concat() };
                wire.send(&wire::head(&head, framing, attempt.content_length())).await?;
                if !form.body {
                    return Ok(Closing::Close);
                }
            }
            Move::Body(bytes) if framing == Framing::Chunked => wire.send(&wire::chunk(bytes)).await?,
            Move::Body(bytes) | Move::Raw(bytes) => wire.send(bytes).await?,
            Move::Wait(time) => tokio::time::sleep(scaled(time, speed)).await,
            Move::End(Ending::Stall) => std::future::pending().await,
            Move::End(Ending::Close) if framing == Framing::Chunked => wire.send(wire::LAST_CHUNK).await?,
            Move::End(Ending::Truncate) => return Ok(Closing::Cut),
            Move::End(Ending::Reset) => return Ok(Closing::Reset),
            Move::End(Ending::Close | Ending::Refuse) => {}
        }
    }
    Ok(Closing::Close)
}

struct Wire<'a, W> {
    writer: W,
    packet: usize,
    recorder: &'a ConnectionRecorder,
}

impl<W: AsyncWrite + Unpin> Wire<'_, W> {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for packet in bytes.chunks(self.packet) {
            self.writer.write_all(packet).await?;
            self.writer.flush().await?;
            self.recorder.sent(packet.len(), Instant::now());
            if self.packet < bytes.len() {
                // Gives a client on the same machine the chance to read packets one by one.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

/// `time` at `speed`; a time that can't be represented is the longest there is.
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

    fn run<W: AsyncWrite + Unpin>(writer: W, attempt: &Attempt, form: &Form) -> Closing {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let recorder = Log::new(1).accepted(([127, 0, 0, 1], 9).into(), Instant::now());
        runtime.block_on(play(writer, attempt, form, 1e6, &recorder)).unwrap()
    }

    fn played(attempt: &Attempt) -> (String, Closing) {
        played_in(attempt, &Form::default())
    }

    fn played_in(attempt: &Attempt, form: &Form) -> (String, Closing) {
        let mut bytes = Vec::new();
        let closing = run(&mut bytes, attempt, form);
        (String::from_utf8(bytes).unwrap(), closing)
    }

    #[test]
    fn a_body_is_framed_as_the_attempt_says() {
        let attempt = Attempt::stream().bytes("abc").wait(Duration::from_secs(60)).bytes("d");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        let close = "connection: close\r\n\r\n";
        let expected = format!("{head}transfer-encoding: chunked\r\n{close}3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
        assert_eq!(played(&attempt), (expected, Closing::Close));
        let attempt = attempt.framing(Framing::ContentLength);
        assert_eq!(played(&attempt).0, format!("{head}content-length: 4\r\n{close}abcd"));
        let attempt = attempt.framing(Framing::UntilClose);
        assert_eq!(played(&attempt).0, format!("{head}{close}abcd"));
    }

    #[test]
    fn bytes_without_a_head_go_out_as_they_are() {
        let attempt = Attempt::new().raw("HTTP/1.0 200 OK\r\n\r\n").bytes("data: x\n\n");
        let expected = "HTTP/1.0 200 OK\r\n\r\ndata: x\n\n".to_owned();
        assert_eq!(played(&attempt), (expected, Closing::Close));
    }

    #[test]
    fn a_cut_body_gets_no_last_chunk() {
        let (text, last) = played(&Attempt::stream().bytes("abc").truncate());
        assert!(text.ends_with("3\r\nabc\r\n"), "{text}");
        assert_eq!(last, Closing::Cut);
        assert_eq!(played(&Attempt::new().refuse()), (String::new(), Closing::Close));
        assert_eq!(played(&Attempt::stream().reset()).1, Closing::Reset);
    }

    #[test]
    fn the_form_of_the_request_limits_the_answer() {
        let attempt = Attempt::stream().bytes("abc").framing(Framing::Chunked);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        let http10 = Form { chunks: false, ..Form::default() };
        assert_eq!(played_in(&attempt, &http10).0, format!("{head}connection: close\r\n\r\nabc"));
        let no_body = Form { body: false, ..Form::default() };
        let expected = format!("{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n");
        assert_eq!(played_in(&attempt, &no_body), (expected, Closing::Close));
        let more = Form { headers: vec![("x-more".to_owned(), b"1".to_vec())], ..Form::default() };
        assert!(played_in(&attempt, &more).0.starts_with(&format!("{head}x-more: 1\r\n")));
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
        run(&mut sizes, &attempt, &Form::default());
        assert_eq!(sizes.0, [3, 3, 1, 2]);
    }

    #[test]
    fn a_time_too_long_to_represent_is_the_longest_there_is() {
        assert_eq!(scaled(Duration::from_secs(10), 4.0), Duration::from_millis(2500));
        assert_eq!(scaled(Duration::from_secs(10), 1e-300), Duration::MAX);
        assert_eq!(scaled(Duration::MAX, 1.0), Duration::MAX);
    }
}
