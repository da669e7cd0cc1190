//! Tunnels through an HTTP proxy, by `CONNECT` (RFC 9110, section 9.3.6).

use std::error::Error;

use bytes::Bytes;
use cvm_watch_driver::BaseUrl;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, Parts};
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, StatusCode};

use crate::exchange::{NoAnswer, send};
use crate::proxy::Login;
use crate::stream::{Rewound, Stream};

/// Asks the proxy at the other end of `stream` for a tunnel to `destination`.
///
/// hyper reads the answer, so interim responses, any 2xx status and long heads are handled there.
/// Its own upgrade is not used, since it does not take a 204 for the success that it is here.
pub(crate) async fn open<S: Stream>(
    stream: S,
    destination: &BaseUrl,
    login: Option<&Login>,
) -> Result<Rewound<S>, Refusal> {
    let request = request(destination, login)?;
    // Some proxies know the names of headers only in the usual case.
    let answer = send(Builder::new().title_case_headers(true), stream, request).await?;
    let status = answer.response.status();
    if !status.is_success() {
        return Err(Refusal::Status(status));
    }
    let Parts { io, read_buf, .. } = answer.connection.into_parts();
    Ok(Rewound::new(read_buf, io))
}

fn request(destination: &BaseUrl, login: Option<&Login>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let host = destination.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let authority = format!("{host}:{}", destination.port());
    let mut request = Request::connect(&authority).header(HOST, authority).body(Full::default())?;
    if let Some(login) = login {
        let mut value = HeaderValue::try_from(format!("Basic {}", login.token()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
    Ok(request)
}

/// Why a proxy opened no tunnel.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It answered with this status.
    Status(StatusCode),
    /// It gave no valid answer.
    Broken(Box<dyn Error + Send + Sync>),
}

impl From<NoAnswer> for Refusal {
    fn from(none: NoAnswer) -> Self {
        Self::Broken(none.error.into())
    }
}

impl From<hyper::http::Error> for Refusal {
    fn from(error: hyper::http::Error) -> Self {
        Self::Broken(error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::scripted::{Scripted, block_on};

    /// What the proxy was sent, and what can be read through the tunnel.
    fn ask(base: &str, login: Option<&Login>, answer: &str) -> (String, Result<String, String>) {
        let proxy = Scripted::once_asked(answer.as_bytes());
        let written = std::sync::Arc::clone(&proxy.written);
        let opened = block_on(async {
            let mut stream = open(proxy, &BaseUrl::parse(base).unwrap(), login).await?;
            let mut space = [0; 64];
            let mut buffer = hyper::rt::ReadBuf::new(&mut space);
            poll_fn(|cx| hyper::rt::Read::poll_read(std::pin::Pin::new(&mut stream), cx, buffer.unfilled()))
                .await
                .unwrap();
            Ok(String::from_utf8_lossy(buffer.filled()).into_owned())
        });
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let told = |refusal| match refusal {
            Refusal::Status(status) => status.to_string(),
            Refusal::Broken(error) => error.to_string(),
        };
        (written, opened.map_err(told))
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
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407 Proxy Authentication Required"),
            ("HTTP/1.1 503 No\r\ncontent-length: 9999\r\n\r\n", "503 Service Unavailable"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "101 Switching Protocols"),
            ("SSH-2.0-x\r\n\r\n", "invalid HTTP version parsed"),
            ("HTTP/1.1 200 OK\r\n", "connection closed before message completed"),
            (&endless, "message head is too large"),
        ] {
            assert_eq!(ask("https://x.example", None, answer).1, Err(expected.to_owned()));
        }
    }
}
