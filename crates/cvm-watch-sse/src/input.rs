use super::scan::{BLOCK, find, find_last, find_on, is_printable};
use core::str::from_utf8;
use memchr::memchr2;

/// A chunk on its way through the decoder: cut into lines, each byte looked at once.
pub(super) struct Input<'i> {
    bytes: &'i [u8],
    /// Where the next line begins.
    at: usize,
    /// The line ends of the block at `block`, one bit each.
    ends: u64,
    block: usize,
    /// Where the next block begins.
    scanned: usize,
    /// No line ends from here on.
    endless: usize,
    /// What is known to be UTF-8, from `text_at` on.
    text: &'i str,
    text_at: usize,
    /// How far the input is looked at ahead of the line that is asked for.
    ahead: Ahead,
}

/// How far to look ahead: what is learnt and not used is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Only for the next line end: the input is short or read for one event only.
    Line,
    /// For the line ends of a block, and that many bytes for their encoding: nearly all of the
    /// input will be read.
    Bytes(usize),
}

/// The place of a line or value in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'i> Input<'i> {
    #[inline]
    pub(super) fn new(bytes: &'i [u8], ahead: Ahead) -> Input<'i> {
        let ahead = if bytes.len() < BLOCK { Ahead::Line } else { ahead };
        Input { bytes, at: 0, ends: 0, block: 0, scanned: 0, endless: usize::MAX, text: "", text_at: 0, ahead }
    }

    /// The next line that ends in this input, without its end.
    #[inline(always)]
    pub(super) fn next_line(&mut self) -> Option<Span> {
        let start = self.at;
        let end = self.end_of_line(start)?;
        self.at = self.after_end(end);
        Some(Span { start, end })
    }

    /// The name and data of the next event, if it is written as nearly all are and not over `most`
    /// bytes: one `event: ` line or none, one `data: ` line, a blank line, with LF or CRLF. Else
    /// nothing is passed.
    ///
    /// These need none of the decoder's memory, and a third of its time.
    #[inline(always)]
    pub(super) fn plain_event(&mut self, most: usize) -> Option<(&'i str, &'i str)> {
        // The eight bytes that even the shortest event has are compared as a number.
        const EVENT: u64 = u64::from_le_bytes(*b"event: \0");
        const DATA: u64 = u64::from_le_bytes(*b"data: \0\0");
        let mut start = self.at;
        let mut word = self.word(start)?;
        let mut name = Span { start: start + 6, end: start + 6 };
        if word << 8 == EVENT << 8 {
            name = Span { start: start + 7, end: self.end_of_line(start)? };
            start = self.after_end(name.end);
            word = self.word(start)?;
        }
        if word << 16 != DATA << 16 {
            return None;
        }
        let data = Span { start: start + 6, end: self.end_of_line(start)? };
        let next = self.after_blank_line(data.end)?;
        let both = self.text(Span { start: name.start, end: data.end })?;
        let (name, data) = (both.get(..name.end - name.start)?, both.get(data.start - name.start..)?);
        if name.len() + data.len() > most {
            return None;
        }
        self.at = next;
        Some((name, data))
    }

    /// Where the line that begins at `start` ends, if it does in this input.
    #[inline(always)]
    fn end_of_line(&mut self, start: usize) -> Option<usize> {
        let passed = start.wrapping_sub(self.block);
        let left = if passed < BLOCK { self.ends >> passed } else { 0 };
        if left != 0 { Some(start + left.trailing_zeros() as usize) } else { self.scan_on(start) }
    }

    /// Where the next line begins after one that ends at `end`.
    #[inline(always)]
    fn after_end(&self, end: usize) -> usize {
        let crlf = self.bytes.get(end) == Some(&b'\r') && self.bytes.get(end + 1) == Some(&b'\n');
        end + 1 + usize::from(crlf)
    }

    /// The same if a blank line follows at once, and both end alike with LF or CRLF.
    #[inline(always)]
    fn after_blank_line(&self, end: usize) -> Option<usize> {
        if self.bytes.get(end..end + 2) == Some(b"\n\n") {
            Some(end + 2)
        } else {
            (self.bytes.get(end..end + 4) == Some(b"\r\n\r\n")).then_some(end + 4)
        }
    }

    #[inline(always)]
    fn word(&self, at: usize) -> Option<u64> {
        self.bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
    }

    /// Passes over comments and blank lines, up to the next line that says something or, if none
    /// does, up to the last line begun.
    pub(super) fn skip_comments(&mut self) {
        let mut block = self.at;
        let mut begins = 1;
        while let Some(bytes) = self.bytes.get(block..)
            && let (ends, length @ 1..) = find(bytes, b'\n', b'\r')
        {
            let (colons, _) = find(bytes, b':', b':');
            // An LF after CR counts as a blank line here, which is as harmless.
            let starts = ends << 1 | begins;
            let telling = starts & !(colons | ends) & (u64::MAX >> (BLOCK - length));
            self.ends = ends;
            self.block = block;
            self.scanned = block + length;
            if telling != 0 {
                self.at = block + telling.trailing_zeros() as usize;
                return;
            }
            if ends != 0 {
                self.at = block + BLOCK - ends.leading_zeros() as usize;
            }
            begins = ends >> (BLOCK - 1);
            block += length;
            self.ends = 0;
        }
    }

    /// Takes all that is left: the start of a line that ends in a later chunk.
    pub(super) fn take_rest(&mut self) -> &'i [u8] {
        let rest = self.rest();
        self.at = self.bytes.len();
        rest
    }

    /// All that is left, if that is a few bytes of printable ASCII, without a line end therefore.
    #[inline]
    pub(super) fn plain_rest(&self) -> Option<&'i [u8]> {
        let rest = self.rest();
        (rest.len() < BLOCK && is_printable(rest)).then_some(rest)
    }

    /// Passes over the first `count` bytes of what is left, which hold no line end but an LF that
    /// belongs to the chunk before.
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// The text at `span`, if it is UTF-8. A value, that is, with no half characters at its ends.
    #[inline(always)]
    pub(super) fn text(&mut self, span: Span) -> Option<&'i str> {
        // A span that begins before the text wraps to one beyond its end.
        let (start, end) = (span.start.wrapping_sub(self.text_at), span.end.wrapping_sub(self.text_at));
        match self.text.get(start..end) {
            Some(text) => Some(text),
            None => self.check(span),
        }
    }

    #[inline(always)]
    pub(super) fn bytes(&self, span: Span) -> &'i [u8] {
        self.bytes.get(span.start..span.end).unwrap_or_default()
    }

    pub(super) fn rest(&self) -> &'i [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Whether a CR is the last byte of a used-up input, so that an LF in the next one belongs to
    /// it.
    pub(super) fn ended_with_cr(&self) -> bool {
        self.at == self.bytes.len() && self.bytes.last() == Some(&b'\r')
    }

    /// The same as [`Self::end_of_line`], when the block at hand does not tell.
    #[inline(always)]
    fn scan_on(&mut self, start: usize) -> Option<usize> {
        // What was seen of the line need not be seen again.
        let from = if (self.block..self.scanned).contains(&start) { self.scanned } else { start };
        if start >= self.endless || from >= self.bytes.len() { None } else { self.scan_from(start, from) }
    }

    #[inline(never)]
    fn scan_from(&mut self, start: usize, from: usize) -> Option<usize> {
        let (block, ends) = match self.ahead {
            Ahead::Line => find_next(self.bytes, from),
            Ahead::Bytes(_) => find_on(self.bytes, from, b'\n', b'\r'),
        };
        let left = ends >> from.saturating_sub(block);
        if left == 0 {
            self.endless = start;
            return None;
        }
        self.ends = ends;
        self.block = block;
        // Of a block that begins at its only line end no more is known.
        self.scanned = if ends == 1 { block + 1 } else { self.bytes.len().min(block + BLOCK) };
        Some(from.max(block) + left.trailing_zeros() as usize)
    }

    /// Checks the encoding from the value on, as far ahead as is allowed. Linear in all: the next
    /// check begins after this value.
    #[inline(never)]
    fn check(&mut self, value: Span) -> Option<&'i str> {
        let ahead = match self.ahead {
            Ahead::Line => 0,
            Ahead::Bytes(ahead) => ahead,
        };
        let end = value.end.max(value.start.saturating_add(ahead).min(self.bytes.len()));
        let bytes = self.bytes.get(value.start..end)?;
        self.text = match from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
        };
        self.text_at = value.start;
        self.text.get(..value.end - value.start)
    }
}

/// The block that the first line end from `from` on lies in; in a long line, that end alone, which is
/// quicker.
#[inline]
fn find_next(bytes: &[u8], from: usize) -> (usize, u64) {
    let Some(block) = bytes.get(from..).and_then(<[u8]>::first_chunk::<BLOCK>) else {
        return find_last(bytes, from, b'\n', b'\r');
    };
    let (ends, _) = find(block, b'\n', b'\r');
    if ends != 0 {
        return (from, ends);
    }
    let after = from + BLOCK;
    match bytes.get(after..).and_then(|more| memchr2(b'\n', b'\r', more)) {
        Some(end) => (after + end, 1),
        None => (after, 0),
    }
}
