//! Wire texts: event-stream blocks, response heads and chunks, as bytes.
//!
//! For tests that build byte streams by hand. A [`Script`](crate::Script) uses the same functions.

use crate::head::{Framing, Head};

/// One event-stream block: `event: name`, a `data:` line per line of `data`, a blank line.
///
/// An empty `name` leaves the `event:` line out. Line ends are LF.
///
/// ```
/// use cvm_watch_sim::wire;
///
/// assert_eq!(wire::event("state", "{}"), b"event: state\ndata: {}\n\n");
/// assert_eq!(wire::event("", "a\nb"), b"data: a\ndata: b\n\n");
/// ```
pub fn event(name: &str, data: &str) -> Vec<u8> {
    let mut text = String::with_capacity(name.len() + data.len() + 24);
    if !name.is_empty() {
        text.push_str("event: ");
        text.push_str(name);
        text.push('\n');
    }
    for line in lines(data) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into_bytes()
}

/// A comment block: a `: text` line per line of `text`, then a blank line.
pub fn comment(text: &str) -> Vec<u8> {
    let mut block = String::with_capacity(text.len() + 4);
    for line in lines(text) {
        block.push_str(": ");
        block.push_str(line);
        block.push('\n');
    }
    block.push('\n');
    block.into_bytes()
}

/// A response head with the given framing, up to and including its blank line.
///
/// `content-length` takes `length`. 1xx, 204 and 304 have no body, so they get no framing header.
pub fn head(head: &Head, framing: Framing, length: u64) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} {}\r\n", head.status, reason(head.status)).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    if has_body(head.status) {
        match framing {
            Framing::Chunked => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::ContentLength => {
                bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
            }
            Framing::UntilClose => {}
        }
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes
}

/// One chunk of a chunked body. No data gives no chunk: one of length 0 would be the [`LAST_CHUNK`].
pub fn chunk(data: &[u8]) -> Vec<u8> {
    if data.is_empty() {
        return Vec::new();
    }
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.reserve_exact(data.len() + 2);
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The chunk that ends a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Whether an answer with this status may carry a body.
pub(crate) fn has_body(status: u16) -> bool {
    !matches!(status, 100..200 | 204 | 304)
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) = text.split_once(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let crlf = text.as_bytes().get(line.len()) == Some(&b'\r');
        rest = Some(if crlf { after.strip_prefix('\n').unwrap_or(after) } else { after });
        Some(line)
    })
}

fn reason(status: u16) -> &'static str {
    match status {
        103 => "Early Hints",
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        422 => "Unprocessable Entity",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_in_data_starts_a_new_data_line() {
        assert_eq!(event("x", "a\r\nb\rc\nd\n"), b"event: x\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
        assert_eq!(event("x", ""), b"event: x\ndata: \n\n");
        assert_eq!(comment("a\n\nb"), b": a\n: \n: b\n\n");
    }

    #[test]
    fn a_head_carries_its_headers_in_order_and_its_framing() {
        let plain = Head::new(200).header("content-type", "text/event-stream").header("x-bytes", vec![0xff]);
        assert_eq!(
            head(&plain, Framing::Chunked, 0),
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-bytes: \xff\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(
            head(&Head::new(503), Framing::ContentLength, 7),
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 7\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(head(&Head::new(200), Framing::UntilClose, 7), b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        assert_eq!(head(&Head::new(204), Framing::Chunked, 0), b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    }

    #[test]
    fn a_chunk_states_its_length_in_hex_and_is_never_the_last_one() {
        assert_eq!(chunk(&[b'x'; 16]), b"10\r\nxxxxxxxxxxxxxxxx\r\n");
        assert_eq!(chunk(b""), b"");
    }
}
