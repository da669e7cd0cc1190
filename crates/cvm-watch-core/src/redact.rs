//! Redacts secrets in text that a server sent. No other module does.

mod levels;
mod secret;

use alloc::borrow::{Cow, ToOwned};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use levels::{Levels, without_cut_escape};
use secret::{Secret, is_of_base64};
use serde_json::Value;

use crate::json_string::string_length;

/// The placeholder for a secret.
pub(crate) const PLACEHOLDER: &str = "***";
/// A shorter value of the caller's headers is not redacted: `1` or `true` are common in any text.
const SHORTEST_HEADER_SECRET: usize = 6;
/// How much of a text is decoded at a time.
const WINDOW: usize = 64 << 10;
/// The most bytes that an escaped byte takes, of JSON escapes that were escaped again.
const LONGEST_ESCAPED_BYTE: usize = 36;

/// Redacts secrets in text that a server sent: each becomes `***`.
///
/// A secret is found literally, with JSON escapes, percent-encoded or as HTML entities, also encoded several times, and in
/// base64, base64url and hex. A secret under 6 bytes is redacted only where it is a separate word. The time is linear in
/// the length of the text, for any text.
///
/// ```
/// use cvm_watch_core::{ApiKey, Policy};
///
/// let policy = Policy::builder("running").credential(ApiKey::new("phak_1/2")?).build()?;
/// assert_eq!(policy.redactor().redact(r"bad key phak_1\/2"), "bad key ***");
/// assert_eq!(policy.redactor().redact("bad key phak_1%252F2 or cGhha18xLzI="), "bad key *** or ***");
/// assert_eq!(policy.redactor().redact_cut("bad key phak_"), "bad key ***");
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct Redactor(Vec<Secret>);

impl Redactor {
    /// Adds a secret.
    pub fn add(&mut self, secret: &str) {
        // A policy that was read from JSON holds the placeholder instead of its secrets.
        if !secret.is_empty() && secret != PLACEHOLDER {
            self.0.push(Secret::new(secret));
        }
    }

    pub(crate) fn add_header_value(&mut self, value: &str) {
        // Servers drop the blanks at the ends.
        let value = value.trim();
        if value.len() >= SHORTEST_HEADER_SECRET {
            self.add(value);
        }
    }

    /// Redacts the secrets of another redactor too.
    pub fn extend(&mut self, other: &Self) {
        let is_known = |new: &&Secret| self.0.iter().any(|known| known.text() == new.text());
        let new = other.0.iter().filter(|secret| !is_known(secret)).cloned().collect::<Vec<_>>();
        self.0.extend(new);
    }

    /// Whether `text` can hold a secret, literally, behind escapes or in another alphabet. A quick no is what nearly
    /// every payload gets.
    pub(crate) fn may_be_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        !self.0.is_empty()
            && !text.is_empty()
            && (memchr::memchr3(b'\\', b'%', b'&', text).is_some()
                || self.0.iter().any(|secret| secret.is_in(text))
                || self.0.iter().filter_map(Secret::shortest_encoded).min().is_some_and(|length| has_run(text, length)))
    }

    /// The text with each secret replaced; borrowed if there is none in it.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.may_be_in(text) {
            return Cow::Borrowed(text);
        }
        let mut redacted = String::new();
        let mut kept = 0;
        for place in self.places(text) {
            redacted.push_str(text.get(kept..place.start).unwrap_or_default());
            redacted.push_str(PLACEHOLDER);
            kept = place.end;
        }
        if kept == 0 {
            return Cow::Borrowed(text);
        }
        redacted.push_str(text.get(kept..).unwrap_or_default());
        Cow::Owned(redacted)
    }

    /// JSON with each secret in its values replaced; otherwise it stays the same JSON. Names are left alone.
    ///
    /// Each string is redacted as it reads once decoded, as the fields of an event are.
    pub(crate) fn redact_json<'a>(&self, json: &'a str) -> Cow<'a, str> {
        if !self.may_be_in(json) {
            return Cow::Borrowed(json);
        }
        let mut out = String::new();
        let mut rest = json;
        while let Some((before, string, after)) = next_string(rest) {
            self.redact_numbers(before, &mut out);
            rest = after;
            if after.trim_ascii_start().starts_with(':') {
                out.push_str(string);
                continue;
            }
            match serde_json::from_str::<String>(string) {
                Ok(text) => match self.redact(&text) {
                    Cow::Owned(redacted) => out.push_str(&Value::String(redacted).to_string()),
                    Cow::Borrowed(_) => out.push_str(string),
                },
                // Half a surrogate pair: no string of ours, but JSON all the same.
                Err(_) => out.push_str(&self.redact(string)),
            }
        }
        self.redact_numbers(rest, &mut out);
        Cow::Owned(out)
    }

    /// Text that is perhaps JSON, redacted as what it is.
    pub(crate) fn redact_data(&self, data: &mut String) {
        if !self.may_be_in(data) {
            return;
        }
        let is_json = data.trim_ascii_start().starts_with(['{', '['])
            && serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok();
        let redacted = if is_json { self.redact_json(data) } else { self.redact(data) };
        if let Cow::Owned(redacted) = redacted {
            *data = redacted;
        }
    }

    /// Text that may have been cut in the middle of a secret, redacted: what it ends with is replaced
    /// too if it is the beginning of a secret, from 4 bytes on.
    pub fn redact_cut(&self, text: &str) -> String {
        let mut redacted = self.redact(text).into_owned();
        let start = redacted.len().saturating_sub(self.longest_place());
        let tail = redacted.as_bytes().get(start..).unwrap_or_default();
        if let Some(cut) = self.cut_in(tail) {
            let is_boundary = |at: &usize| redacted.is_char_boundary(*at);
            redacted.truncate((0..=start + cut).rev().find(is_boundary).unwrap_or_default());
            redacted.push_str(PLACEHOLDER);
        }
        redacted
    }

    pub(crate) fn redact_in_place(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }

    /// Numbers of JSON, and what stands between its strings. A number that has a secret in it becomes a string.
    fn redact_numbers(&self, json: &str, out: &mut String) {
        if !json.bytes().any(|byte| byte.is_ascii_digit()) {
            return out.push_str(json);
        }
        for token in json.split_inclusive(|char: char| !char.is_ascii_alphanumeric() && !"+-.".contains(char)) {
            let number = token.trim_end_matches(|char: char| !char.is_ascii_alphanumeric());
            if self.0.iter().any(|secret| secret.is_in(number.as_bytes())) {
                out.push_str(&Value::String(PLACEHOLDER.to_owned()).to_string());
            } else {
                out.push_str(number);
            }
            out.push_str(token.get(number.len()..).unwrap_or_default());
        }
    }

    /// Where secrets stand in the text, in order and without overlaps.
    fn places(&self, text: &str) -> Vec<Range<usize>> {
        let overlap = self.longest_place();
        let step = WINDOW.max(overlap);
        let mut places: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        while let Some(rest) = text.as_bytes().get(start..) {
            let window = rest.get(..step + overlap).unwrap_or(rest);
            let mut levels = Levels::new(window);
            loop {
                for secret in &self.0 {
                    secret.find(levels.bytes(), |found| {
                        let place = levels.in_text(found);
                        places.push(start + place.start..start + place.end);
                    });
                }
                if !levels.decode() {
                    break;
                }
            }
            if window.len() == rest.len() {
                break;
            }
            start += step;
        }
        places.sort_by_key(|place| (place.start, core::cmp::Reverse(place.end)));
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(places.len());
        for place in places {
            match merged.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => merged.push(place),
            }
        }
        merged
    }

    /// Where the secret begins that this text was cut in.
    fn cut_in(&self, text: &[u8]) -> Option<usize> {
        let mut levels = Levels::new(text);
        let mut first: Option<usize> = None;
        loop {
            for bytes in [levels.bytes(), without_cut_escape(levels.bytes())] {
                let found = self.0.iter().filter_map(|secret| secret.find_cut(bytes)).min();
                let found = found.map(|at| levels.in_text(at..at + 1).start);
                first = first.into_iter().chain(found).min();
            }
            if !levels.decode() {
                return first;
            }
        }
    }

    /// The most bytes that a secret takes in a text.
    fn longest_place(&self) -> usize {
        let longest = self.0.iter().map(Secret::longest).max().unwrap_or_default();
        longest.saturating_mul(LONGEST_ESCAPED_BYTE).saturating_add(64)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({})", self.0.len())
    }
}

/// Whether so many characters of base64 stand in a row. Not all bytes are read: such a row has one at each multiple of its
/// length.
fn has_run(text: &[u8], length: usize) -> bool {
    let mut at = length.saturating_sub(1);
    while let Some((before, from)) = text.split_at_checked(at).filter(|(_, from)| !from.is_empty()) {
        let after = from.iter().take(length).take_while(|byte| is_of_base64(byte)).count();
        if after > 0 && after + before.iter().rev().take(length).take_while(|byte| is_of_base64(byte)).count() >= length
        {
            return true;
        }
        at += length;
    }
    false
}

/// The text before the next string of JSON, the string with its quotes, and what follows.
fn next_string(json: &str) -> Option<(&str, &str, &str)> {
    let (before, from) = json.split_at_checked(json.find('"')?)?;
    let (string, after) = from.split_at_checked(string_length(from.as_bytes())?)?;
    Some((before, string, after))
}

/// Server text that an error will carry: redacted first, then cut to `limit` characters.
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
    fn a_secret_is_redacted_in_any_form() {
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
    fn redacted_json_is_still_json() {
        let secrets = secrets(&["u0061"]);
        // An escaped `a` is no echo of the key `u0061`; a backslash and these letters are.
        assert_eq!(secrets.redact_json(r#"{"a":"\u0061"}"#), r#"{"a":"\u0061"}"#);
        assert_eq!(secrets.redact_json(r#"{"a":"\\u0061"}"#), r#"{"a":"\\***"}"#);
    }

    #[test]
    fn json_is_redacted_as_it_reads_once_decoded() {
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
    fn the_part_of_a_secret_before_a_cut_is_redacted() {
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
    fn a_cut_in_the_middle_of_a_character_is_one_in_the_middle_of_a_secret() {
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
    fn a_name_in_json_is_left_alone_and_a_number_is_not() {
        let secrets = secrets(&["state", "123456"]);
        for (json, expected) in [
            (r#"{"state" : "state","x":123456}"#, r#"{"state" : "***","x":"***"}"#),
            ("[1234567,-123456.5e3, 12345, true]", r#"["***","***", 12345, true]"#),
            (r#"{"123456":["123456",{"state":null}]}"#, r#"{"123456":["***",{"state":null}]}"#),
        ] {
            assert_eq!(secrets.redact_json(json), expected);
            let mut data = json.to_owned();
            secrets.redact_data(&mut data);
            assert_eq!(data, expected);
            assert!(serde_json::from_str::<Value>(&data).is_ok());
        }
        let mut cut = r#"{"a":"123456"#.to_owned();
        secrets.redact_data(&mut cut);
        assert_eq!(cut, r#"{"a":"***"#);
    }

    #[test]
    fn a_secret_in_another_encoding_or_escaped_twice_is_redacted() {
        let secrets = secrets(&["phak_1/2+3"]);
        for echo in [
            "phak&#95;1&#x2F;2&plus;3",
            "phak_1&sol;2+3",
            "phak_1%252F2%252B3",
            "phak_1%25252f2%25252B3",
            r"phak_1\\/2\\u002b3",
            r"\\u0070hak_1/2+3",
            "phak_1%26%2347%3B2+3",
            r"\x70hak_1\x2f2+3",
            "7068616b5f312f322b33",
            "7068616B5F312F322B33",
            "cGhha18xLzIrM",
            "BoYWtfMS8yKz",
            "waGFrXzEvMisz",
        ] {
            assert_eq!(secrets.redact(&format!("bad key «{echo}».")), "bad key «***».", "{echo}");
        }
        // In base64 of more than the key, and in its other alphabet.
        let secrets = self::secrets(&["\u{3fb}\u{3ff}?>~~~"]);
        assert_eq!(secrets.redact("Basic dXNlcjrPu8+/Pz5+fn4="), "Basic dXNlcj***");
        assert!(secrets.redact("z7vPvz8-fn5-").ends_with("***"), "{}", secrets.redact("z7vPvz8-fn5-"));
    }

    #[test]
    fn what_looks_like_an_escape_and_is_none_stays() {
        let secrets = secrets(&["phak_1"]);
        for text in ["100% &amp &; &#; &#xzz; %zz \\ \\q \\u12", "&&&%%%\\\\", "phak&#95phak_", "p\u{fffd}%c3%28"] {
            assert_eq!(secrets.redact(text), text);
        }
    }

    #[test]
    fn a_secret_is_found_anywhere_in_a_long_text() {
        let secrets = secrets(&["phak_1/2"]);
        for before in
            (WINDOW - 40..WINDOW + 10).step_by(3).chain([2 * WINDOW - 3, WINDOW + secrets.longest_place() - 5])
        {
            let filler = "é".repeat(before / 2);
            for echo in ["phak_1/2", "phak_1%252F2", r"\u0070hak_1\/2"] {
                let redacted = secrets.redact(&format!("{filler}{echo}{filler}")).into_owned();
                assert!(redacted == format!("{filler}***{filler}"), "{echo} after {before} bytes");
            }
        }
    }

    #[test]
    fn a_key_that_repeats_itself_takes_no_longer_than_another() {
        // Comparing at each place anew would take 400 million steps and more.
        let secrets = secrets(&["a".repeat(20_000) + "b", "%61".repeat(3_000)].each_ref().map(String::as_str));
        let text = "a".repeat(1 << 20) + "\\";
        assert_eq!(secrets.redact(&text), text);
        assert_eq!(secrets.redact_cut(&text).len(), (1 << 20) + 1 - 20_001 + PLACEHOLDER.len());
    }

    #[test]
    fn the_longer_secret_goes_first_and_the_rest_of_the_text_stays() {
        assert_eq!(secrets(&["abc", "abcdef"]).redact("xabcdefx abc %41 \\ %"), "x***x *** %41 \\ %");
        assert_eq!(secrets(&[]).redact(r"a\u0062%"), r"a\u0062%");
    }

    #[test]
    fn redaction_comes_before_cutting() {
        let cut = redacted_and_cut(&secrets(&["secret"]), "my secret is out", 6);
        assert_eq!(cut, "my ***…");
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let shown = format!("{:?}", secrets(&["hunter2"]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
