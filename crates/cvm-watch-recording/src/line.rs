//! The lines of a recording: one object of JSON each, in ASCII, so that nothing in one can act on a
//! terminal.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cvm_watch_driver::core::{AttemptId, CloseCause, Input, ResponseHead, TlsFault, UnixSeconds};
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;

use crate::parameters::Parameters;

/// The version of the format. It changes when a program that reads the old one cannot read the new.
pub(crate) const FORMAT: u32 = 1;
/// What the line of an action begins with.
pub(crate) const ACTION: &str = "{\"action\":";

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct First {
    /// The version of the format.
    pub(crate) recording: u32,
    /// The version of the crate that wrote it.
    pub(crate) by: String,
    /// When the watch began, in nanoseconds of its clock.
    pub(crate) start: u64,
    pub(crate) seed: u64,
    #[serde(default)]
    pub(crate) permits: bool,
    pub(crate) config: Parameters,
}

/// One call of the core that tells it something.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    /// Nanoseconds since the start.
    pub(crate) at: u64,
    /// Whether there were actions left that nobody had asked for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) undrained: bool,
    pub(crate) told: What,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum What {
    Abort,
    Tick,
    Resumed,
    Permit,
    Yield {
        attempt: u64,
    },
    Closed {
        attempt: u64,
        cause: String,
    },
    Head {
        attempt: u64,
        status: u16,
        headers: Vec<Header>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wall: Option<u64>,
    },
    /// A chunk of a body, and how much of it was taken at once.
    Chunk {
        attempt: u64,
        bytes: Bytes,
        taken: usize,
    },
    /// What was left of the last chunk.
    Rest {
        taken: usize,
    },
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    name: String,
    value: Bytes,
}

/// Bytes: as text where they are UTF-8.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bytes {
    Text(String),
    Base64(String),
}

impl Bytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(BASE64_STANDARD.encode(error.as_bytes())),
        }
    }

    pub(crate) fn into_vec(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Base64(text) => BASE64_STANDARD.decode(text).map_err(|error| format!("bad base64: {error}")),
        }
    }
}

impl What {
    /// What stands for an input, if it is known here; `replace` puts stand-ins into a header's value.
    pub(crate) fn new(input: &Input<'_>, replace: impl Fn(&mut [u8])) -> Option<Self> {
        Some(match input {
            Input::Abort => Self::Abort,
            Input::Tick => Self::Tick,
            Input::Resumed => Self::Resumed,
            Input::Permit => Self::Permit,
            Input::Yield { attempt } => Self::Yield { attempt: attempt.number() },
            Input::Closed { attempt, cause } => {
                Self::Closed { attempt: attempt.number(), cause: cause_name(*cause).to_owned() }
            }
            Input::Head { attempt, head, wall } => {
                let header = |(name, value): (&str, &[u8])| {
                    let mut value = value.to_vec();
                    replace(&mut value);
                    Header { name: name.to_owned(), value: Bytes::new(value) }
                };
                let headers = head.headers().map(header).collect();
                let wall = wall.map(|wall| wall.0);
                Self::Head { attempt: attempt.number(), status: head.status(), headers, wall }
            }
            _ => return None,
        })
    }
}

/// A head whose values live here.
pub(crate) struct OwnedHead {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
}

impl OwnedHead {
    pub(crate) fn new(status: u16, headers: Vec<Header>) -> Result<Self, String> {
        let headers = headers
            .into_iter()
            .map(|header| Ok((header.name, header.value.into_vec()?)))
            .collect::<Result<_, String>>()?;
        Ok(Self { status, headers })
    }

    pub(crate) fn input(&self, attempt: u64, wall: Option<u64>) -> Input<'_> {
        let mut head = ResponseHead::new(self.status);
        for (name, value) in &self.headers {
            head.header(name, value);
        }
        Input::Head { attempt: AttemptId::from_number(attempt), head, wall: wall.map(UnixSeconds) }
    }
}

const CAUSES: [(CloseCause, &str); 15] = [
    (CloseCause::Dns, "dns"),
    (CloseCause::Refused, "refused"),
    (CloseCause::Reset, "reset"),
    (CloseCause::HostUnreachable, "unreachable"),
    (CloseCause::Proxy, "proxy"),
    (CloseCause::ProxyAuthentication, "proxy_authentication"),
    (CloseCause::Tls(TlsFault::Certificate), "tls_certificate"),
    (CloseCause::Tls(TlsFault::HostName), "tls_host_name"),
    (CloseCause::Tls(TlsFault::Authority), "tls_authority"),
    (CloseCause::Tls(TlsFault::Other), "tls"),
    (CloseCause::NotHttp, "not_http"),
    (CloseCause::HeadTooLarge, "head_too_large"),
    (CloseCause::Truncated, "truncated"),
    (CloseCause::Ended, "ended"),
    (CloseCause::Other, "other"),
];

fn cause_name(cause: CloseCause) -> &'static str {
    CAUSES.iter().find(|(known, _)| *known == cause).map_or("other", |(_, name)| name)
}

pub(crate) fn cause(name: &str) -> Result<CloseCause, String> {
    let known = CAUSES.iter().find(|(_, known)| *known == name).map(|(cause, _)| *cause);
    known.ok_or_else(|| {
        let names: Vec<_> = CAUSES.iter().map(|(_, name)| *name).collect();
        format!("the cause \"{}\" is none of {}", name.escape_debug(), names.join(", "))
    })
}

/// One line of JSON, without its end.
pub(crate) fn json(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Ascii);
    // Only text, numbers and the like are written, to memory: that cannot fail.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(out).unwrap_or_default()
}

/// A line of JSON with each string in it changed.
pub(crate) fn map_strings(line: &str, change: impl Fn(&mut [u8])) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, from)) = rest.find('"').and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        let mut strings = serde_json::Deserializer::from_str(from).into_iter::<String>();
        let Some(Ok(text)) = strings.next() else { break };
        let mut bytes = text.into_bytes();
        change(&mut bytes);
        out.push_str(&json(&String::from_utf8_lossy(&bytes)));
        rest = from.get(strings.byte_offset()..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Writes strings in ASCII, and breaks up `##`, with which a command of a CI runner begins.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        let mut previous = '\0';
        let mut kept = 0;
        for (at, char) in fragment.char_indices() {
            if !(char.is_ascii() && char != '\u{7f}') || (char == '#' && previous == '#') {
                to.write_all(fragment.get(kept..at).unwrap_or_default().as_bytes())?;
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(to, "\\u{unit:04x}")?;
                }
                kept = at + char.len_utf8();
            }
            previous = char;
        }
        to.write_all(fragment.get(kept..).unwrap_or_default().as_bytes())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_ascii_and_means_the_same() {
        for text in ["ä😀\u{9b}2J\u{202e}\u{7f}", "##[error]", "###", "a\"b\\c\n\r\t\0", "plain"] {
            let line = json(&text);
            assert!(line.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && !line.contains("##"), "{line}");
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }

    #[test]
    fn each_string_of_a_line_is_changed_and_nothing_else() {
        let line = r#"{"a":["x\"x",1.50,null],"\u00e4x":"\\x"}"#;
        let changed = map_strings(line, |text| {
            text.iter_mut().filter(|byte| **byte == b'x').for_each(|byte| *byte = b'"');
        });
        assert_eq!(changed, r#"{"a":["\"\"\"",1.50,null],"\u00e4\"":"\\\""}"#);
        assert_eq!(map_strings(line, |_| {}), line);
    }

    #[test]
    fn bytes_come_back_as_they_were() {
        for bytes in [&b""[..], b"text", "ä\n".as_bytes(), b"\xff\xfe", b"ph\xc3"] {
            let line = json(&Bytes::new(bytes.to_vec()));
            assert_eq!(serde_json::from_str::<Bytes>(&line).unwrap().into_vec().unwrap(), bytes);
        }
        assert!(Bytes::Base64("?".to_owned()).into_vec().unwrap_err().contains("base64"));
    }

    #[test]
    fn each_cause_has_a_name_of_its_own() {
        for (known, name) in CAUSES {
            assert_eq!((cause_name(known), cause(name)), (name, Ok(known)));
        }
        assert!(cause("x").unwrap_err().contains("is none of dns, refused"));
    }
}
