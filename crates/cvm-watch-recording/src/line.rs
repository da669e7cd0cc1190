//! The lines of a recording: one JSON object per line, in ASCII, so that no line can control a terminal.

use std::borrow::Cow;
use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cvm_watch_driver::cvm_watch_core::{
    ApiKey, AttemptId, BearerToken, CloseCause, ConfigError, Credential, Input, Policy, ResponseHead, UnixSeconds,
};
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;

/// The version of the format. It changes when older programs cannot read the new one.
pub(crate) const FORMAT: u32 = 2;
/// The beginning of an action's line.
pub(crate) const ACTION: &str = "{\"action\":";

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct First {
    /// The version of the format.
    pub(crate) recording: u32,
    /// The version of the crate that wrote it.
    pub(crate) by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fleet: Option<Fleet>,
}

/// The first line of format 1, which had one watch and times since its start. Its actions have another form, so most
/// of them differ.
#[derive(Debug, Deserialize)]
pub(crate) struct FirstOfFormat1 {
    pub(crate) start: u64,
    pub(crate) seed: u64,
    pub(crate) config: ConfigOfFormat1,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConfigOfFormat1 {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) policy: Policy,
}

/// The recording is of a fleet.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fleet {
    pub(crate) max_streams: usize,
    pub(crate) until: Until,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Until {
    All,
    Any,
}

/// One call of the core that reports something to it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reported {
    /// The time, in nanoseconds of the clock of the watch.
    pub(crate) at: u64,
    /// The member of the fleet that it concerns; `None` if it concerns all, or without a fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<u64>,
    /// Whether actions were left that had not been polled.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) undrained: bool,
    #[serde(alias = "told")]
    pub(crate) input: Report,
}

/// What was reported.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Report {
    /// A watch begins.
    Watch {
        id: String,
        seed: u64,
        /// `None` if it is the same as that of the previous watch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<Box<Policy>>,
    },
    Abort,
    Tick,
    Resumed,
    Closed {
        attempt: u64,
        cause: CloseCause,
    },
    Head {
        attempt: u64,
        status: u16,
        headers: Vec<Header>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wall: Option<u64>,
    },
    /// The credential that an attempt asked for. The same number is the same credential.
    Credential {
        attempt: u64,
        kind: Kind,
        number: usize,
    },
    /// A chunk of a body, and how much of it was taken by the first call.
    Chunk {
        attempt: u64,
        bytes: Bytes,
        taken: usize,
    },
    /// The rest of the member's last chunk.
    Rest {
        taken: usize,
    },
    Paused(bool),
    Removed,
    /// The server repeated a secret, which is redacted, so nothing can be compared from here on.
    SecretEchoed,
}

/// The kind of a credential.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    ApiKey,
    BearerToken,
}

impl Kind {
    pub(crate) fn of(credential: &Credential) -> Self {
        if let Credential::ApiKey(_) = credential { Self::ApiKey } else { Self::BearerToken }
    }

    /// A credential in place of one that is not in the recording.
    pub(crate) fn placeholder(self, number: usize) -> Result<Credential, ConfigError> {
        let text = format!("***{number}***");
        Ok(match self {
            Self::ApiKey => ApiKey::new(text)?.into(),
            Self::BearerToken => BearerToken::new(text)?.into(),
        })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: Bytes,
}

/// Bytes: as text if they are UTF-8.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bytes {
    Text(String),
    Base64(String),
    /// The number of bytes that were left out because they hold a secret.
    Omitted(usize),
}

impl Bytes {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(BASE64_STANDARD.encode(error.as_bytes())),
        }
    }

    /// Leaves the bytes out.
    pub(crate) fn omit(&mut self) {
        let length = match self {
            Self::Text(text) => text.len(),
            Self::Base64(text) => BASE64_STANDARD.decode(text).map_or(0, |bytes| bytes.len()),
            Self::Omitted(length) => *length,
        };
        *self = Self::Omitted(length);
    }

    pub(crate) fn into_vec(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Base64(text) => BASE64_STANDARD.decode(text).map_err(|error| format!("bad base64: {error}")),
            Self::Omitted(length) => Err(format!("{length} bytes are omitted")),
        }
    }
}

impl Report {
    /// The recorded form of an input; `None` if this version does not know it.
    pub(crate) fn new(input: &Input<'_>) -> Option<Self> {
        Some(match input {
            Input::Abort => Self::Abort,
            Input::Tick => Self::Tick,
            Input::Resumed => Self::Resumed,
            Input::Closed { attempt, cause } => Self::Closed { attempt: attempt.number(), cause: *cause },
            Input::Head { attempt, head, wall } => {
                let header =
                    |(name, value): (&str, &[u8])| Header { name: name.to_owned(), value: Bytes::new(value.to_vec()) };
                let headers = head.headers().map(header).collect();
                let wall = wall.map(|wall| wall.0);
                Self::Head { attempt: attempt.number(), status: head.status(), headers, wall }
            }
            _ => return None,
        })
    }
}

/// Makes a head that borrows its values from here.
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

/// One line of JSON, without a line end.
pub(crate) fn json(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Ascii);
    // Serializing plain values to memory cannot fail.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(out).unwrap_or_default()
}

/// Applies a function to each string of a line of JSON.
pub(crate) fn map_strings(line: &str, change: impl Fn(&str) -> Cow<'_, str>) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, from)) = rest.find('"').and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        let mut strings = serde_json::Deserializer::from_str(from).into_iter::<String>();
        let Some(Ok(text)) = strings.next() else { break };
        out.push_str(&json(&change(&text)));
        rest = from.get(strings.byte_offset()..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Writes strings in ASCII, and escapes `##`, which begins a command of a CI runner.
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
        let changed = map_strings(line, |text| text.replace('x', "\"").into());
        assert_eq!(changed, r#"{"a":["\"\"\"",1.50,null],"\u00e4\"":"\\\""}"#);
        assert_eq!(map_strings(line, |text| text.into()), line);
    }

    #[test]
    fn bytes_come_back_as_they_were() {
        for bytes in [&b""[..], b"text", "ä\n".as_bytes(), b"\xff\xfe", b"ph\xc3"] {
            let line = json(&Bytes::new(bytes.to_vec()));
            assert_eq!(serde_json::from_str::<Bytes>(&line).unwrap().into_vec().unwrap(), bytes);
        }
        assert!(Bytes::Base64("?".to_owned()).into_vec().unwrap_err().contains("base64"));
        assert!(Bytes::Omitted(7).into_vec().unwrap_err().contains("omitted"));
    }
}
