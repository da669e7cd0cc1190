//! One request and its response over one connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cvm_watch_driver::{Body, Head, TransportError};
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{Builder, Connection};

use crate::fault::{self, MAX_HEAD, MAX_HEADER_LINES, NoAnswer};
use crate::stream::Stream;

/// Sends the request over this stream and returns the head and the body of the response. `place` names the peer in
/// errors.
///
/// No task is spawned: the connection makes progress while this future is polled, and then while the
/// body is. Dropping either closes the stream at once.
pub(crate) async fn exchange(
    stream: Box<dyn Stream>,
    place: String,
    request: hyper::Request<Full<Bytes>>,
) -> Result<(Head, Http1Body), TransportError> {
    match send(&settings(), stream, request).await {
        Ok(answer) => Ok(answer.read(place)),
        Err(none) => Err(fault::before_head(none, place)),
    }
}

/// Configures hyper to read a head as browsers do, since many servers violate the standard.
pub(crate) fn settings() -> Builder {
    let mut settings = Builder::new();
    settings
        // Line folding reads as spaces (RFC 9112, section 5.2).
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_headers(MAX_HEADER_LINES)
        .max_buf_size(MAX_HEAD);
    settings
}

/// A connection as hyper drives it.
type Carrier = Connection<Box<dyn Stream>, Full<Bytes>>;

/// A response and the connection that its body arrives over.
pub(crate) struct Answer {
    pub(crate) response: hyper::Response<Incoming>,
    pub(crate) connection: Carrier,
    /// Whether the connection has nothing more to do.
    ended: bool,
}

impl Answer {
    pub(crate) fn read(self, place: String) -> (Head, Http1Body) {
        let (head, body) = self.response.into_parts();
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let head = Head { status: head.status.as_u16(), headers: headers.collect() };
        let connection = (!self.ended).then(|| Box::new(self.connection));
        (head, Http1Body { body, connection, place: place.into() })
    }
}

/// Sends a request over a new connection.
pub(crate) async fn send(
    settings: &Builder,
    stream: Box<dyn Stream>,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Answer, NoAnswer> {
    let handshake = settings.handshake(stream).await;
    let (mut sender, mut connection) = handshake.map_err(|error| NoAnswer { error, unread: Bytes::new() })?;
    let mut response = pin!(sender.send_request(request));
    let mut ended = false;
    let response = poll_fn(|cx| {
        if let Poll::Ready(response) = response.as_mut().poll(cx) {
            return Poll::Ready(response);
        }
        let end = if ended { Poll::Pending } else { connection.poll_without_shutdown(cx) };
        ended |= end.is_ready();
        // A response that arrived counts, even if the connection failed after it. Without one the connection's error
        // is the cause.
        match (response.as_mut().poll(cx), end) {
            (Poll::Ready(Ok(response)), _) => Poll::Ready(Ok(response)),
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (response, _) => response,
        }
    });
    match response.await {
        Ok(response) => Ok(Answer { response, connection, ended }),
        Err(error) => Err(NoAnswer { error, unread: connection.into_parts().read_buf }),
    }
}

/// A response body and the connection that it arrives over. Each chunk is a slice of the read
/// buffer, not a copy.
pub struct Http1Body {
    body: Incoming,
    /// The connection, until it has nothing more to do.
    connection: Option<Box<Carrier>>,
    /// The peer, for errors.
    place: Box<str>,
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
                Some(Err(error)) => Some(Err(fault::in_body(error, &self.place))),
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
    use std::error::Error;

    use cvm_watch_driver::cvm_watch_core::CloseCause;

    use super::*;
    use crate::scripted::{Scripted, block_on};

    fn request() -> hyper::Request<Full<Bytes>> {
        hyper::Request::get("/").header("host", "x.example").body(Full::default()).unwrap()
    }

    /// The status of an exchange with this peer, or the cause of its failure.
    fn status(peer: Scripted) -> Result<u16, CloseCause> {
        block_on(exchange(Box::new(peer), "x.example:80".to_owned(), request()))
            .map(|(head, _)| head.status)
            .map_err(|error| error.cause())
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

    /// The headers of an answer with these lines, or the innermost error.
    fn headers(lines: &str) -> Result<Vec<String>, String> {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let peer = Scripted::once_asked(answer.as_bytes());
        match block_on(exchange(Box::new(peer), "x.example:80".to_owned(), request())) {
            Ok((head, _)) => {
                let shown = |(name, value): &(String, Vec<u8>)| format!("{name}: {}", String::from_utf8_lossy(value));
                Ok(head.headers.iter().map(shown).collect())
            }
            Err(error) => {
                let place = error.source().unwrap();
                assert_eq!(place.to_string(), "x.example:80");
                Err(format!("{}: {}", error.cause(), place.source().unwrap()))
            }
        }
    }

    #[test]
    fn folded_lines_read_as_blanks_and_odd_lines_are_left_out() {
        for (lines, expected) in [
            ("a: b\r\n c\r\n", "a: b c"),
            ("a: b\r\n\tc\r\n  d\r\ne: f\r\n", "a: b c d e: f"),
            ("a: b\r\nx y: z\r\nc: d\r\n", "a: b c: d"),
            ("a: b\r\nc : d\r\n", "a: b"),
            ("no colon\r\na: b\r\n", "a: b"),
            ("a: b\x01c\r\nd: e\r\n", "d: e"),
            ("a: b\n c\nd: e\n", "a: b c d: e"),
            ("content-length: 3, 3\r\n", "content-length: 3, 3"),
        ] {
            let headers = headers(lines).unwrap();
            // How many blanks is hyper's choice.
            let joined: Vec<_> = headers.iter().flat_map(|header| header.split_whitespace()).collect();
            assert_eq!(joined.join(" "), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_head_within_the_limits_is_read_and_one_over_them_says_which() {
        assert_eq!(headers(&"x: y\r\n".repeat(1000)).unwrap().len(), 1000);
        assert_eq!(headers(&format!("x: {}\r\n", "y".repeat(250 << 10))).unwrap().len(), 1);
        for (lines, expected) in [
            ("x: y\r\n".repeat(1001), "1001 header lines are over the limit of 1000"),
            ("x: y\r\n".repeat(20_000), " header lines are over the limit of 1000"),
            (format!("x: {}\r\n", "y".repeat(1 << 20)), "the response head is over the limit of 256 KiB"),
        ] {
            let error = headers(&lines).unwrap_err();
            // How much was read of a long head is hyper's choice.
            let start = if expected.starts_with(' ') { "the response head is too large: at least 1" } else { "the" };
            assert!(error.starts_with(start) && error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_is_named() {
        for length in ["-1", "99999999999999999999999", "0x10", "1, 2", "abc"] {
            let error = headers(&format!("content-length: {length}\r\n")).unwrap_err();
            assert_eq!(error, "the answer is not valid HTTP: invalid content-length parsed", "{length}");
        }
    }

    /// The body of an answer that is sent at once, and its error.
    fn body_of(answer: &str) -> (String, Option<CloseCause>) {
        block_on(async {
            let peer = Scripted::once_asked(answer.as_bytes()).stays_open();
            let (_, mut body) = exchange(Box::new(peer), "x.example:80".to_owned(), request()).await.unwrap();
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
    fn a_body_ends_where_its_framing_says_even_if_more_follows() {
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
