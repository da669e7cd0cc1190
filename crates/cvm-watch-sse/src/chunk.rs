use super::limits::Limits;
use super::scan::{find_line_end, from_utf8};
use core::fmt;

/// How many bytes are checked for UTF-8 at once. If each event is checked by itself, `cvm` events take
/// 20 % longer and token events twice as long.
const CHECKED_AHEAD: usize = 4096;

/// A chunk of the stream, and how far it was read.
///
/// Chunks may be cut anywhere. Give each to [`Decoder::decode`](crate::Decoder::decode) until it
/// returns None; or stop after any item and give the [`rest`](Chunk::rest) later, as a new chunk.
/// Keep the chunk between the items if you can: it remembers which of its bytes are valid UTF-8.
///
/// ```
/// use cvm_watch_sse::{Chunk, Decoder};
///
/// let mut decoder = Decoder::default();
/// let mut chunk = Chunk::new(b"data: 1\n\ndata: 2\n\n");
/// assert!(decoder.decode(&mut chunk).is_some());
/// assert_eq!(chunk.rest(), b"data: 2\n\n");
/// ```
#[derive(Clone)]
pub struct Chunk<'i> {
    rest: &'i [u8],
    /// The bytes of the chunk that were checked last and are UTF-8. `rest` begins at `text_read` of them.
    text: &'i str,
    text_read: usize,
    /// False at first, because a caller may want only the first event.
    checks_ahead: bool,
    /// How many bytes at the end are known to have no line end. If they are searched twice, a cut event
    /// takes 10 % longer.
    without_line_end: usize,
}

/// An event that lies whole in its chunk.
pub(super) struct WholeEvent<'i> {
    pub(super) name: &'i str,
    pub(super) data: &'i str,
    pub(super) id: Option<&'i str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Event,
    Id,
    Retry,
}

/// Where a value begins and ends.
type Span = (usize, usize);

impl<'i> Chunk<'i> {
    /// The chunk of these bytes, of which none was read.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'i [u8]) -> Chunk<'i> {
        Chunk { rest: bytes, text: "", text_read: 0, checks_ahead: false, without_line_end: 0 }
    }

    /// The bytes that were not read yet.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'i [u8] {
        self.rest
    }

    #[inline(always)]
    pub(super) fn first(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline(always)]
    pub(super) fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
        self.forget_text();
    }

    /// Takes what the chunk has of the line at hand. True if the line ends there.
    #[inline(always)]
    pub(super) fn take_line(&mut self) -> (&'i [u8], bool) {
        let end = if self.rest.len() > self.without_line_end { find_line_end(self.rest) } else { None };
        let (part, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len())).unwrap_or_default();
        self.rest = rest;
        self.forget_text();
        (part, end.is_some())
    }

    /// Skips the line end that comes next. False: it is a CR at the end of the chunk, to which an LF in
    /// the next chunk may belong.
    #[inline(always)]
    pub(super) fn skip_line_end(&mut self) -> bool {
        let is_whole = self.rest != b"\r";
        let length = if self.rest.starts_with(b"\r\n") { 2 } else { 1 };
        self.skip(length);
        is_whole
    }

    /// The field of the line that begins here, and where its value begins. None: the next eight bytes do
    /// not decide it. If names are read byte by byte, they take 25 % of the time of a cut event.
    #[inline(always)]
    pub(super) fn field(&self) -> Option<(Field, usize)> {
        let word = self.word(0)?;
        let field = |field: Field, length: Option<usize>| length.map(|length| (field, length));
        field(Field::Data, name_length(word, b"data: "))
            .or_else(|| field(Field::Event, name_length(word, b"event: ")))
            .or_else(|| field(Field::Id, name_length(word, b"id: ")))
    }

    #[inline(always)]
    fn forget_text(&mut self) {
        self.text_read = self.text.len();
    }

    #[inline(always)]
    fn word(&self, at: usize) -> Option<u64> {
        self.rest.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
    }

    /// The next event, if it lies whole in the chunk and is written as most are: at most one `event`
    /// and one `id` line, a `data` line and a blank line; and if it is within the limits, and UTF-8.
    /// Otherwise nothing is read.
    ///
    /// Such an event needs no buffer and half the time; a token event needs a third of it.
    #[inline(always)]
    pub(super) fn take_event(&mut self, limits: &Limits) -> Option<WholeEvent<'i>> {
        let mut at = 0;
        let (mut name, mut id) = (None, None);
        let data = loop {
            let word = self.word(at)?;
            if let Some(length) = name_length(word, b"data: ") {
                break at + length;
            }
            if let (Some(length), None) = (name_length(word, b"event: "), name) {
                (name, at) = self.value(at + length)?;
            } else if let (Some(length), None) = (name_length(word, b"id: "), id) {
                (id, at) = self.value(at + length)?;
            } else {
                return None;
            }
        };
        let end = self.line_end(data)?;
        let next = if self.rest.get(end..end + 2) == Some(b"\n\n") {
            end + 2
        } else if self.rest.get(end..end + 4) == Some(b"\r\n\r\n") {
            end + 4
        } else {
            return None;
        };
        if end > self.text.len() - self.text_read {
            self.check(end)?;
        }
        let text = |(start, end): Span| self.text.get(self.text_read + start..self.text_read + end);
        let data = text((data, end))?;
        let name = name.map_or(Some(""), text)?;
        let mut length = name.len() + data.len();
        let id = if let Some(id) = id {
            let id = text(id)?;
            if id.len() > limits.max_id_bytes || id.contains('\0') {
                return None;
            }
            length += id.len();
            Some(id)
        } else {
            None
        };
        if length > limits.max_event_bytes {
            return None;
        }
        self.rest = self.rest.get(next..)?;
        self.text_read = self.text.len().min(self.text_read + next);
        Some(WholeEvent { name, data, id })
    }

    /// The place of the value that begins at `start`, and where the next line begins.
    #[inline(always)]
    fn value(&mut self, start: usize) -> Option<(Option<Span>, usize)> {
        let end = self.line_end(start)?;
        let is_crlf = self.rest.get(end) == Some(&b'\r') && self.rest.get(end + 1) == Some(&b'\n');
        Some((Some((start, end)), if is_crlf { end + 2 } else { end + 1 }))
    }

    /// Where the line that goes on at `from` ends, if it does in this chunk.
    #[inline(always)]
    fn line_end(&mut self, from: usize) -> Option<usize> {
        let rest = self.rest.get(from..)?;
        let end = find_line_end(rest);
        if end.is_none() {
            self.without_line_end = rest.len();
        }
        Some(from + end?)
    }

    /// Checks that the bytes up to `end` are UTF-8.
    #[inline(never)]
    fn check(&mut self, end: usize) -> Option<()> {
        let ahead = if self.checks_ahead { CHECKED_AHEAD.min(self.rest.len()) } else { 0 };
        self.checks_ahead = true;
        self.text_read = 0;
        let bytes = self.rest.get(..end.max(ahead))?;
        self.text = match from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => from_utf8(bytes.get(..error.valid_up_to())?).ok()?,
        };
        (end <= self.text.len()).then_some(())
    }
}

/// The length of this name, colon and space, or without the space, if the word begins with them.
///
/// The space is a branch, because branches are predicted. Adding 0 or 1 has to wait for the word, which
/// makes decoding 15 % slower.
#[inline(always)]
fn name_length<const LENGTH: usize>(word: u64, name: &[u8; LENGTH]) -> Option<usize> {
    let name = name.iter().rev().fold(0, |name, byte| name << 8 | u64::from(*byte)) << (64 - 8 * LENGTH);
    if word << (64 - 8 * LENGTH) == name {
        Some(LENGTH)
    } else if word << (72 - 8 * LENGTH) == name << 8 {
        Some(LENGTH - 1)
    } else {
        None
    }
}

/// Shows the size, and nothing of the stream.
impl fmt::Debug for Chunk<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Chunk").field("bytes", &self.rest.len()).finish_non_exhaustive()
    }
}
