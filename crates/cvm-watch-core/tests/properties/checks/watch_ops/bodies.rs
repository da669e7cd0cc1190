//! What a server may send: heads, pieces of streams, bodies of errors, close causes.

use cvm_watch_core::{CloseCause, TlsFault};

use crate::checks::answer::Head;
use crate::checks::choices::Choices;

/// Pieces of streams, whole events and parts of lines.
const PIECES: &[&[u8]] = &[
    b"event: state\ndata: {\"status\":\"running\"}\n\n",
    b"event: state\ndata: {\"status\":\"RUNNING\",\"boot_progress\":\"done\"}\n\n",
    b"event: state\ndata: {\"status\":\"starting\",\"name\":\"n\",\"new\":[1]}\n\n",
    b"event: state\ndata: {\"status\":\"stopped\",\"boot_error\":\"\"}\n\n",
    b"event: complete\ndata: {\"status\":\"running\",\"target\":\"running\",\"elapsed\":1.5}\n\n",
    b"event: complete\ndata: {\"status\":\"Stopped\"}\n\n",
    b"event: complete\ndata: {\"status\":\"error\"}\n\n",
    b"event: timeout\ndata: {\"error\":\"too long\",\"target\":\"running\"}\n\n",
    b"event: timeout\ndata: ?\n\n",
    b"event: error\ndata: {\"error\":\"poll\",\"message\":\"no luck\"}\n\n",
    b"event: error\ndata: {\"error\":\"poll\",\"message\":\"\"}\n\n",
    b"event: error\ndata: {}\n\n",
    b"event: error\ndata: words\n\n",
    b"event: error\ndata\n\n",
    b"event: note\ndata: 1\n\n",
    b"data: no name\n\n",
    b"event: State\ndata: {\"status\":\"running\"}\n\n",
    b"event: state\ndata: {\"status\":7}\n\n",
    b"event: state\ndata: [\"running\"]\n\n",
    b"event: state\ndata: {\"status\":\"run",
    b"ning\"}\n\n",
    b"event: complete\ndata: {}\n\n",
    b": beat\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"id: 7\n",
    b"id: 8\n\n",
    b"id\n\n",
    b"id: a\tb\n\n",
    b"id: \0\n\n",
    b"id: \xff\n\n",
    b"retry: 0\n",
    b"retry: 20000\n\n",
    b"retry: 99999999999999999999999\n",
    b"\xef\xbb\xbf",
    b"\xef\xbb",
    b"event: state\r\ndata: {\"status\":\r\ndata: \"running\"}\r\n\r\n",
    b"data: 0123456789012345678901234567890123456789\n",
    b"event: state\ndata: {\"status\":\"error\"}\n\n",
    b"event: state\ndata: {\"status\":\"starting\",\"boot_error\":\"no disk\"}\n\n",
    b"event: state\ndata: {\"status\":\"starting\",\"boot_error\":\"no keys\",\"boot_progress\":\"booting\"}\n\n",
    b"event: state\ndata: {\"status\":\"running\",\"boot_progress\":\"booting\"}\n\n",
    b"event: state\ndata: {\"status\":\"running\",\"boot_error\":\"no disk\"}\n\n",
    b"event: state\ndata: {\"status\":\"updating\",\"boot_error\":\"no disk\",\"boot_progress\":\"done\"}\n\n",
];

const ERROR_BODIES: &[&[u8]] = &[
    b"busy",
    b" now",
    b"{\"detail\":\"gone\"}",
    b"{\"error_code\":\"ERR-03-001\",\"message\":\"final\"}",
    b"{\"detail\":{\"message\":\"inner\",\"code\":\"c\"}}",
    b"<html><title>502 Bad</title>",
    b"{\"message\":\"cut",
    b"",
];

const STATUSES: &[u16] =
    &[503, 404, 200, 409, 429, 401, 302, 204, 500, 408, 425, 422, 599, 600, 100, 0, 403, 201, 307, 65535];

pub fn stream_head() -> Head {
    let content_type = ("Content-Type".into(), b"text/event-stream; charset=utf-8".to_vec());
    Head { status: 200, headers: [content_type].into(), wall: None }
}

pub fn head(choices: &mut Choices<'_>) -> Head {
    const HEADERS: &[(&str, &[u8])] = &[
        ("content-type", b"text/event-stream"),
        ("content-type", b"text/html"),
        ("content-encoding", b"gzip"),
        ("content-encoding", b"identity"),
        ("retry-after", b"7"),
        ("retry-after", b"9999"),
        ("Retry-After", b"Sun, 09 Sep 2001 01:47:40 GMT"),
        ("Date", b"Sun, 09 Sep 2001 01:47:10 GMT"),
        ("location", b"https://else.example/"),
        ("x-request-id", b"r-1"),
    ];
    let status = choices.pick(STATUSES);
    let headers = (0..choices.below(4)).map(|_| choices.pick(HEADERS)).map(|(name, value)| (name.into(), value.into()));
    let headers = headers.collect();
    Head { status, headers, wall: choices.flag().then_some(1_000_000_000) }
}

/// A few pieces in a row, or raw bytes.
pub fn bytes(choices: &mut Choices<'_>, of_an_error: bool) -> Vec<u8> {
    match choices.below(16) {
        0 => choices.bytes().into(),
        // The limits of an error body and of an id.
        1 if of_an_error => vec![b'x'; (64 << 10) - 1],
        1 => [b"id: ".as_slice(), &[b'x'; 1025][choices.below(3)..], b"\n\n"].concat(),
        count if of_an_error => (0..count.min(2)).flat_map(|_| choices.pick(ERROR_BODIES)).copied().collect(),
        count => (0..count.min(4)).flat_map(|_| choices.pick(PIECES)).copied().collect(),
    }
}

pub fn cause(choices: &mut Choices<'_>) -> CloseCause {
    choices.pick(&[
        CloseCause::Ended,
        CloseCause::Reset,
        CloseCause::Truncated,
        CloseCause::Refused,
        CloseCause::Dns,
        CloseCause::HostUnreachable,
        CloseCause::Proxy,
        CloseCause::NotHttp,
        CloseCause::HeadTooLarge,
        CloseCause::Other,
        CloseCause::Tls(TlsFault::Other),
        CloseCause::Tls(TlsFault::Certificate),
        CloseCause::Tls(TlsFault::HostName),
        CloseCause::Tls(TlsFault::Authority),
        CloseCause::ProxyAuthentication,
    ])
}
