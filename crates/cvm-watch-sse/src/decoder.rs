use super::block::{self, Block, Found, TooLarge};
use super::chunk::{Chunk, Field};
use super::event::{Event, Item};
use super::limits::Limits;
use super::scan::{find_field, is_line_end};
use alloc::string::String;
use core::fmt;

/// Decodes a `text/event-stream` from chunks of bytes. The [crate](crate) documentation says what it
/// promises.
///
/// Use one decoder per stream, and [`reset`](Decoder::reset) it before the stream is opened again.
/// [`Default`] has [`Limits::default`].
#[derive(Default)]
pub struct Decoder {
    limits: Limits,
    at: At,
    /// The event being read, unless it lies whole in the chunk.
    block: Block,
    last_event_id: String,
}

/// How far the stream was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the start of the stream, in what may be a byte order mark; as in `Name`.
    Mark(u64),
    /// At the start of a line.
    Start,
    /// At the start of a line, but an LF that comes next belongs to the line before.
    AfterCr,
    /// In the name of a field: its bytes so far, as one number that begins with a 1.
    Name(u64),
    /// After the colon: a space that comes next is not part of the value.
    Colon(Field),
    Value(Field),
    /// In a comment, an unknown field or a line of a dropped event.
    Skipped,
}

impl Default for At {
    fn default() -> At {
        At::Mark(1)
    }
}

impl Decoder {
    /// A decoder at the start of a stream, with an empty last event id.
    #[must_use]
    pub fn new(limits: Limits) -> Decoder {
        // So that three times the bytes of an event can be counted.
        let limits = limits.max_event_bytes(limits.max_event_bytes.min(usize::MAX / 4));
        Decoder { limits, ..Decoder::default() }
    }

    /// Reads on to the next item. None: the chunk is used up, and an unfinished event is kept in the
    /// decoder.
    ///
    /// Reads up to and including the line end that completes the item; [`Chunk::rest`] is what comes
    /// after it. An event over the limit is reported in the middle of its line, if need be.
    ///
    /// ```
    /// use cvm_watch_sse::{Chunk, Decoder, Item};
    ///
    /// let mut decoder = Decoder::default();
    /// let mut chunk = Chunk::new(b"event: state\ndata: 1\n\ndata: 2");
    /// let Some(Item::Event(event)) = decoder.decode(&mut chunk) else { unreachable!() };
    /// assert_eq!((event.name, event.data, event.id), ("state", "1", ""));
    /// assert_eq!(chunk.rest(), b"data: 2");
    /// assert_eq!(decoder.decode(&mut chunk), None);
    /// assert!(chunk.rest().is_empty());
    /// ```
    // Inlined, so that an event that lies whole in its chunk needs no call: token events are 35 % faster.
    #[inline(always)]
    pub fn decode<'d, 'i: 'd>(&'d mut self, chunk: &mut Chunk<'i>) -> Option<Item<'d>> {
        self.block.recycle();
        while let Some(first) = chunk.first() {
            if self.block.is_idle() {
                if self.at == At::Start {
                    if let Some(event) = chunk.take_event(&self.limits) {
                        if let Some(id) = event.id {
                            block::set(&mut self.last_event_id, id);
                        }
                        return Some(Item::Event(Event {
                            name: event.name,
                            data: event.data,
                            id: &self.last_event_id,
                        }));
                    }
                    if is_line_end(first) {
                        chunk.skip(1);
                        continue;
                    }
                    if first == b':' {
                        self.skip_comments(true, chunk);
                        continue;
                    }
                } else if self.at == At::Skipped {
                    self.skip_comments(false, chunk);
                    continue;
                }
            }
            let found = match self.at {
                At::Value(field) => self.value(field, chunk),
                At::Start => self.line(first, chunk),
                At::Name(name) => self.name(name, chunk),
                _ => self.other(first, chunk),
            };
            match found {
                Ok(Found::Nothing) => {}
                Ok(Found::Event) => {
                    let (name, data) = self.block.event();
                    return Some(Item::Event(Event { name, data, id: &self.last_event_id }));
                }
                Ok(Found::Retry(milliseconds)) => return Some(Item::Retry(milliseconds)),
                Err(TooLarge) => {
                    self.drop_event();
                    return Some(Item::TooLarge { limit: self.limits.max_event_bytes });
                }
            }
        }
        self.block.wait();
        None
    }

    /// Begins a new stream, as after a reconnect: an unfinished event is dropped, the last event id
    /// stays.
    ///
    /// ```
    /// use cvm_watch_sse::{Chunk, Decoder, Item};
    ///
    /// let mut decoder = Decoder::default();
    /// decoder.decode(&mut Chunk::new(b"id: 7\ndata: whole\n\n"));
    /// decoder.decode(&mut Chunk::new(b"id: 8\ndata: cut off"));
    /// decoder.reset();
    /// let mut chunk = Chunk::new(b"data: new\n\n");
    /// let Some(Item::Event(event)) = decoder.decode(&mut chunk) else { unreachable!() };
    /// assert_eq!((event.data, event.id), ("new", "7"));
    /// ```
    pub fn reset(&mut self) {
        self.block.clear();
        self.at = At::default();
    }

    /// Frees the buffers of the last event, of which a few KiB are otherwise kept for the next one:
    /// for many decoders whose events are seconds apart. An unfinished event stays.
    ///
    /// ```
    /// use cvm_watch_sse::{Chunk, Decoder};
    ///
    /// let mut decoder = Decoder::default();
    /// for chunk in ["data: cut some", "where in the middle\n\n"] {
    ///     decoder.decode(&mut Chunk::new(chunk.as_bytes()));
    /// }
    /// assert!(decoder.buffered_bytes() > 16);
    /// decoder.free_event();
    /// assert_eq!(decoder.buffered_bytes(), 0);
    /// ```
    pub fn free_event(&mut self) {
        self.block.free();
    }

    /// The id to resume from (`Last-Event-ID`), empty if there is none: that of the last `id:` line
    /// whose event block was completed by a blank line, with or without data.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The bytes held on the heap.
    ///
    /// At most [`max_event_bytes`](Limits::max_event_bytes()) and a half for the event being read, twice
    /// the longest id and a half (the last event id, and the line that may replace it), and a few
    /// KiB; while an event is lent that is not valid UTF-8, as much again. Between two events, the
    /// last event id and a few KiB.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.block.capacity() + self.last_event_id.capacity()
    }

    /// Skips comments and blank lines between two events.
    // Each handler is a separate function. One function for all would save and restore registers at
    // each call, which costs more than most of the work in a chunk of a few bytes.
    #[inline(never)]
    fn skip_comments(&mut self, starts_line: bool, chunk: &mut Chunk<'_>) {
        let rest = chunk.rest();
        let (count, at) = match find_field(rest, starts_line) {
            Ok(place) => (place, At::Start),
            Err(true) => (rest.len(), At::Start),
            Err(false) => (rest.len(), At::Skipped),
        };
        chunk.skip(count);
        self.at = at;
    }

    /// Reads a line from its start.
    #[inline(never)]
    fn line(&mut self, first: u8, chunk: &mut Chunk<'_>) -> Result<Found, TooLarge> {
        if is_line_end(first) {
            self.end_line(chunk);
            return Ok(self.block.end(&mut self.last_event_id));
        }
        if self.block.is_dropped() {
            return self.name(1, chunk);
        }
        let Some((mut field, mut length)) = chunk.field() else { return self.name(1, chunk) };
        loop {
            chunk.skip(length);
            self.at = At::Value(field);
            self.block.begin_line(field, &self.limits)?;
            let found = self.value(field, chunk)?;
            // The next line of the block, without leaving: 64 KiB events of 1 KiB lines are 8 % faster.
            match chunk.field() {
                Some(next) if self.at == At::Start && matches!(found, Found::Nothing) => (field, length) = next,
                _ => return Ok(found),
            }
        }
    }

    /// Reads on in the name of a field.
    #[inline(never)]
    fn name(&mut self, mut name: u64, chunk: &mut Chunk<'_>) -> Result<Found, TooLarge> {
        while let Some(byte) = chunk.first() {
            if is_line_end(byte) {
                self.end_line(chunk);
                let Some(field) = self.field(name) else { break };
                self.block.begin_line(field, &self.limits)?;
                return self.block.push(field, b"", true, &self.limits);
            }
            chunk.skip(1);
            if byte == b':' {
                let field = self.field(name);
                self.at = field.map_or(At::Skipped, At::Colon);
                field.map_or(Ok(()), |field| self.block.begin_line(field, &self.limits))?;
                break;
            }
            name = name << 8 | u64::from(byte);
            self.at = At::Name(name);
            if name >> 48 != 0 {
                // Longer than any name.
                self.at = At::Skipped;
                break;
            }
        }
        Ok(Found::Nothing)
    }

    /// Reads on in a value.
    #[inline(never)]
    fn value(&mut self, field: Field, chunk: &mut Chunk<'_>) -> Result<Found, TooLarge> {
        let (part, ends) = chunk.take_line();
        if ends {
            self.end_line(chunk);
        }
        self.block.push(field, part, ends, &self.limits)
    }

    #[inline(never)]
    fn other(&mut self, first: u8, chunk: &mut Chunk<'_>) -> Result<Found, TooLarge> {
        match self.at {
            At::Mark(mark) => {
                let longer = mark << 8 | u64::from(first);
                let is_mark = matches!(longer, 0x01_ef | 0x01_ef_bb | 0x01_ef_bb_bf);
                chunk.skip(usize::from(is_mark));
                self.at = match longer {
                    0x01_ef_bb_bf => At::Start,
                    _ if is_mark => At::Mark(longer),
                    _ if mark == 1 => At::Start,
                    // A part of a mark belongs to the first name.
                    _ => At::Name(mark),
                };
            }
            At::AfterCr => {
                chunk.skip(usize::from(first == b'\n'));
                self.at = At::Start;
            }
            At::Colon(field) => {
                chunk.skip(usize::from(first == b' '));
                self.at = At::Value(field);
            }
            _ => {
                if let (_, true) = chunk.take_line() {
                    self.end_line(chunk);
                }
            }
        }
        Ok(Found::Nothing)
    }

    /// The field of this name. None: it is unknown, or of a dropped event.
    fn field(&self, name: u64) -> Option<Field> {
        const DATA: u64 = u64::from_be_bytes(*b"\0\0\0\x01data");
        const EVENT: u64 = u64::from_be_bytes(*b"\0\0\x01event");
        const ID: u64 = u64::from_be_bytes(*b"\0\0\0\0\0\x01id");
        const RETRY: u64 = u64::from_be_bytes(*b"\0\0\x01retry");
        match name {
            _ if self.block.is_dropped() => None,
            DATA => Some(Field::Data),
            EVENT => Some(Field::Event),
            ID => Some(Field::Id),
            RETRY => Some(Field::Retry),
            _ => None,
        }
    }

    #[inline(always)]
    fn end_line(&mut self, chunk: &mut Chunk<'_>) {
        self.at = if chunk.skip_line_end() { At::Start } else { At::AfterCr };
    }

    #[inline(never)]
    fn drop_event(&mut self) {
        if let At::Colon(_) | At::Value(_) = self.at {
            self.at = At::Skipped;
        }
        self.block.drop_rest();
    }
}

/// Shows the limits and sizes, and nothing of the stream.
impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("buffered_bytes", &self.buffered_bytes())
            .finish_non_exhaustive()
    }
}
