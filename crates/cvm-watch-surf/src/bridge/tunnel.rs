//! A tunnel through an HTTP proxy, by `CONNECT`.

use std::io;

use async_std::io::prelude::*;
use async_std::io::{Read, Write};
use cvm_watch_driver::BaseUrl;

/// The longest answer that is read.
const MAX_ANSWER: usize = 8 * 1024;

/// Asks the proxy at the other end of `stream` for a tunnel to `destination`.
pub(crate) async fn open<S: Read + Write + Unpin>(
    stream: &mut S,
    destination: &BaseUrl,
    auth: Option<&str>,
) -> io::Result<()> {
    let host = destination.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let authority = format!("{host}:{}", destination.port());
    let auth = auth.map(|auth| format!("Proxy-Authorization: {auth}\r\n")).unwrap_or_default();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{auth}\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;

    let mut answer = Vec::new();
    // The other side of a tunnel waits for our first word: nothing can follow the head yet.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the proxy closed the connection"));
        }
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if answer.len() > MAX_ANSWER {
            return Err(io::Error::other(format!("the answer of the proxy is over {MAX_ANSWER} bytes")));
        }
    }
    match status(&answer) {
        Some(200..300) => Ok(()),
        Some(407) => Err(io::Error::other("the proxy wants other credentials (407)")),
        Some(status) => Err(io::Error::other(format!("the proxy refused with status {status}"))),
        None => Err(io::Error::other("the proxy did not answer with HTTP/1")),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    let code = rest.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit))?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::scripted::Scripted;

    async fn ask(base: &str, auth: Option<&str>, answer: &str) -> (String, io::Result<()>) {
        let mut stream = Scripted::new(answer.as_bytes());
        let opened = open(&mut stream, &BaseUrl::parse(base).unwrap(), auth).await;
        (String::from_utf8(stream.written).unwrap(), opened)
    }

    #[async_std::test]
    async fn the_request_names_host_and_port_and_carries_the_credentials() {
        let (asked, opened) =
            ask("https://x.example/v1", Some("Basic bWU6aHVudGVyMg=="), "HTTP/1.1 200 OK\r\n\r\n").await;
        opened.unwrap();
        let expected = "CONNECT x.example:443 HTTP/1.1\r\nHost: x.example:443\r\nProxy-Authorization: Basic \
                        bWU6aHVudGVyMg==\r\n\r\n";
        assert_eq!(asked, expected);
        let (asked, opened) = ask("http://[2001:db8::1]:81", None, "HTTP/1.0 204 \r\nx: y\r\n\r\n").await;
        opened.unwrap();
        assert_eq!(asked, "CONNECT [2001:db8::1]:81 HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n");
    }

    #[async_std::test]
    async fn every_other_answer_is_told_and_none_is_read_without_end() {
        let endless = "HTTP/1.1 200 OK\r\nx: ".to_owned() + &"y".repeat(MAX_ANSWER);
        for (answer, expected) in [
            ("HTTP/1.1 407 Who\r\n\r\n", "the proxy wants other credentials (407)"),
            ("HTTP/1.1 503 No\r\n\r\n", "the proxy refused with status 503"),
            ("SSH-2.0-x\r\n\r\n", "the proxy did not answer with HTTP/1"),
            ("HTTP/1.1 2\r\n\r\n", "the proxy did not answer with HTTP/1"),
            ("HTTP/1.1 200 OK\r\n", "the proxy closed the connection"),
            (&endless, "the answer of the proxy is over 8192 bytes"),
        ] {
            let (_, opened) = ask("https://x.example", None, answer).await;
            assert_eq!(opened.unwrap_err().to_string(), expected);
        }
    }
}
