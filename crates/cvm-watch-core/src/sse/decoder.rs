use super::block::{Block, Lent, TooLarge};
use super::event::{Event, Item};
use super::limits::Limits;
use super::line::{self, Field, Line, Name, RetryValue};
use super::scan::{LineEnd, split_line};
use alloc::string::String;
use core::fmt;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Reads a `text/event-stream` from chunks of bytes. See the [module](super) for what it promises.
///
/// Use one per stream, and [`reset`](Decoder::reset) it when the stream is opened anew. [`Default`]
/// has [`Limits::default`].
#[derive(Default)]
pub struct Decoder {
    limits: Limits,
    block: Block,
    /// The line that a chunk ended in. While it is not [`Line::Empty`], nothing is lent.
    line: Line,
    last_event_id: String,
    /// Bytes of the byte order mark seen; 3 also when it is known that there is none.
    bom: u8,
    /// The last chunk ended with CR: an LF that comes next is part of that line end.
    after_cr: bool,
}

/// What ends a call, before it borrows.
enum Step {
    Event,
    Retry(u64),
}

impl Decoder {
    /// A decoder at the start of a stream, with an empty last event id.
    #[must_use]
    pub fn new(limits: Limits) -> Decoder {
        Decoder { limits, ..Decoder::default() }
    }

    /// Reads on until the next item. None: the input is used up, and what was unfinished is kept
    /// inside.
    ///
    /// Takes from the front of `input` just the bytes read: up to and including the line end that
    /// completes the item (an LF after CR may be left for the next call if it is not in `input`
    /// yet). An event that is too large is reported as soon as the bytes given prove it, in the
    /// middle of a line if need be.
    ///
    /// ```
    /// use cvm_watch_core::sse::{Decoder, Item};
    ///
    /// let mut decoder = Decoder::default();
    /// let mut input = b"event: state\ndata: 1\n\ndata: 2".as_slice();
    /// let Some(Item::Event(event)) = decoder.decode(&mut input) else { unreachable!() };
    /// assert_eq!((event.name, event.data, event.id), ("state", "1", ""));
    /// assert_eq!(input, b"data: 2");
    /// assert_eq!(decoder.decode(&mut input), None);
    /// assert!(input.is_empty());
    /// ```
    pub fn decode<'d, 'i: 'd>(&'d mut self, input: &mut &'i [u8]) -> Option<Item<'d>> {
        self.block.recycle();
        let mut lent = Lent::default();
        match self.advance(input, &mut lent) {
            Ok(Some(Step::Event)) => Some(Item::Event(Event {
                name: self.block.name(lent),
                data: self.block.data(lent),
                id: &self.last_event_id,
            })),
            Ok(Some(Step::Retry(milliseconds))) => {
                self.block.hold(&mut lent, &self.limits);
                Some(Item::Retry(milliseconds))
            }
            Ok(None) => {
                self.block.hold(&mut lent, &self.limits);
                None
            }
            Err(TooLarge) => {
                self.block.drop_rest();
                Some(Item::TooLarge { limit: self.limits.max_event_bytes })
            }
        }
    }

    /// Begins a new stream, as after a reconnect: what is unfinished is dropped, the last event id
    /// stays.
    ///
    /// ```
    /// use cvm_watch_core::sse::{Decoder, Item};
    ///
    /// let mut decoder = Decoder::default();
    /// decoder.decode(&mut b"id: 7\ndata: whole\n\n".as_slice());
    /// decoder.decode(&mut b"id: 8\ndata: cut off".as_slice());
    /// decoder.reset();
    /// let mut input = b"data: new\n\n".as_slice();
    /// let Some(Item::Event(event)) = decoder.decode(&mut input) else { unreachable!() };
    /// assert_eq!((event.data, event.id), ("new", "7"));
    /// ```
    pub fn reset(&mut self) {
        self.block.clear();
        self.line = Line::Empty;
        self.bom = 0;
        self.after_cr = false;
    }

    /// The id to resume from (`Last-Event-ID`): that of the last `id:` line whose event block was
    /// complete.
    ///
    /// A block without data sets it too. Empty: there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The bytes held on the heap.
    ///
    /// At most [`max_event_bytes`](Limits::max_event_bytes) and a quarter for the event being read,
    /// twice the longest id and a quarter (the last event id, and the line that may replace it),
    /// and a few KiB. Events that lie whole in their chunk need none of it.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.block.capacity() + self.last_event_id.capacity()
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8], lent: &mut Lent<'i>) -> Result<Option<Step>, TooLarge> {
        self.skip_mark(input);
        while let Some((line, end, rest)) = split_line(input) {
            *input = rest;
            self.after_cr = end == LineEnd::MayGoOn;
            let step = if let Line::Empty = self.line {
                self.whole_line(line, lent)
            } else {
                self.feed_line(line).and_then(|()| self.end_line())
            };
            self.line = Line::Empty;
            if !matches!(step, Ok(None)) {
                return step;
            }
        }
        let cut = core::mem::take(input);
        self.block.hold(lent, &self.limits);
        let fed = self.feed_line(cut);
        if fed.is_err() {
            self.line = Line::Skipped;
        }
        fed.map(|()| None)
    }

    /// Skips what opens the input but belongs to no line: the LF of a cut CRLF, the byte order
    /// mark.
    fn skip_mark(&mut self, input: &mut &[u8]) {
        if self.after_cr
            && let Some((&first, rest)) = input.split_first()
        {
            self.after_cr = false;
            if first == b'\n' {
                *input = rest;
            }
        }
        while let Some(&expected) = BOM.get(usize::from(self.bom))
            && let Some((&byte, rest)) = input.split_first()
        {
            if byte == expected {
                self.bom += 1;
                *input = rest;
            } else {
                // A part of a mark is text: no known field's name begins so.
                self.line = if self.bom > 0 { Line::Skipped } else { Line::Empty };
                self.bom = 3;
            }
        }
    }

    fn whole_line<'i>(&mut self, line: &'i [u8], lent: &mut Lent<'i>) -> Result<Option<Step>, TooLarge> {
        if line.is_empty() {
            return Ok(self.block.end(lent, &mut self.last_event_id).then_some(Step::Event));
        }
        if self.block.is_dropped() {
            return Ok(None);
        }
        let Some((field, value)) = line::split(line) else {
            return Ok(None);
        };
        if field == Field::Retry {
            return Ok(RetryValue::default().read(value).milliseconds().map(Step::Retry));
        }
        if self.block.lend(field, value, lent, &self.limits)? {
            return Ok(None);
        }
        if field != Field::Id {
            self.block.hold(lent, &self.limits);
        }
        self.block.begin(field, &self.limits)?;
        self.block.feed(field, value, lent, &self.limits)?;
        self.block.finish(field, lent, &self.limits)?;
        Ok(None)
    }

    /// Reads `bytes`, a part of a line without its end.
    fn feed_line(&mut self, mut bytes: &[u8]) -> Result<(), TooLarge> {
        while let Some((&first, rest)) = bytes.split_first() {
            match self.line {
                Line::Empty if self.block.is_dropped() => self.line = Line::Skipped,
                Line::Empty => self.line = Line::Name(Name::default()),
                Line::Name(name) => {
                    self.line = name.read(first);
                    bytes = rest;
                    if let Line::Colon(field) = self.line {
                        self.block.begin(field, &self.limits)?;
                    }
                }
                Line::Colon(field) => {
                    self.line = match field {
                        Field::Retry => Line::Retry(RetryValue::default()),
                        Field::Data | Field::Event | Field::Id => Line::Value(field),
                    };
                    if first == b' ' {
                        bytes = rest;
                    }
                }
                Line::Value(field) => {
                    return self.block.feed(field, bytes, &Lent::default(), &self.limits);
                }
                Line::Retry(value) => {
                    self.line = Line::Retry(value.read(bytes));
                    return Ok(());
                }
                Line::Skipped => return Ok(()),
            }
        }
        Ok(())
    }

    /// Ends a line that was read by [`Self::feed_line`].
    fn end_line(&mut self) -> Result<Option<Step>, TooLarge> {
        let field = match self.line {
            Line::Name(name) => name.field().filter(|&field| field != Field::Retry),
            Line::Colon(field) | Line::Value(field) => Some(field),
            Line::Retry(value) => return Ok(value.milliseconds().map(Step::Retry)),
            Line::Empty | Line::Skipped => None,
        };
        if let Some(field) = field {
            if let Line::Name(_) = self.line {
                self.block.begin(field, &self.limits)?;
            }
            self.block.finish(field, &Lent::default(), &self.limits)?;
        }
        Ok(None)
    }
}

/// Shows the limits and sizes, never what the stream said.
impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("buffered_bytes", &self.buffered_bytes())
            .finish_non_exhaustive()
    }
}
