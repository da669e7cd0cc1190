//! Lines of JSON that are no field of an event stream: what servers and proxies print in place of an `error` event.

use alloc::string::String;
use alloc::vec::Vec;

use crate::response::{MAX_ERROR_JSON, error_in_object};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Finds such lines in the bytes of a stream. It holds nothing except while one is read.
#[derive(Debug)]
pub(super) struct BareJson {
    /// A line that began with a brace, and those after it up to the one that closes it.
    text: Vec<u8>,
    /// Where the line that is read begins in it; at most a little over the limit.
    line_start: u16,
    /// The last byte before those to come.
    before: u8,
    /// How many bytes of a byte order mark opened the stream; all of them also where there is none.
    bom: u8,
}

impl BareJson {
    pub(super) const fn new() -> Self {
        Self { text: Vec::new(), line_start: 0, before: b'\n', bom: 0 }
    }

    /// Reads the next bytes; the text of the last error in them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<String> {
        let mut bytes = self.skip_bom(bytes);
        let mut error = None;
        while let Some(last) = bytes.last() {
            if self.text.is_empty() {
                let start = memchr::memchr_iter(b'{', bytes).find(|at| self.is_line_start(bytes, *at));
                let Some(json) = start.and_then(|at| bytes.get(at..)) else {
                    self.before = *last;
                    return error;
                };
                bytes = json;
                self.line_start = 0;
                self.before = b'{';
            } else if self.before == b'\r'
                && let Some(after) = bytes.strip_prefix(b"\n")
            {
                self.before = b'\n';
                bytes = after;
                continue;
            }
            bytes = self.read_line(bytes);
            if matches!(self.before, b'\r' | b'\n') {
                if self.is_complete() {
                    error = self.finish().or(error);
                } else {
                    self.line_start = u16::try_from(self.text.len()).unwrap_or(u16::MAX);
                }
            }
        }
        error
    }

    /// The text of the error in the line that was read last, which nothing else will end.
    pub(super) fn finish(&mut self) -> Option<String> {
        let text = core::mem::take(&mut self.text);
        error_in_object(core::str::from_utf8(&text).ok()?)
    }

    fn skip_bom<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while let Some(expected) = BOM.get(usize::from(self.bom))
            && let Some((first, rest)) = bytes.split_first()
        {
            if first != expected {
                // A part of a mark is text.
                self.before = if self.bom > 0 { 0 } else { b'\n' };
                self.bom = 3;
                break;
            }
            self.bom += 1;
            bytes = rest;
        }
        bytes
    }

    /// Keeps bytes up to the end of the line, and returns those after it.
    fn read_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = memchr::memchr2(b'\r', b'\n', bytes);
        let (line, after) = end.and_then(|at| bytes.split_at_checked(at)).unwrap_or((bytes, &[]));
        // What is longer than is ever read is not kept.
        let room = (MAX_ERROR_JSON + 1).saturating_sub(self.text.len());
        self.text.extend_from_slice(line.get(..room).unwrap_or(line));
        match after.split_first() {
            Some((end, after)) => {
                self.before = *end;
                after
            }
            None => {
                self.before = 0;
                after
            }
        }
    }

    /// Whether the brace at this place begins a line.
    fn is_line_start(&self, bytes: &[u8], at: usize) -> bool {
        let before = bytes.get(..at).and_then(<[u8]>::last).unwrap_or(&self.before);
        matches!(before, b'\r' | b'\n')
    }

    /// Whether the line that has ended is the last of its object: it closes it, it is blank, or it is too long.
    fn is_complete(&self) -> bool {
        let line = self.text.get(usize::from(self.line_start)..).unwrap_or_default().trim_ascii_end();
        let is_first = self.line_start == 0;
        // Braces of inner objects are indented.
        let closes = if is_first { line.ends_with(b"}") } else { line.starts_with(b"}") };
        closes || line.is_empty() || self.text.len() > MAX_ERROR_JSON
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// The last error, read whole, byte by byte and cut in two, which all must agree.
    #[track_caller]
    fn check(stream: &str, expected: Option<&str>) {
        let bytes = stream.as_bytes();
        let sizes = [1, 2, 3, 7, bytes.len().max(1)];
        for size in sizes {
            let mut found = BareJson::new();
            let mut error = None;
            for chunk in bytes.chunks(size) {
                error = found.read(chunk).or(error);
            }
            error = found.finish().or(error);
            assert_eq!(error.as_deref(), expected, "{stream:?} in pieces of {size}");
            assert_eq!(found.text.capacity(), 0);
        }
    }

    #[test]
    fn a_bare_line_of_json_is_an_error_wherever_it_stands() {
        for (stream, expected) in [
            ("{\"error\":\"boom\"}", "boom"),
            ("{\"error\":\"boom\"}\n", "boom"),
            ("\u{feff}{\"detail\":\"boom\"}", "boom"),
            ("event: state\ndata: {\"status\":\"starting\"}\n\n{\"error\":{\"message\":\"boom\"}}\n\n", "boom"),
            ("data: x\r\n\r\n{\"message\":\"boom\"}\r\ndata: y\r\n\r\n", "boom"),
            ("{\"error\":\"a\"}\n{\"error\":\"b\"}\n{\"status\":\"x\"}\n", "b"),
            ("{\n  \"detail\": {\n    \"message\": \"boom\"\n  }\n}\n", "boom"),
            ("{\n  \"error\": \"boom\"\n}", "boom"),
            ("{\r\n  \"error\": \"boom\"\r\n}\r\n", "boom"),
        ] {
            check(stream, Some(expected));
        }
    }

    #[test]
    fn fields_of_a_stream_and_other_text_are_none() {
        for stream in [
            "",
            "data: {\"error\":\"x\"}\n\n",
            "event: error\ndata: a\ndata:{\"error\":\"x\"}\n\n",
            ": {\"error\":\"x\"}\n\n",
            "{\"status\":\"running\"}\n",
            "{not json}\n",
            "{\"error\":\n\n\"x\"}",
            "x{\"error\":\"x\"}\n",
            "\u{fefe}{\"error\":\"x\"}\n",
        ] {
            check(stream, None);
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept_and_what_follows_it_is_read() {
        let mut found = BareJson::new();
        let line = "{\"error\":\"".to_string() + &"x".repeat(10 * MAX_ERROR_JSON);
        for chunk in line.as_bytes().chunks(1000) {
            assert_eq!(found.read(chunk), None);
            assert!(found.text.capacity() < 4 * MAX_ERROR_JSON);
        }
        assert_eq!(found.read(b"\"}\n{\"error\":\"after\"}\n").as_deref(), Some("after"));
    }
}
