//! The quick way through an object of plain strings and `null`, as the endpoint writes its states.
//!
//! A string of JSON ends at the next quote, unless a backslash or a control character comes first.
//! These are found in 64 bytes at once, as the decoder finds line ends, so a string costs little
//! more than its copy. Whatever else may stand in JSON is left to the general reader, which reads
//! these objects just the same; a test compares the two.

use alloc::borrow::Cow;

use super::json::{Fields, Value};
use crate::sse::scan::{BLOCK, find_in_block};

/// The fields of an object that is written so. None: it is not, and may be JSON or not.
pub(super) fn read_flat<F: Fields>(json: &str) -> Option<F> {
    let mut fields = F::default();
    let mut reader = Reader { json, at: 0, marks: 0, block: 0 };
    reader.mark_block();
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
    /// The quotes, backslashes and control characters of the block at `block`, one bit each.
    marks: u64,
    block: usize,
}

impl<'a> Reader<'a> {
    /// Takes the next byte that is no space.
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

    /// Takes the rest of a string after its first quote, if it is written without escapes.
    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        let end = self.next_mark(self.at)?;
        let text = self.json.get(self.at..end)?;
        self.at = end + 1;
        (self.json.as_bytes().get(end) == Some(&b'"')).then_some(text)
    }

    #[inline]
    fn rest_of_null(&mut self) -> Option<Value<'a>> {
        let rest = self.json.as_bytes().get(self.at..)?;
        self.at += 3;
        rest.starts_with(b"ull").then_some(Value::Other)
    }

    /// The first mark from `from` on, which is not before the last one asked for.
    #[inline]
    fn next_mark(&mut self, from: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let passed = from - self.block;
            let left = if passed < BLOCK { self.marks >> passed } else { 0 };
            if left != 0 {
                return Some(from + left.trailing_zeros() as usize);
            }
            if self.json.len() - self.block <= BLOCK {
                return None;
            }
            self.block += BLOCK;
            from = from.max(self.block);
            self.mark_block();
        }
    }

    #[inline(never)]
    fn mark_block(&mut self) {
        let is_mark = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < b' ');
        let rest = self.json.as_bytes().get(self.block..).unwrap_or_default();
        self.marks = match rest.first_chunk() {
            Some(block) => find_in_block(block, is_mark),
            None => {
                let mut block = [b' '; BLOCK];
                block.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
                find_in_block(&block, is_mark)
            }
        };
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
