//! One request and its response over a connection that nobody else uses.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use cvm_watch_driver::{Head, TransportError};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::body::HyperBody;
use crate::connect::Connection;
use crate::fault;

pub(crate) type Driving = Pin<Box<http1::Connection<TokioIo<Box<dyn Connection>>, Empty<Bytes>>>>;

/// Sends the request and reads the head of its response. No task carries the connection: it moves
/// while this future is polled, then while the body is.
pub(crate) async fn exchange(
    stream: Box<dyn Connection>,
    message: hyper::Request<Empty<Bytes>>,
) -> Result<(Head, HyperBody), TransportError> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| fault::before_head(error, false))?;
    let mut connection: Option<Driving> = Some(Box::pin(connection));
    let mut response = pin!(sender.send_request(message));
    let mut unread = false;
    let response = poll_fn(|cx| {
        if let Poll::Ready(response) = response.as_mut().poll(cx) {
            return Poll::Ready(response);
        }
        let Some(driving) = &mut connection else { return Poll::Pending };
        let Poll::Ready(end) = driving.as_mut().poll(cx) else { return response.as_mut().poll(cx) };
        unread = close(&mut connection);
        // An answer that came counts, whatever followed it; if none did, the connection's own error
        // is the one that says why.
        match (response.as_mut().poll(cx), end) {
            (Poll::Ready(Ok(response)), _) => Poll::Ready(Ok(response)),
            (_, Err(error)) => Poll::Ready(Err(error)),
            (response, Ok(())) => response,
        }
    });
    match response.await {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let headers =
                head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
            let head = Head { status: head.status.as_u16(), headers: headers.collect() };
            Ok((head, HyperBody::new(body, connection)))
        }
        Err(error) => {
            unread |= close(&mut connection);
            Err(fault::before_head(error, unread))
        }
    }
}

/// Closes the connection. Whether it had read bytes that did not make a head.
fn close(connection: &mut Option<Driving>) -> bool {
    connection.take().is_some_and(|driving| !Pin::into_inner(driving).into_parts().read_buf.is_empty())
}

#[cfg(test)]
mod tests {
    use cvm_watch_driver::Body;
    use cvm_watch_driver::core::CloseCause;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn message() -> hyper::Request<Empty<Bytes>> {
        hyper::Request::get("/").header("host", "x.example").body(Empty::new()).unwrap()
    }

    /// What an exchange ends in with a peer that sent this and closed before it was asked.
    async fn with(already_there: &str) -> Result<u16, CloseCause> {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(already_there.as_bytes()).await.unwrap();
        theirs.shutdown().await.unwrap();
        exchange(Box::new(ours), message()).await.map(|(head, _)| head.status).map_err(|error| error.cause())
    }

    #[tokio::test]
    async fn bytes_that_answer_nothing_are_told_as_not_http() {
        assert_eq!(with("SSH-2.0-OpenSSH_9.2\r\n").await, Err(CloseCause::NotHttp));
        assert_eq!(with("HTTP/1.1 200 OK\r\n\r\n").await, Err(CloseCause::NotHttp));
    }

    #[tokio::test]
    async fn a_close_before_the_request_is_an_end() {
        assert_eq!(with("").await, Err(CloseCause::Ended));
    }

    /// What an exchange ends in with a peer that reads the request, sends this, and closes.
    async fn answered(answer: &'static str) -> Result<u16, CloseCause> {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let peer = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(theirs.read_u8().await.unwrap());
            }
            // Of a head over the limit, not all is read.
            let _ = theirs.write_all(answer.as_bytes()).await;
            drop(theirs);
        };
        let (outcome, ()) = tokio::join!(exchange(Box::new(ours), message()), peer);
        outcome.map(|(head, _)| head.status).map_err(|error| error.cause())
    }

    #[tokio::test]
    async fn half_a_head_is_cut_off_and_none_is_an_end() {
        assert_eq!(answered("").await, Err(CloseCause::Ended));
        assert_eq!(answered("HTT").await, Err(CloseCause::Truncated));
        assert_eq!(answered("HTTP/1.1 200 OK\r\ncontent-ty").await, Err(CloseCause::Truncated));
        assert_eq!(answered("HTTP/1.1 103 Early Hints\r\n\r\n").await, Err(CloseCause::Ended));
        assert_eq!(answered("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await, Ok(204));
    }

    #[tokio::test]
    async fn a_head_over_the_limit_is_told_as_that_and_any_other_trouble_as_not_http() {
        let head =
            |lines: String| -> &'static str { Box::leak(format!("HTTP/1.1 200 OK\r\n{lines}").into_boxed_str()) };
        assert_eq!(answered(head("x: y\r\n".repeat(1000) + "\r\n")).await, Err(CloseCause::HeadTooLarge));
        assert_eq!(answered(head(format!("x: {}", "y".repeat(1 << 20)))).await, Err(CloseCause::HeadTooLarge));
        assert_eq!(answered(head("x y: z\r\n\r\n".to_owned())).await, Err(CloseCause::NotHttp));
        assert_eq!(answered("HTTP/7.7 200 OK\r\n\r\n").await, Err(CloseCause::NotHttp));
    }

    /// What a body reads and ends in, of a peer that sends all of this at once.
    async fn body_of(answer: &str) -> (String, Option<CloseCause>) {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let peer = async move {
            let mut head = vec![0; 4096];
            assert!(theirs.read(&mut head).await.unwrap() > 0);
            theirs.write_all(answer.as_bytes()).await.unwrap();
            theirs
        };
        let (outcome, _theirs) = tokio::join!(exchange(Box::new(ours), message()), peer);
        let (_, mut body) = outcome.unwrap();
        let mut read = String::new();
        while let Some(chunk) = poll_fn(|cx| Pin::new(&mut body).poll_chunk(cx)).await {
            match chunk {
                Ok(bytes) => read.push_str(std::str::from_utf8(&bytes).unwrap()),
                Err(error) => return (read, Some(error.cause())),
            }
        }
        (read, None)
    }

    #[tokio::test]
    async fn a_body_ends_where_its_framing_says_whatever_follows() {
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
            assert_eq!(body_of(&answer).await, ("abcde".to_owned(), None), "{answer}");
        }
        let broken = format!("{}xyz\r\n", chunked.trim_end_matches("0\r\n"));
        assert_eq!(body_of(&broken).await, ("abcde".to_owned(), Some(CloseCause::NotHttp)));
    }
}
