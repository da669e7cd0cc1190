//! A fast path for an object of plain strings and `null`, which is how the endpoint writes a state.
//!
//! The general reader handles everything else. It gives the same result for these objects; a test compares the two.

use alloc::borrow::Cow;

use super::json::{Fields, Value};
use crate::json_string::find_mark;

/// Reads the fields of such an object; `None` for any other object or text.
pub(super) fn read_flat<F: Fields>(json: &str) -> Option<F> {
    let mut fields = F::default();
    let mut reader = Reader { json, at: 0 };
    if reader.token() != Some(b'{') {
        return None;
    }
    loop {
        let (Some(b'"'), Some(name), Some(b':')) = (reader.token(), reader.string(), reader.token()) else {
            return None;
        };
        let value = match reader.token()? {
            b'"' => Value::Text(Cow::Borrowed(reader.string()?)),
            b'n' => reader.rest_of_null()?,
            _ => return None,
        };
        fields.set(name, value);
        match reader.token()? {
            b',' => {}
            b'}' => return reader.token().is_none().then_some(fields),
            _ => return None,
        }
    }
}

struct Reader<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Takes the next byte that is not white space.
    #[inline(always)]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.json.as_bytes().get(self.at)?;
            self.at += 1;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    /// Takes the rest of a string after its opening quote, if it has no escapes.
    #[inline(always)]
    fn string(&mut self) -> Option<&'a str> {
        let (start, bytes) = (self.at, self.json.as_bytes());
        let end = start + find_mark(bytes.get(start..)?)?;
        self.at = end + 1;
        if bytes.get(end) == Some(&b'"') { self.json.get(start..end) } else { None }
    }

    #[inline]
    fn rest_of_null(&mut self) -> Option<Value<'a>> {
        let rest = self.json.as_bytes().get(self.at..)?;
        self.at += 3;
        rest.starts_with(b"ull").then_some(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::{Fields, Value, read_any_object};
    use super::read_flat;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// Every field, in order.
    #[derive(Debug, Default, PartialEq)]
    struct All(Vec<(String, Option<String>)>);

    impl Fields for All {
        fn knows(_: &str) -> bool {
            true
        }

        fn set(&mut self, name: &str, value: Value<'_>) {
            self.0.push((name.into(), value.text()));
        }
    }

    #[test]
    fn what_is_read_the_quick_way_is_read_so_by_the_general_reader() {
        let mut read = 0;
        for length in 0..66 {
            let long = "x".repeat(length);
            for json in [
                format!(r#"{{"{long}":"{long}","b":null,"":"","b":"ж{long}"}}"#),
                format!(" {{\t\"a\"\n:\r\"{long}\" , \"{long}\" : null }} "),
            ] {
                assert_eq!(read_flat::<All>(&json), Some(read_any_object(&json).unwrap()), "{json}");
                // Every byte cut off, and every byte replaced by one that matters.
                for at in (0..json.len()).filter(|&at| json.is_char_boundary(at) && json.is_char_boundary(at + 1)) {
                    for byte in ["", "\"", "\\", "\u{1f}", "{", "}", ":", ",", " ", "n", "1", "\u{7f}"] {
                        let other = format!("{}{byte}{}", &json[..at], &json[at + 1..]);
                        let Some(quick) = read_flat::<All>(&other) else { continue };
                        assert_eq!(read_any_object(&other), Ok(quick), "{other}");
                        read += 1;
                    }
                }
            }
        }
        assert!(read > 10_000, "{read}");
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_the_general_reader() {
        for json in [
            "",
            "{",
            "{}",
            "[]",
            r#"{"a":1}"#,
            r#"{"a":true}"#,
            r#"{"a":{}}"#,
            r#"{"a":"\n"}"#,
            r#"{"\u0061":"b"}"#,
            r#"{"a":"b",}"#,
            r#"{"a":"b"} {}"#,
            r#"{"a":nulls}"#,
            r#"{"a":"b" "c":"d"}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"b}",
            "\u{feff}{\"a\":\"b\"}",
        ] {
            assert_eq!(read_flat::<All>(json), None, "{json}");
        }
    }
}
