//! Tunnels through a SOCKS 5 proxy (RFC 1928 and 1929), which looks up names itself.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Poll, ready};

use cvm_watch_driver::BaseUrl;
use hyper::rt::ReadBuf;

use crate::proxy::{Login, Refusal};
use crate::stream::Stream;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

/// Requests a tunnel to `destination` from the proxy at the other end of `stream`.
pub(crate) async fn open<S: Stream>(
    stream: &mut S,
    destination: &BaseUrl,
    login: Option<&Login>,
) -> Result<(), Refusal> {
    // A proxy may accept a client with credentials without a login.
    let methods: &[u8] = if login.is_some() { &[VERSION, 2, NO_LOGIN, PASSWORD] } else { &[VERSION, 1, NO_LOGIN] };
    send(stream, methods).await?;
    match (receive(stream).await?, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some(login)) => {
            let mut message = vec![1];
            push_text(&mut message, &login.user)?;
            push_text(&mut message, &login.password)?;
            send(stream, &message).await?;
            let [_, status] = receive(stream).await?;
            if status != 0 {
                return Err(Refusal::login("refused the user name or the password"));
            }
        }
        ([VERSION, NO_METHOD], Some(_)) => return Err(Refusal::login("does not take a user name and a password")),
        ([VERSION, NO_METHOD | PASSWORD], None) => return Err(Refusal::login("requires a user name and a password")),
        _ => return Err(not_socks()),
    }
    send(stream, &request(destination)?).await?;
    let [version, reply, _, kind] = receive(stream).await?;
    if version != VERSION {
        return Err(not_socks());
    }
    if reply != 0 {
        return Err(Refusal::new(format!("refused the tunnel: {}", reason(reply))));
    }
    // The address and port from which the proxy connects are not needed.
    let length = match kind {
        1 => 4,
        4 => 16,
        _ => usize::from(receive::<_, 1>(stream).await?[0]),
    };
    receive_into(stream, &mut vec![0; length + 2]).await?;
    Ok(())
}

/// The proxy's answer is not valid SOCKS 5.
fn not_socks() -> Refusal {
    Refusal::new("did not answer in SOCKS 5")
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::because("gave no valid answer", error)
    }
}

fn request(destination: &BaseUrl) -> io::Result<Vec<u8>> {
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
    Ok(request)
}

/// Appends the length as one byte, then the text.
fn push_text(message: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let problem = "SOCKS 5 carries no text of over 255 bytes";
    message.push(u8::try_from(text.len()).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, problem))?);
    message.extend(text.bytes());
    Ok(())
}

async fn send<S: Stream>(stream: &mut S, mut bytes: &[u8]) -> io::Result<()> {
    poll_fn(|cx| {
        while !bytes.is_empty() {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Pin::new(&mut *stream).poll_flush(cx)
    })
    .await
}

async fn receive<S: Stream, const N: usize>(stream: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    receive_into(stream, &mut bytes).await?;
    Ok(bytes)
}

async fn receive_into<S: Stream>(stream: &mut S, bytes: &mut [u8]) -> io::Result<()> {
    let mut buffer = ReadBuf::new(bytes);
    poll_fn(|cx| {
        loop {
            let before = buffer.filled().len();
            let unfilled = buffer.unfilled();
            if unfilled.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut *stream).poll_read(cx, unfilled))?;
            if buffer.filled().len() == before {
                let problem = "the proxy closed the connection";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem)));
            }
        }
    })
    .await
}

fn reason(reply: u8) -> String {
    let known = match reply {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => return format!("code {reply}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scripted, block_on};

    fn ask(base: &str, login: Option<(&str, &str)>, answer: &[u8]) -> (Vec<u8>, Result<(), String>) {
        let mut stream = Scripted::new(answer);
        let login = login.map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() });
        let opened = block_on(open(&mut stream, &BaseUrl::parse(base).unwrap(), login.as_ref()));
        let written = stream.written.lock().unwrap().clone();
        (written, opened.map_err(|refusal| refusal.to_string()))
    }

    #[test]
    fn names_and_addresses_are_sent_as_the_standard_has_them() {
        let granted = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80];
        for (base, expected) in [
            ("https://x.example", b"\x05\x01\x00\x05\x01\x00\x03\x09x.example\x01\xbb".as_slice()),
            ("http://10.0.0.1:81", b"\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x51"),
            (
                "http://[2001:db8::1]:81",
                b"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x51",
            ),
        ] {
            assert_eq!(ask(base, None, &granted), (expected.to_vec(), Ok(())), "{base}");
        }
    }

    #[test]
    fn the_password_is_sent_only_when_the_proxy_asks_for_it() {
        let login = Some(("me", "hunter2"));
        let granted = b"\x05\x02\x01\x00\x05\x00\x00\x03\x04from\x00\x50";
        let (asked, opened) = ask("https://x.example", login, granted);
        assert_eq!(opened, Ok(()));
        assert!(asked.starts_with(b"\x05\x02\x00\x02\x01\x02me\x07hunter2\x05\x01\x00\x03"));
        let (asked, opened) = ask("https://x.example", login, b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0");
        assert_eq!(opened, Ok(()));
        assert!(asked.starts_with(b"\x05\x02\x00\x02\x05\x01\x00\x03"));
    }

    #[test]
    fn the_address_in_the_reply_may_be_of_any_kind() {
        for bound in
            [b"\x01\x7f\0\0\x01".as_slice(), &[[4].as_slice(), &[0; 16]].concat(), b"\x03\x09localhost", b"\x03\x01a"]
        {
            let answer = [b"\x05\x00\x05\x00\x00", bound, b"\x00\x50"].concat();
            assert_eq!(ask("https://x.example", None, &answer).1, Ok(()));
            assert!(ask("https://x.example", None, &answer[..answer.len() - 1]).1.is_err());
        }
    }

    #[test]
    fn each_refusal_has_its_own_message() {
        let login = Some(("me", "hunter2"));
        for (login, answer, expected) in [
            (None, b"\x05\x00\x05\x05\x00\x01".as_slice(), "refused the tunnel: connection refused"),
            (None, b"\x05\x00\x05\x63\x00\x01", "refused the tunnel: code 99"),
            (None, b"\x05\xff", "requires a user name and a password"),
            (login, b"\x05\xff", "does not take a user name and a password"),
            (login, b"\x05\x02\x01\x01", "refused the user name or the password"),
            (None, b"HTTP/1.1 400", "did not answer in SOCKS 5"),
            (None, b"\x05\x00\x04\x00\x00\x01", "did not answer in SOCKS 5"),
            (None, b"\x05", "gave no valid answer"),
        ] {
            assert_eq!(ask("https://x.example", login, answer).1, Err(expected.to_owned()));
        }
        let messages: std::collections::BTreeSet<_> = (1..=9).map(reason).collect();
        assert_eq!(messages.len(), 9);
    }
}
