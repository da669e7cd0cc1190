//! Secrets, and the one place where an echo of them is masked.

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use memchr::memmem;
use serde_json::Value;

use crate::error::ConfigError;

/// What stands in a secret's place.
pub(crate) const MASK: &str = "***";
/// Shorter values of user headers are not searched for in the server's words: `1` or `true` would
/// mask half of them.
const SHORTEST_HEADER_SECRET: usize = 6;
/// What decoding leaves of a character that was cut in the middle.
const CUT_CHARACTER: &str = "\u{fffd}";
/// As much of a secret as this, at the end of a text that was cut, is masked.
const SHORTEST_CUT: usize = 4;

/// An API key of Phala Cloud. Its `Debug` is masked, and it has no `Display`.
///
/// ```
/// use cvm_watch_core::ApiKey;
///
/// let key = ApiKey::new("phak_example")?;
/// assert_eq!(format!("{key:?}"), "ApiKey(***)");
/// assert!(ApiKey::new("phak\n").is_err());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key as the user gave it.
    ///
    /// # Errors
    ///
    /// A blank key, one with control bytes, which cannot stand in a header, and one with a space at
    /// either end. The error tells the position and that byte, nothing else of the key.
    pub fn new(key: impl Into<String>) -> Result<Self, ConfigError> {
        let key = key.into();
        if key.trim().is_empty() {
            return Err(ConfigError::new("api key", "", "must not be blank; set PHALA_CLOUD_API_KEY"));
        }
        if let Some((at, byte)) = control_byte(&key) {
            return Err(ConfigError::secret("api key", at, byte));
        }
        // Servers drop blanks at the ends of a header, so an echo of the key would not be the key.
        if let Some(at) = [0, key.len() - 1].into_iter().find(|at| key.as_bytes().get(*at) == Some(&b' ')) {
            return Err(ConfigError::new(
                "api key",
                "",
                format!("has a space at position {at}, at its end; remove it"),
            ));
        }
        Ok(Self(key))
    }

    /// The key itself. Keep it out of logs, errors and recordings.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({MASK})")
    }
}

/// The first byte of `text` that may not stand in a header value, with its position.
pub(crate) fn control_byte(text: &str) -> Option<(usize, u8)> {
    text.bytes().enumerate().find(|(_, byte)| byte.is_ascii_control())
}

/// Every secret that the server could echo, ready to be looked for.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<memmem::Finder<'static>>);

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.0.push(memmem::Finder::new(secret.as_bytes()).into_owned());
            // Where one secret holds another, the longer must go first.
            self.0.sort_by_key(|finder| core::cmp::Reverse(finder.needle().len()));
        }
    }

    pub(crate) fn add_header_value(&mut self, value: &str) {
        // Servers drop the blanks at the ends.
        let value = value.trim();
        if value.len() >= SHORTEST_HEADER_SECRET {
            self.add(value);
        }
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|finder| core::str::from_utf8(finder.needle()).ok())
    }

    /// Whether `text` can hold a secret, literally or behind escapes. A quick no is what nearly
    /// every payload gets.
    pub(crate) fn may_be_in(&self, text: &str) -> bool {
        !self.0.is_empty()
            && (memchr::memchr2(b'\\', b'%', text.as_bytes()).is_some()
                || self.0.iter().any(|finder| finder.find(text.as_bytes()).is_some()))
    }

    /// `text` with every secret in it masked: literal, JSON-escaped or percent-encoded.
    pub(crate) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut masked = Cow::Borrowed(text);
        for finder in &self.0 {
            if finder.find(masked.as_bytes()).is_some()
                && let Ok(secret) = core::str::from_utf8(finder.needle())
            {
                masked = Cow::Owned(masked.replace(secret, MASK));
            }
        }
        match self.mask_escaped(&masked) {
            Some(both) => Cow::Owned(both),
            None => masked,
        }
    }

    /// `json` with every secret in its strings masked; it stays the same JSON otherwise.
    ///
    /// Each string is masked as it reads once decoded, as the fields of an event are.
    pub(crate) fn mask_json<'a>(&self, json: &'a str) -> Cow<'a, str> {
        if !self.may_be_in(json) {
            return Cow::Borrowed(json);
        }
        let mut out = String::new();
        let mut rest = json;
        while let Some((before, string, after)) = next_string(rest) {
            out.push_str(before);
            match serde_json::from_str::<String>(string) {
                Ok(text) => match self.mask(&text) {
                    Cow::Owned(masked) => out.push_str(&Value::String(masked).to_string()),
                    Cow::Borrowed(_) => out.push_str(string),
                },
                // Half a surrogate pair: no string of ours, but JSON all the same.
                Err(_) => out.push_str(&self.mask_escaped(string).unwrap_or_else(|| string.to_owned())),
            }
            rest = after;
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// Text that may have been cut in the middle of an echo, masked: what it ends in counts as a
    /// secret if a secret begins so.
    pub(crate) fn mask_cut(&self, text: &str) -> String {
        let mut masked = self.mask(text).into_owned();
        let mut at = 0;
        while let Some(rest) = masked.get(at..).filter(|rest| !rest.is_empty()) {
            if self.texts().any(|secret| ends_in_the_middle_of(secret, rest)) {
                masked.truncate(at);
                masked.push_str(MASK);
                break;
            }
            at += unit(rest).map_or(rest.len(), |(_, length)| length);
        }
        masked
    }

    pub(crate) fn mask_in_place(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.mask(text) {
            *text = masked;
        }
    }

    fn mask_escaped(&self, text: &str) -> Option<String> {
        if !self.may_be_in(text) {
            return None;
        }
        let mut out: Option<String> = None;
        let mut kept = 0;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(length) = self.texts().find_map(|secret| written_as(secret, rest)) {
                let out = out.get_or_insert_default();
                out.push_str(text.get(kept..at).unwrap_or_default());
                out.push_str(MASK);
                at += length;
                kept = at;
            } else {
                at += unit(rest).map_or(rest.len(), |(_, length)| length);
            }
        }
        if let Some(out) = &mut out {
            out.push_str(text.get(kept..).unwrap_or_default());
        }
        out
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// How many bytes at the front of `text` write out `secret`, each character as itself, as a JSON
/// escape or percent-encoded.
fn written_as(secret: &str, text: &str) -> Option<usize> {
    let mut at = 0;
    let mut wanted = secret.bytes();
    let mut next = wanted.next();
    while let Some(byte) = next {
        let (piece, length) = unit(text.get(at..)?)?;
        let mut utf8 = [0; 4];
        let bytes: &[u8] = match &piece {
            Unit::Char(char) => char.encode_utf8(&mut utf8).as_bytes(),
            Unit::Byte(byte) => core::slice::from_ref(byte),
        };
        let mut expected = Some(byte);
        for found in bytes {
            if expected != Some(*found) {
                return None;
            }
            expected = wanted.next();
        }
        next = expected;
        at += length;
    }
    Some(at)
}

/// Whether `text` is all but the end of `secret`, at least as much of it as gives something away.
fn ends_in_the_middle_of(secret: &str, text: &str) -> bool {
    let mut wanted = secret.bytes();
    let mut rest = text;
    while !rest.is_empty() && !is_part_of_an_escape(rest) {
        if rest == CUT_CHARACTER && wanted.clone().next().is_some_and(|byte| !byte.is_ascii()) {
            break;
        }
        let Some((piece, length)) = unit(rest) else { return false };
        let mut utf8 = [0; 4];
        let bytes: &[u8] = match &piece {
            Unit::Char(char) => char.encode_utf8(&mut utf8).as_bytes(),
            Unit::Byte(byte) => core::slice::from_ref(byte),
        };
        if !bytes.iter().all(|byte| wanted.next() == Some(*byte)) {
            return false;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    secret.len() - wanted.len() >= SHORTEST_CUT
}

/// Whether this is the beginning of an escape sequence and nothing more.
fn is_part_of_an_escape(text: &str) -> bool {
    let mut bytes = text.bytes();
    match bytes.next() {
        Some(b'\\') => match bytes.next() {
            None => true,
            Some(b'u') if text.len() >= 6 => is_half_a_pair(text),
            Some(b'u') => bytes.all(|byte| byte.is_ascii_hexdigit()),
            Some(_) => false,
        },
        Some(b'%') => text.len() < 3 && bytes.all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    }
}

/// Whether this is the first of two escapes that make one character, and perhaps a part of the other.
fn is_half_a_pair(text: &str) -> bool {
    let first = text.get(2..6).and_then(hex);
    let second = text.get(6..).unwrap_or_default();
    first.is_some_and(|code| (0xd800..0xdc00).contains(&code)) && (second.is_empty() || is_part_of_an_escape(second))
}

/// What stands before the next string of a JSON text, the string with its quotes, and what follows.
fn next_string(json: &str) -> Option<(&str, &str, &str)> {
    let start = json.find('"')?;
    let (before, from) = json.split_at_checked(start)?;
    let mut bytes = from.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => {
                let (string, after) = from.split_at_checked(at + 1)?;
                return Some((before, string, after));
            }
            _ => {}
        }
    }
    None
}

enum Unit {
    Char(char),
    /// A percent-encoded byte, perhaps one of several that make a character.
    Byte(u8),
}

/// The character that `text` begins with once unescaped, and the length it takes.
fn unit(text: &str) -> Option<(Unit, usize)> {
    let first = text.chars().next()?;
    let escape = match first {
        '\\' => json_escape(text),
        '%' => text.get(1..3).and_then(hex).and_then(|byte| u8::try_from(byte).ok()).map(|byte| (Unit::Byte(byte), 3)),
        _ => None,
    };
    Some(escape.unwrap_or((Unit::Char(first), first.len_utf8())))
}

fn json_escape(text: &str) -> Option<(Unit, usize)> {
    let char = match text.as_bytes().get(1)? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = hex(text.get(2..6)?)?;
            if let Some(char) = char::from_u32(high) {
                return Some((Unit::Char(char), 6));
            }
            let low = text.get(6..12).and_then(|text| text.strip_prefix("\\u")).and_then(hex)?;
            let code = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
            return char::from_u32(code).map(|char| (Unit::Char(char), 12));
        }
        _ => return None,
    };
    Some((Unit::Char(char), 2))
}

fn hex(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Text from the server that an error will carry: masked first, then cut to `limit` characters.
pub(crate) fn masked_and_cut(secrets: &Secrets, text: &str, limit: usize) -> String {
    let masked = secrets.mask(text);
    match masked.char_indices().nth(limit) {
        Some((at, _)) => masked.get(..at).unwrap_or_default().to_owned() + "…",
        None => masked.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        all.iter().for_each(|secret| secrets.add(secret));
        secrets
    }

    #[test]
    fn an_echo_is_masked_however_it_is_written() {
        let secrets = secrets(&["ke/y\"é𝄞"]);
        for echo in [
            "ke/y\"é𝄞",
            r#"ke\/y\"é𝄞"#,
            r"\u006be\u002Fy\u0022\u00e9\ud834\udd1e",
            "ke%2Fy%22%C3%A9%F0%9D%84%9E",
            "%6b%65/y%22é%f0%9d%84%9e",
        ] {
            let said = format!("bad key «{echo}», again {echo}.");
            assert_eq!(secrets.mask(&said), "bad key «***», again ***.", "{echo}");
        }
    }

    #[test]
    fn masked_json_is_still_json() {
        let secrets = secrets(&["u0061"]);
        // An escaped `a` is no echo of the key `u0061`; a backslash and these letters are.
        assert_eq!(secrets.mask_json(r#"{"a":"\u0061"}"#), r#"{"a":"\u0061"}"#);
        assert_eq!(secrets.mask_json(r#"{"a":"\\u0061"}"#), r#"{"a":"\\***"}"#);
    }

    #[test]
    fn json_is_masked_as_it_reads_once_decoded() {
        let secrets = secrets(&["phak_1"]);
        for (json, expected) in [
            (r#"{"a":"\\u0070hak_1","b":1.50, "c":[ ]}"#, r#"{"a":"***","b":1.50, "c":[ ]}"#),
            (r#"{"phak_1":"\u0070hak_1 \" phak%5F1"}"#, r#"{"***":"*** \" ***"}"#),
            (r#"{"a":"\ud800 phak_1"}"#, r#"{"a":"\ud800 ***"}"#),
            (r#"{"a":"cut phak_1"#, r#"{"a":"cut phak_1"#),
        ] {
            assert_eq!(secrets.mask_json(json), expected);
        }
    }

    #[test]
    fn what_a_cut_leaves_of_an_echo_is_masked() {
        let secrets = secrets(&["phak_1234"]);
        for (text, expected) in [
            ("bad key phak_123", "bad key ***"),
            ("bad key phak", "bad key ***"),
            (r"bad key ph\u0061k_12\u003", "bad key ***"),
            (r"bad key phak_\", "bad key ***"),
            ("bad key phak%5F1%3", "bad key ***"),
            ("phak_1234 and phak_1234", "*** and ***"),
            ("bad key pha", "bad key pha"),
            ("bad key phak_123 ", "bad key phak_123 "),
            ("phak_1235", "phak_1235"),
            ("", ""),
        ] {
            assert_eq!(secrets.mask_cut(text), expected, "{text}");
        }
    }

    #[test]
    fn a_cut_in_the_middle_of_a_character_is_one_in_the_middle_of_an_echo() {
        let secrets = secrets(&["phak𝄞é1"]);
        for text in [
            "phak\u{fffd}",
            r"phak\ud834",
            r"phak\ud834\",
            r"phak\ud834\u",
            r"phak\uD834\udd1",
            "phak𝄞\u{fffd}",
            r"phak%f0%9d\",
        ] {
            assert_eq!(secrets.mask_cut(text), "***", "{text}");
        }
        for text in ["phak\u{fffd}.", "phak𝄞é\u{fffd}", r"phak\udd1e", r"phak\ud834\n", r"phak\ud834 "] {
            assert_eq!(secrets.mask_cut(text), text);
        }
    }

    #[test]
    fn a_header_value_is_looked_for_from_six_bytes_on() {
        let mut secrets = Secrets::default();
        secrets.add_header_value("12345");
        secrets.add_header_value(" abcdef ");
        assert_eq!(secrets.mask("12345 abcdef"), "12345 ***");
    }

    #[test]
    fn a_key_with_a_space_at_its_end_is_refused() {
        for (key, position) in [(" phak_1", 0), ("phak_1 ", 6)] {
            let error = ApiKey::new(key).unwrap_err().to_string();
            assert!(error.contains(&format!("space at position {position}")) && !error.contains("phak"), "{error}");
        }
        assert!(ApiKey::new("phak 1").is_ok());
    }

    #[test]
    fn the_longer_secret_goes_first_and_the_rest_of_the_text_stays() {
        assert_eq!(secrets(&["abc", "abcdef"]).mask("xabcdefx abc %41 \\ %"), "x***x *** %41 \\ %");
        assert_eq!(secrets(&[]).mask(r"a\u0062%"), r"a\u0062%");
    }

    #[test]
    fn masking_comes_before_cutting() {
        let cut = masked_and_cut(&secrets(&["secret"]), "my secret is out", 6);
        assert_eq!(cut, "my ***…");
    }

    #[test]
    fn a_key_with_a_line_break_is_refused_without_being_shown() {
        let error = ApiKey::new("phak_12\n34").unwrap_err().to_string();
        assert!(error.contains("api key") && error.contains("0x0a") && error.contains("position 7"), "{error}");
        assert!(!error.contains("phak"), "{error}");
        assert!(ApiKey::new(" \t").unwrap_err().to_string().contains("PHALA_CLOUD_API_KEY"));
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let shown = format!("{:?} {:?}", ApiKey::new("hunter2").unwrap(), secrets(&["hunter2"]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
