//! One request and its response over a connection that nobody else uses.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use cvm_watch_driver::{Head, TransportError};
use http_body_util::Full;
use hyper::client::conn::http1;

use super::connect::Stream;
use super::io::HyperIo;
use super::reader::Reader;
use crate::fault;

pub(crate) type Driving = Pin<Box<http1::Connection<HyperIo<Box<dyn Stream>>, Full<Bytes>>>>;

/// Sends the request and reads the head of its response. No task carries the connection: it moves
/// while this future is polled, then while the body is.
pub(crate) async fn exchange(
    stream: Box<dyn Stream>,
    message: hyper::Request<Full<Bytes>>,
) -> Result<(Head, Reader), TransportError> {
    let handshake = http1::handshake(HyperIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| fault::before_head(error, false))?;
    let mut connection: Option<Driving> = Some(Box::pin(connection));
    let mut response = pin!(sender.send_request(message));
    let mut unread = false;
    // The connection's own error is the one that says why.
    let response = poll_fn(|cx| {
        if let Poll::Ready(response) = response.as_mut().poll(cx) {
            return Poll::Ready(response);
        }
        let Some(driving) = &mut connection else { return Poll::Pending };
        let Poll::Ready(end) = driving.as_mut().poll(cx) else { return response.as_mut().poll(cx) };
        unread = close(&mut connection);
        // What is wrong after an answer, such as bytes that follow it, does not undo it.
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
            Ok((head, Reader::new(body, connection)))
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
    use async_std::io::ReadExt;
    use cvm_watch_driver::core::CloseCause;

    use super::*;
    use crate::bridge::scripted::Scripted;

    /// What an exchange ends in with a peer that answers this and closes; `early` if it does not
    /// wait for the request.
    async fn answered(answer: &str, early: bool) -> Result<u16, CloseCause> {
        let message = hyper::Request::get("/").header("host", "x.example").body(Full::default()).unwrap();
        let peer = if early { Scripted::new(answer.as_bytes()) } else { Scripted::once_asked(answer.as_bytes()) };
        exchange(Box::new(peer), message).await.map(|(head, _)| head.status).map_err(|error| error.cause())
    }

    #[async_std::test]
    async fn half_a_head_is_cut_off_and_none_is_an_end() {
        for (answer, expected) in [
            ("", Err(CloseCause::Ended)),
            ("HTT", Err(CloseCause::Truncated)),
            ("HTTP/1.1 200 OK\r\ncontent-ty", Err(CloseCause::Truncated)),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", Err(CloseCause::Ended)),
            ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Ok(204)),
            ("HTTP/1.0 200 OK\r\n\r\n", Ok(200)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 500 No\r\n\r\n", Ok(200)),
        ] {
            assert_eq!(answered(answer, false).await, expected, "{answer:?}");
        }
    }

    #[async_std::test]
    async fn bytes_that_answer_nothing_are_told_as_not_http() {
        assert_eq!(answered("SSH-2.0-OpenSSH_9.2\r\n", true).await, Err(CloseCause::NotHttp));
        assert_eq!(answered("SSH-2.0-OpenSSH_9.2\r\n", false).await, Err(CloseCause::NotHttp));
        assert_eq!(answered("HTTP/7.7 200 OK\r\n\r\n", false).await, Err(CloseCause::NotHttp));
        assert_eq!(answered("HTTP/1.1 200 OK\r\nx y: z\r\n\r\n", false).await, Err(CloseCause::NotHttp));
        assert_eq!(answered("", true).await, Err(CloseCause::Ended));
    }

    #[async_std::test]
    async fn a_head_over_the_limit_is_told_as_that() {
        for lines in ["x: y\r\n".repeat(1000) + "\r\n", format!("x: {}", "y".repeat(1 << 20))] {
            let answer = format!("HTTP/1.1 200 OK\r\n{lines}");
            assert_eq!(answered(&answer, false).await, Err(CloseCause::HeadTooLarge));
        }
    }

    #[async_std::test]
    async fn a_body_is_read_without_its_trailers_by_whichever_way_of_reading() {
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-a: b\r\n\r\n";
        let followed = chunks.to_owned() + "more that nobody asked for";
        for (answer, size) in [(chunks, 1), (chunks, 2), (chunks, 64), (&followed, 64)] {
            let message = hyper::Request::get("/").body(Full::default()).unwrap();
            let (_, mut reader) = exchange(Box::new(Scripted::once_asked(answer.as_bytes())), message).await.unwrap();
            let mut read: Vec<u8> = Vec::new();
            loop {
                let mut buffer = vec![0; size];
                match reader.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => read.extend(&buffer[..count]),
                }
            }
            assert_eq!(read, b"abcde");
        }
    }
}
