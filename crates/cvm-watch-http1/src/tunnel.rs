//! Tunnels through an HTTP proxy, by `CONNECT` (RFC 9110, section 9.3.6).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use cvm_watch_driver::cvm_watch_core::server_message;
use cvm_watch_driver::{BaseUrl, Body, Head};
use http_body_util::Full;
use hyper::client::conn::http1::Parts;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, StatusCode};

use crate::exchange::{Http1Body, send, settings};
use crate::fault;
use crate::proxy::{Login, Refusal, host_and_port};
use crate::stream::{Rewound, Stream};

/// How much of the body of a refusal is read, in bytes.
const MAX_REFUSAL: usize = 4 << 10;

/// Requests a tunnel to `destination` from the proxy at the other end of `stream`. `patience` limits the time for
/// reading the body of a refusal.
///
/// hyper reads the answer, so it handles interim responses, any 2xx status and long heads. Its upgrade is not used,
/// since it does not accept a 204.
pub(crate) async fn open(
    stream: Box<dyn Stream>,
    destination: &BaseUrl,
    login: Option<&Login>,
    patience: impl Future<Output = ()>,
) -> Result<Rewound<Box<dyn Stream>>, Refusal> {
    let request = request(destination, login).map_err(|error| Refusal::because("cannot be asked", error))?;
    // Some proxies require the usual case in header names.
    let answer = send(settings().title_case_headers(true), stream, request)
        .await
        .map_err(|none| Refusal::because("gave no valid answer", fault::before_head(none, String::new())))?;
    let status = answer.response.status();
    if status.is_success() {
        let Parts { io, read_buf, .. } = answer.connection.into_parts();
        return Ok(Rewound::new(read_buf, io));
    }
    let (head, mut body) = answer.read(String::new());
    let message = server_message(&beginning(&mut body, patience).await);
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    let problem = format!("refused the tunnel: HTTP {status}{message}");
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(Refusal::login(problem + &unsupported_schemes(&head)));
    }
    Err(Refusal::new(problem))
}

/// Reads a body until it ends or `patience` does.
async fn beginning(body: &mut Http1Body, patience: impl Future<Output = ()>) -> Vec<u8> {
    let mut patience = pin!(patience);
    let mut read = Vec::new();
    poll_fn(|cx| {
        while read.len() < MAX_REFUSAL {
            match Pin::new(&mut *body).poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => read.extend_from_slice(&chunk),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return patience.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    })
    .await;
    read.truncate(MAX_REFUSAL);
    read
}

/// Returns the authentication schemes that a proxy offers, if `Basic` is not among them.
fn unsupported_schemes(head: &Head) -> String {
    let offers = head.headers.iter().filter(|(name, _)| name == "proxy-authenticate");
    let schemes: Vec<_> = offers
        .map(|(_, value)| String::from_utf8_lossy(value).split_whitespace().next().unwrap_or_default().to_owned())
        .filter(|scheme| !scheme.is_empty())
        .collect();
    if schemes.is_empty() || schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic")) {
        return String::new();
    }
    format!("; it offers {}, but only Basic is supported", schemes.join(", "))
}

fn request(destination: &BaseUrl, login: Option<&Login>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let authority = host_and_port(destination);
    let mut request = Request::connect(&authority).header(HOST, authority).body(Full::default())?;
    if let Some(login) = login {
        let mut value = HeaderValue::try_from(format!("Basic {}", login.token()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::scripted::{Scripted, block_on};

    /// What the proxy was sent, and what can be read through the tunnel.
    fn ask(base: &str, login: Option<&Login>, answer: &str) -> (String, Result<String, String>) {
        let proxy = Scripted::once_asked(answer.as_bytes());
        let written = std::sync::Arc::clone(&proxy.written);
        let opened = block_on(async {
            let mut stream = open(Box::new(proxy), &BaseUrl::parse(base).unwrap(), login, ready(())).await?;
            let mut space = [0; 64];
            let mut buffer = hyper::rt::ReadBuf::new(&mut space);
            poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut stream), cx, buffer.unfilled())).await.unwrap();
            Ok(String::from_utf8_lossy(buffer.filled()).into_owned())
        });
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        (
            written,
            opened.map_err(|refusal: Refusal| {
                let source = std::error::Error::source(&refusal).and_then(std::error::Error::source);
                source.and_then(std::error::Error::source).map_or_else(|| refusal.to_string(), ToString::to_string)
            }),
        )
    }

    #[test]
    fn the_request_names_host_and_port_and_carries_the_login() {
        let login = Login { user: "me".to_owned(), password: "hunter2".to_owned() };
        let (asked, opened) = ask("https://x.example/v1", Some(&login), "HTTP/1.1 200 OK\r\n\r\n");
        opened.unwrap();
        let expected = "CONNECT x.example:443 HTTP/1.1\r\nHost: x.example:443\r\nProxy-Authorization: Basic \
                        bWU6aHVudGVyMg==\r\n\r\n";
        assert_eq!(asked, expected);
        let (asked, opened) = ask("http://[2001:db8::1]:81", None, "HTTP/1.0 204 \r\nx: y\r\n\r\n");
        opened.unwrap();
        assert_eq!(asked, "CONNECT [2001:db8::1]:81 HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n");
    }

    #[test]
    fn any_success_opens_the_tunnel_and_what_follows_the_head_comes_through_it() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(20_000));
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 299 Odd\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            &long,
        ] {
            assert_eq!(ask("https://x.example", None, &format!("{head}bytes")).1, Ok("bytes".to_owned()), "{head}");
        }
    }

    #[test]
    fn every_other_answer_is_a_refusal_and_none_is_read_without_end() {
        let endless = "HTTP/1.1 200 OK\r\nx: ".to_owned() + &"y".repeat(1 << 20);
        for (answer, expected) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                "refused the tunnel: HTTP 407 Proxy Authentication Required",
            ),
            (
                "HTTP/1.1 407 No\r\nproxy-authenticate: NTLM\r\nproxy-authenticate: Negotiate\r\n\r\nwho?",
                "refused the tunnel: HTTP 407 Proxy Authentication Required: who?; it offers NTLM, Negotiate, but only \
                 Basic is supported",
            ),
            (
                "HTTP/1.1 407 No\r\nproxy-authenticate: NTLM\r\nproxy-authenticate: basic realm=x\r\n\r\n",
                "refused the tunnel: HTTP 407 Proxy Authentication Required",
            ),
            (
                "HTTP/1.1 503 No\r\ncontent-length: 9999\r\n\r\n<title>no\nroute</title>",
                "refused the tunnel: HTTP 503 Service Unavailable: no route",
            ),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "refused the tunnel: HTTP 101 Switching Protocols"),
            ("SSH-2.0-x\r\n\r\n", "invalid HTTP version parsed"),
            ("HTTP/1.1 200 OK\r\n", "connection closed before message completed"),
            (&endless, "the response head is over the limit of 256 KiB"),
        ] {
            assert_eq!(ask("https://x.example", None, answer).1, Err(expected.to_owned()));
        }
    }
}
