//! NDJSON: one JSON object in one line that a terminal or a CI runner can't take for anything else.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;
use serde_json::value::RawValue;

/// The object as one line, without its line end.
pub(crate) fn line(object: &impl Serialize) -> String {
    // Strings, numbers and maps with string keys: nothing that JSON can't write.
    let json = serde_json::to_string(object).unwrap_or_default();
    match harmless(&json) {
        Cow::Owned(harmless) => harmless,
        Cow::Borrowed(_) => json,
    }
}

/// The server's JSON as it came, number forms included, but in one line. `None` if it is no JSON, or
/// if common parsers could not read the line: it is nested too deeply for it, or has a string with half
/// a surrogate pair or a number that is too large.
pub(crate) fn embedded(json: &str) -> Option<Cow<'_, RawValue>> {
    // In JSON a line break can only stand between tokens.
    let line =
        if json.contains(['\n', '\r']) { Cow::Owned(json.replace(['\n', '\r'], " ")) } else { Cow::Borrowed(json) };
    // One level deeper, as it stands in the line.
    serde_json::from_str::<[serde_json::Value; 1]>(&format!("[{line}]")).ok()?;
    match line {
        Cow::Borrowed(json) => serde_json::from_str(json).map(Cow::Borrowed).ok(),
        Cow::Owned(json) => RawValue::from_string(json).map(Cow::Owned).ok(),
    }
}

/// `json` with the characters escaped that act on a terminal (as C1 does), hide or reorder text, or
/// begin a command of a CI runner (`##[`). They can only stand in strings, where an escape is the
/// same character.
fn harmless(json: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let mut previous = '\0';
    for (at, char) in json.char_indices() {
        if is_harmful(char) || (char == '#' && previous == '#') {
            out.push_str(json.get(kept..at).unwrap_or_default());
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
            kept = at + char.len_utf8();
        }
        previous = char;
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(json.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether the character acts on a terminal or can't be seen.
fn is_harmful(char: char) -> bool {
    // What is plain takes the short way: most of every line.
    let plain = char.is_ascii_graphic() || char == ' ';
    !plain && {
        let text = String::from(char);
        cvm_watch_core::printable(&text, 20) != text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_act_is_escaped_and_stays_the_same_text() {
        for text in ["\u{9b}2J", "a\u{7f}b", "##vso[x]", "###", "\u{202e}", "\u{e0041}", "\n\r\t\0\x1b", "ä😀 \u{2028}"]
        {
            let line = line(&text);
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
            assert!(!line.chars().any(is_harmful), "{line:?}");
            assert!(!line.contains("##"), "{line:?}");
        }
        assert_eq!(line(&"::error::x # ä😀"), r#""::error::x # ä😀""#);
        assert_eq!(line(&"##\u{9b}"), r##""#\u0023\u009b""##);
    }

    #[test]
    fn the_servers_json_keeps_its_numbers_and_fields_in_one_line() {
        let json = "{\n \"n\": 1.0e+2,\r\n \"big\": 123456789012345678901234567890,\n \"s\": \"a\\nb\", \"n\": 2 }";
        let embedded = embedded(json).unwrap();
        assert!(!line(&embedded).contains('\n'));
        for kept in ["1.0e+2", "123456789012345678901234567890", r"a\nb", r#""n": 2"#] {
            assert!(line(&embedded).contains(kept), "{kept}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_embedded() {
        for text in ["", "{", "nul", "\"a\nb", "{} x", "1,2", "]["] {
            assert!(embedded(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_line_with_embedded_json_can_be_read_by_any_parser() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let (deepest, deeper) = (nested(126), nested(127));
        let line = line(&std::collections::BTreeMap::from([("data", embedded(&deepest).unwrap())]));
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok());
        for text in [deeper.as_str(), "\"\\ud800\"", "{\"\\udc00\":1}", "[\"\\ud800\\u0061\"]", "1e999"] {
            assert!(embedded(text).is_none(), "{text}");
        }
        assert!(embedded("\"\\ud83d\\ude00\"").is_some());
    }
}
