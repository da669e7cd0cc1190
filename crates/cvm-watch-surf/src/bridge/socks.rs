//! A tunnel through a SOCKS 5 proxy (RFC 1928 and 1929), which looks up names itself.

use std::io;
use std::net::IpAddr;

use async_std::io::prelude::*;
use async_std::io::{Read, Write};
use cvm_watch_driver::BaseUrl;

const VERSION: u8 = 5;
const NO_AUTH: u8 = 0;
const PASSWORD: u8 = 2;

/// Asks the proxy at the other end of `stream` for a tunnel to `destination`.
pub(crate) async fn open<S: Read + Write + Unpin>(
    stream: &mut S,
    destination: &BaseUrl,
    auth: Option<&(String, String)>,
) -> io::Result<()> {
    let method = if auth.is_some() { PASSWORD } else { NO_AUTH };
    say(stream, &[VERSION, 1, method]).await?;
    let [version, chosen] = hear(stream).await?;
    if (version, chosen) != (VERSION, method) {
        return Err(io::Error::other("the proxy does not speak SOCKS 5 or refused the way to log in"));
    }
    if let Some((user, password)) = auth {
        let mut login = vec![1];
        push_text(&mut login, user)?;
        push_text(&mut login, password)?;
        say(stream, &login).await?;
        let [_, status] = hear(stream).await?;
        if status != 0 {
            return Err(io::Error::other("the proxy wants other credentials"));
        }
    }
    let mut request = vec![VERSION, 1, 0];
    match destination.host().parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        Err(_) => {
            request.push(3);
            push_text(&mut request, destination.host())?;
        }
    }
    request.extend(destination.port().to_be_bytes());
    say(stream, &request).await?;
    let [version, reply, _, address] = hear(stream).await?;
    if version != VERSION {
        return Err(io::Error::other("the proxy does not speak SOCKS 5"));
    }
    if reply != 0 {
        return Err(io::Error::other(format!("the proxy refused: {}", reason(reply))));
    }
    // The address it connects from, of no use here.
    let length = match address {
        1 => 4,
        4 => 16,
        _ => {
            let [length] = hear(stream).await?;
            usize::from(length)
        }
    };
    stream.read_exact(&mut vec![0; length + 2]).await
}

async fn say<S: Write + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn hear<S: Read + Unpin, const N: usize>(stream: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// A length in one byte, and the text.
fn push_text(message: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u8::try_from(text.len()).map_err(|_| {
        let problem = "SOCKS 5 takes no name or password over 255 bytes";
        io::Error::new(io::ErrorKind::InvalidInput, problem)
    })?;
    message.push(length);
    message.extend(text.bytes());
    Ok(())
}

fn reason(reply: u8) -> String {
    let known = match reply {
        1 => "general failure",
        2 => "not allowed",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "expired on the way",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => return format!("code {reply}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::scripted::Scripted;

    async fn ask(base: &str, auth: Option<(&str, &str)>, answer: &[u8]) -> (Vec<u8>, Result<(), String>) {
        let mut stream = Scripted::new(answer);
        let auth = auth.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let opened = open(&mut stream, &BaseUrl::parse(base).unwrap(), auth.as_ref()).await;
        (stream.written, opened.map_err(|error| error.to_string()))
    }

    #[async_std::test]
    async fn names_and_addresses_go_out_as_the_standard_has_them() {
        let granted = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
        for (base, expected) in [
            ("https://x.example", b"\x05\x01\x00\x05\x01\x00\x03\x09x.example\x01\xbb".as_slice()),
            ("http://10.0.0.1:81", b"\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x51"),
            (
                "http://[2001:db8::1]:81",
                b"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x51",
            ),
        ] {
            assert_eq!(ask(base, None, &granted).await, (expected.to_vec(), Ok(())), "{base}");
        }
    }

    #[async_std::test]
    async fn the_password_goes_out_only_when_it_is_asked_for() {
        let auth = Some(("me", "hunter2"));
        let granted = b"\x05\x02\x01\x00\x05\x00\x00\x03\x04from\x00\x50";
        let (asked, opened) = ask("https://x.example", auth, granted).await;
        assert_eq!(opened, Ok(()));
        assert!(asked.starts_with(b"\x05\x01\x02\x01\x02me\x07hunter2\x05\x01\x00\x03"));
        let (asked, opened) = ask("https://x.example", auth, b"\x05\x00").await;
        assert!(opened.is_err() && asked == b"\x05\x01\x02");
    }

    #[async_std::test]
    async fn every_refusal_is_told() {
        for (answer, expected) in [
            (b"\x05\x00\x05\x05\x00\x01".as_slice(), "the proxy refused: connection refused"),
            (b"\x05\x00\x05\x63\x00\x01", "the proxy refused: code 99"),
            (b"\x05\xff", "the proxy does not speak SOCKS 5 or refused the way to log in"),
            (b"HTTP/1.1 400", "the proxy does not speak SOCKS 5 or refused the way to log in"),
            (b"\x05\x00\x04\x00\x00\x01", "the proxy does not speak SOCKS 5"),
        ] {
            assert_eq!(ask("https://x.example", None, answer).await.1, Err(expected.to_owned()));
        }
        assert!(ask("https://x.example", None, b"\x05").await.1.is_err());
    }
}
