//! Redacts secrets in text that a server sent. No other module does.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use memchr::memmem;
use serde_json::Value;

use crate::json_string::string_length;

/// The placeholder for a secret.
pub(crate) const PLACEHOLDER: &str = "***";
/// A shorter secret is redacted only where it stands alone, since it may be part of a common word. A shorter value of
/// the caller's headers is not redacted: `1` or `true` are common in any text.
const SHORTEST_IN_WORDS: usize = 6;
/// What decoding produces for a character that was cut in the middle.
const CUT_CHARACTER: &str = "\u{fffd}";
/// The shortest beginning of a secret, in bytes, that is redacted at the end of a truncated text.
const SHORTEST_CUT: usize = 4;

/// Redacts secrets in text that a server sent: each becomes `***`, whether it is written literally, with JSON escapes
/// or percent-encoded.
///
/// ```
/// use cvm_watch_core::{ApiKey, Policy};
///
/// let policy = Policy::builder("running").credential(ApiKey::new("phak_1/2")?).build()?;
/// assert_eq!(policy.redactor().redact(r"bad key phak_1\/2"), "bad key ***");
/// assert_eq!(policy.redactor().redact_cut("bad key phak_"), "bad key ***");
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Redactor(Vec<memmem::Finder<'static>>);

impl Redactor {
    pub(crate) fn add(&mut self, secret: &str) {
        // A policy that was read from JSON holds the placeholder instead of its secrets.
        if !secret.is_empty() && secret != PLACEHOLDER {
            self.0.push(memmem::Finder::new(secret.as_bytes()).into_owned());
            // If one secret contains another, the longer one must be replaced first.
            self.0.sort_by_key(|finder| core::cmp::Reverse(finder.needle().len()));
        }
    }

    pub(crate) fn add_header_value(&mut self, value: &str) {
        // Servers trim header values.
        let value = value.trim();
        if value.len() >= SHORTEST_IN_WORDS {
            self.add(value);
        }
    }

    /// Adds the secrets of another redactor.
    pub fn extend(&mut self, other: &Self) {
        let new = other.texts().filter(|secret| self.texts().all(|known| known != *secret)).collect::<Vec<_>>();
        new.into_iter().for_each(|secret| self.add(secret));
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|finder| core::str::from_utf8(finder.needle()).ok())
    }

    /// Returns whether `text` may hold a secret, literally or escaped. A quick check that excludes nearly every
    /// payload.
    pub(crate) fn may_be_in(&self, text: &str) -> bool {
        !self.0.is_empty()
            && (memchr::memchr2(b'\\', b'%', text.as_bytes()).is_some()
                || self.0.iter().any(|finder| finder.find(text.as_bytes()).is_some()))
    }

    /// Returns the text with each secret replaced; borrowed if it holds none.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut redacted = Cow::Borrowed(text);
        for finder in &self.0 {
            if finder.find(redacted.as_bytes()).is_some()
                && let Ok(secret) = core::str::from_utf8(finder.needle())
            {
                redacted = Cow::Owned(replaced(&redacted, secret));
            }
        }
        match self.redact_escaped(&redacted) {
            Some(both) => Cow::Owned(both),
            None => redacted,
        }
    }

    /// Returns JSON with each secret in its string values replaced. Strings are compared once decoded, like the
    /// fields of an event. Names stay as they are: a program that reads the JSON looks for them.
    pub(crate) fn redact_json<'a>(&self, json: &'a str) -> Cow<'a, str> {
        if !self.may_be_in(json) {
            return Cow::Borrowed(json);
        }
        let mut out = String::new();
        let mut rest = json;
        while let Some((before, string, after)) = next_string(rest) {
            out.push_str(before);
            rest = after;
            if after.trim_start().starts_with(':') {
                out.push_str(string);
                continue;
            }
            match serde_json::from_str::<String>(string) {
                Ok(text) => match self.redact(&text) {
                    Cow::Owned(redacted) => out.push_str(&Value::String(redacted).to_string()),
                    Cow::Borrowed(_) => out.push_str(string),
                },
                // Half a surrogate pair: valid JSON that a Rust string cannot hold.
                Err(_) => out.push_str(&self.redact_escaped(string).unwrap_or_else(|| string.to_owned())),
            }
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// Redacts text that may have been cut in the middle of a secret: its end is replaced too if it is the beginning
    /// of a secret, at least 4 bytes of it.
    pub fn redact_cut(&self, text: &str) -> String {
        let mut redacted = self.redact(text).into_owned();
        let mut at = 0;
        while let Some(rest) = redacted.get(at..).filter(|rest| !rest.is_empty()) {
            if self.texts().any(|secret| ends_in_the_middle_of(secret, rest)) {
                redacted.truncate(at);
                redacted.push_str(PLACEHOLDER);
                break;
            }
            at += unit(rest).map_or(rest.len(), |(_, length)| length);
        }
        redacted
    }

    pub(crate) fn redact_in_place(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }

    fn redact_escaped(&self, text: &str) -> Option<String> {
        if !self.may_be_in(text) {
            return None;
        }
        let mut out: Option<String> = None;
        let mut kept = 0;
        let mut at = 0;
        let mut is_in_word = false;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let may_begin = |secret: &&str| !is_in_word || secret.len() >= SHORTEST_IN_WORDS;
            if let Some(length) = self.texts().filter(may_begin).find_map(|secret| written_as(secret, rest)) {
                let out = out.get_or_insert_default();
                out.push_str(text.get(kept..at).unwrap_or_default());
                out.push_str(PLACEHOLDER);
                at += length;
                kept = at;
                is_in_word = false;
            } else if let Some((unit, length)) = unit(rest) {
                at += length;
                is_in_word = unit.is_of_a_word();
            }
        }
        if let Some(out) = &mut out {
            out.push_str(text.get(kept..).unwrap_or_default());
        }
        out
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({})", self.0.len())
    }
}

/// Returns how many bytes at the start of `text` spell `secret`, each character literally, as a JSON escape or
/// percent-encoded.
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
    let is_followed = || text.get(at..).and_then(unit).is_some_and(|(unit, _)| unit.is_of_a_word());
    (secret.len() >= SHORTEST_IN_WORDS || !is_followed()).then_some(at)
}

/// The text with a secret replaced wherever it is written as it is.
fn replaced(text: &str, secret: &str) -> String {
    if secret.len() >= SHORTEST_IN_WORDS {
        return text.replace(secret, PLACEHOLDER);
    }
    let mut out = String::new();
    let mut kept = 0;
    for (at, _) in text.match_indices(secret) {
        let (before, from) = text.split_at_checked(at).unwrap_or((text, ""));
        let after = from.get(secret.len()..).unwrap_or_default();
        if !before.ends_with(is_of_a_word) && !after.starts_with(is_of_a_word) {
            out.push_str(text.get(kept..at).unwrap_or_default());
            out.push_str(PLACEHOLDER);
            kept = at + secret.len();
        }
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}

fn is_of_a_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Returns whether `text` spells the beginning of `secret`, long enough to be redacted.
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

/// Returns whether this is an incomplete escape sequence.
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

/// Returns whether this is the first of two escapes that form one character, with any part of the second.
fn is_half_a_pair(text: &str) -> bool {
    let first = text.get(2..6).and_then(hex);
    let second = text.get(6..).unwrap_or_default();
    first.is_some_and(|code| (0xd800..0xdc00).contains(&code)) && (second.is_empty() || is_part_of_an_escape(second))
}

/// Splits JSON into the text before the next string, the string with its quotes, and the rest.
fn next_string(json: &str) -> Option<(&str, &str, &str)> {
    let (before, from) = json.split_at_checked(json.find('"')?)?;
    let (string, after) = from.split_at_checked(string_length(from.as_bytes())?)?;
    Some((before, string, after))
}

enum Unit {
    Char(char),
    /// A percent-encoded byte, possibly one of several that form a character.
    Byte(u8),
}

impl Unit {
    fn is_of_a_word(&self) -> bool {
        match self {
            Self::Char(char) => is_of_a_word(*char),
            // Of a character outside of ASCII; most of them are letters.
            Self::Byte(byte) => !byte.is_ascii() || is_of_a_word(char::from(*byte)),
        }
    }
}

/// Returns the first character of `text` once unescaped, and its length in `text`.
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

/// Redacts server text for an error, then cuts it to `limit` characters.
pub(crate) fn redacted_and_cut(secrets: &Redactor, text: &str, limit: usize) -> String {
    let redacted = secrets.redact(text);
    match redacted.char_indices().nth(limit) {
        Some((at, _)) => redacted.get(..at).unwrap_or_default().to_owned() + "…",
        None => redacted.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn secrets(all: &[&str]) -> Redactor {
        let mut secrets = Redactor::default();
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
            assert_eq!(secrets.redact(&said), "bad key «***», again ***.", "{echo}");
        }
    }

    #[test]
    fn masked_json_is_still_json() {
        let secrets = secrets(&["u0061"]);
        // An escaped `a` is no echo of the key `u0061`; a backslash and these letters are.
        assert_eq!(secrets.redact_json(r#"{"a":"\u0061"}"#), r#"{"a":"\u0061"}"#);
        assert_eq!(secrets.redact_json(r#"{"a":"\\u0061"}"#), r#"{"a":"\\***"}"#);
    }

    #[test]
    fn json_is_masked_as_it_reads_once_decoded() {
        let secrets = secrets(&["phak_1"]);
        for (json, expected) in [
            (r#"{"a":"\\u0070hak_1","b":1.50, "c":[ ]}"#, r#"{"a":"***","b":1.50, "c":[ ]}"#),
            (r#"{"phak_1" : "\u0070hak_1 \" phak%5F1"}"#, r#"{"phak_1" : "*** \" ***"}"#),
            (r#"["phak_1",{"a":{"phak_1":["phak_1"]}}]"#, r#"["***",{"a":{"phak_1":["***"]}}]"#),
            (r#"{"a":"\ud800 phak_1"}"#, r#"{"a":"\ud800 ***"}"#),
            (r#"{"a":"cut phak_1"#, r#"{"a":"cut phak_1"#),
        ] {
            assert_eq!(secrets.redact_json(json), expected);
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
            assert_eq!(secrets.redact_cut(text), expected, "{text}");
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
            assert_eq!(secrets.redact_cut(text), "***", "{text}");
        }
        for text in ["phak\u{fffd}.", "phak𝄞é\u{fffd}", r"phak\udd1e", r"phak\ud834\n", r"phak\ud834 "] {
            assert_eq!(secrets.redact_cut(text), text);
        }
    }

    #[test]
    fn a_header_value_is_looked_for_from_six_bytes_on() {
        let mut secrets = Redactor::default();
        secrets.add_header_value("12345");
        secrets.add_header_value(" abcdef ");
        assert_eq!(secrets.redact("12345 abcdef"), "12345 ***");
    }

    #[test]
    fn a_short_secret_is_redacted_only_where_it_stands_alone() {
        let secrets = secrets(&["run"]);
        for (text, expected) in [
            ("running", "running"),
            ("rerun", "rerun"),
            ("run_1", "run_1"),
            ("bad key run, or \"run\"", "bad key ***, or \"***\""),
            ("run", "***"),
            (r"a\nrun\n", r"a\n***\n"),
            (r"\u0072un\u0061 r%75n %72unning", r"\u0072un\u0061 *** %72unning"),
            ("éruné", "éruné"),
        ] {
            assert_eq!(secrets.redact(text), expected, "{text}");
        }
        assert_eq!(secrets.redact_json(r#"{"status":"running","run":"run"}"#), r#"{"status":"running","run":"***"}"#);
    }

    #[test]
    fn the_longer_secret_goes_first_and_the_rest_of_the_text_stays() {
        assert_eq!(secrets(&["abc", "abcdef"]).redact("xabcdefx abc %41 \\ %"), "x***x *** %41 \\ %");
        assert_eq!(secrets(&[]).redact(r"a\u0062%"), r"a\u0062%");
    }

    #[test]
    fn masking_comes_before_cutting() {
        let cut = redacted_and_cut(&secrets(&["secret"]), "my secret is out", 6);
        assert_eq!(cut, "my ***…");
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let shown = format!("{:?}", secrets(&["hunter2"]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
