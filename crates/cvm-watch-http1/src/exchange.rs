//! One request and its response over a connection of its own.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cvm_watch_driver::{Body, Head, TransportError};
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{Builder, Connection};

use crate::fault;
use crate::stream::Stream;

/// Sends the request and returns the head of its response and the body.
///
/// No task is spawned: the connection makes progress while this future is polled, and then while the
/// body is. Dropping either closes the stream at once.
///
/// # Errors
///
/// No response head came. The error's cause tells a peer that closed without an answer, half a head,
/// a head over the limit and bytes that are not HTTP apart.
pub async fn exchange(
    stream: Box<dyn Stream>,
    request: hyper::Request<Full<Bytes>>,
) -> Result<(Head, Http1Body), TransportError> {
    let answer =
        send(&Builder::new(), stream, request).await.map_err(|none| fault::before_head(none.error, none.unread))?;
    let (head, body) = answer.response.into_parts();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    let head = Head { status: head.status.as_u16(), headers: headers.collect() };
    let connection = (!answer.ended).then(|| Box::new(answer.connection));
    Ok((head, Http1Body { body, connection }))
}

/// A connection as hyper drives it.
type Carrier<S> = Connection<S, Full<Bytes>>;

/// A response and the connection that its body arrives over.
pub(crate) struct Answer<S: Stream> {
    pub(crate) response: hyper::Response<Incoming>,
    pub(crate) connection: Carrier<S>,
    /// Whether the connection has nothing more to do.
    ended: bool,
}

/// Why no response came.
pub(crate) struct NoAnswer {
    pub(crate) error: hyper::Error,
    /// Whether bytes came that did not make a head.
    unread: bool,
}

/// Sends a request over a new connection.
pub(crate) async fn send<S: Stream>(
    settings: &Builder,
    stream: S,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Answer<S>, NoAnswer> {
    let handshake = settings.handshake(stream).await;
    let (mut sender, mut connection) = handshake.map_err(|error| NoAnswer { error, unread: false })?;
    let mut response = pin!(sender.send_request(request));
    let mut ended = false;
    let response = poll_fn(|cx| {
        if let Poll::Ready(response) = response.as_mut().poll(cx) {
            return Poll::Ready(response);
        }
        let end = if ended { Poll::Pending } else { connection.poll_without_shutdown(cx) };
        ended |= end.is_ready();
        // A response that arrived counts, whatever followed it. If none did, the connection's own
        // error says why.
        match (response.as_mut().poll(cx), end) {
            (Poll::Ready(Ok(response)), _) => Poll::Ready(Ok(response)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (response, _) => response,
        }
    });
    match response.await {
        Ok(response) => Ok(Answer { response, connection, ended }),
        Err(error) => Err(NoAnswer { error, unread: !connection.into_parts().read_buf.is_empty() }),
    }
}

/// A response body and the connection that it arrives over. Each chunk is a slice of the read
/// buffer, not a copy.
pub struct Http1Body {
    body: Incoming,
    /// The connection, until it has nothing more to do.
    connection: Option<Box<Carrier<Box<dyn Stream>>>>,
}

impl Http1Body {
    /// The next frame. The connection is polled after the body, and reports its errors through it.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if let Some(connection) = &mut self.connection
            && Pin::new(connection).poll(cx).is_ready()
        {
            self.connection = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl Body for Http1Body {
    type Chunk = Bytes;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            return Poll::Ready(match ready!(self.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => Some(Ok(bytes)),
                    // Trailers are ignored.
                    Err(_) => continue,
                },
                Some(Err(error)) => Some(Err(fault::in_body(error))),
                None => None,
            });
        }
    }
}

impl fmt::Debug for Http1Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Body").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use cvm_watch_driver::core::CloseCause;

    use super::*;
    use crate::scripted::{Scripted, block_on};

    fn request() -> hyper::Request<Full<Bytes>> {
        hyper::Request::get("/").header("host", "x.example").body(Full::default()).unwrap()
    }

    /// The status of an exchange with this peer, or the cause of its failure.
    fn status(peer: Scripted) -> Result<u16, CloseCause> {
        block_on(exchange(Box::new(peer), request())).map(|(head, _)| head.status).map_err(|error| error.cause())
    }

    fn answered(answer: &str) -> Result<u16, CloseCause> {
        status(Scripted::once_asked(answer.as_bytes()))
    }

    #[test]
    fn half_a_head_is_a_truncation_and_none_is_an_end() {
        for (answer, expected) in [
            ("", Err(CloseCause::Ended)),
            ("HTT", Err(CloseCause::Truncated)),
            ("HTTP/1.1 200 OK\r\ncontent-ty", Err(CloseCause::Truncated)),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", Err(CloseCause::Ended)),
            ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Ok(204)),
            ("HTTP/1.0 200 OK\r\n\r\n", Ok(200)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\n\r\n", Ok(200)),
        ] {
            assert_eq!(answered(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn bytes_that_answer_no_request_are_not_http() {
        let early = |answer: &str| status(Scripted::new(answer.as_bytes()));
        assert_eq!(early("SSH-2.0-OpenSSH_9.2\r\n"), Err(CloseCause::NotHttp));
        assert_eq!(early("HTTP/1.1 200 OK\r\n\r\n"), Err(CloseCause::NotHttp));
        assert_eq!(early(""), Err(CloseCause::Ended));
        assert_eq!(answered("SSH-2.0-OpenSSH_9.2\r\n"), Err(CloseCause::NotHttp));
        assert_eq!(answered("HTTP/7.7 200 OK\r\n\r\n"), Err(CloseCause::NotHttp));
    }

    #[test]
    fn a_head_over_the_limit_is_told_from_one_that_is_not_http() {
        for lines in ["x: y\r\n".repeat(1000) + "\r\n", format!("x: {}", "y".repeat(1 << 20))] {
            let answer = format!("HTTP/1.1 200 OK\r\n{lines}");
            assert_eq!(answered(&answer), Err(CloseCause::HeadTooLarge));
        }
        assert_eq!(answered("HTTP/1.1 200 OK\r\nx y: z\r\n\r\n"), Err(CloseCause::NotHttp));
    }

    /// The body of an answer that is sent at once, and its error.
    fn body_of(answer: &str) -> (String, Option<CloseCause>) {
        block_on(async {
            let peer = Scripted::once_asked(answer.as_bytes()).stays_open();
            let (_, mut body) = exchange(Box::new(peer), request()).await.unwrap();
            let mut read = String::new();
            while let Some(chunk) = poll_fn(|cx| Pin::new(&mut body).poll_chunk(cx)).await {
                match chunk {
                    Ok(bytes) => read.push_str(std::str::from_utf8(&bytes).unwrap()),
                    Err(error) => return (read, Some(error.cause())),
                }
            }
            (read, None)
        })
    }

    #[test]
    fn a_body_ends_where_its_framing_says_whatever_follows() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n";
        let counted = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde";
        let again = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
        for answer in [
            format!("{chunked}\r\n"),
            format!("{chunked}x-trailer: y\r\n\r\n"),
            format!("{chunked}\r\nbytes after the end"),
            format!("{chunked}\r\n{again}"),
            counted.to_owned(),
            format!("{counted}bytes after the end"),
            format!("{counted}{again}"),
        ] {
            assert_eq!(body_of(&answer), ("abcde".to_owned(), None), "{answer}");
        }
        let broken = format!("{}xyz\r\n", chunked.trim_end_matches("0\r\n"));
        assert_eq!(body_of(&broken), ("abcde".to_owned(), Some(CloseCause::NotHttp)));
    }
}
