use super::block::{Block, Lent, TooLarge};
use super::event::{Event, Item};
use super::input::{Ahead, Input, Span};
use super::items::Items;
use super::limits::Limits;
use super::line::{self, Field, Line, Name, RetryValue};
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
    /// The input is used up.
    Wait,
    Event,
    Retry(u64),
    TooLarge,
}

impl From<TooLarge> for Step {
    fn from(_: TooLarge) -> Step {
        Step::TooLarge
    }
}

impl Decoder {
    /// A decoder at the start of a stream, with an empty last event id.
    #[must_use]
    pub fn new(limits: Limits) -> Decoder {
        Decoder { limits, ..Decoder::default() }
    }

    /// Reads a chunk, item by item: the fast way when all of them are wanted.
    ///
    /// The same items as by [`decode`](Self::decode), which forgets between calls what it has
    /// learnt of the bytes ahead.
    ///
    /// ```
    /// use cvm_watch_sse::{Decoder, Item};
    ///
    /// let mut decoder = Decoder::default();
    /// let mut seen = Vec::new();
    /// for chunk in ["data: 1\n\ndata: 2\n\nda", "ta: 3\n\n"] {
    ///     let mut items = decoder.read(chunk.as_bytes());
    ///     while let Some(item) = items.next_item() {
    ///         if let Item::Event(event) = item {
    ///             seen.push(event.data.to_owned());
    ///         }
    ///     }
    /// }
    /// assert_eq!(seen, ["1", "2", "3"]);
    /// ```
    #[inline]
    pub fn read<'d, 'i>(&'d mut self, chunk: &'i [u8]) -> Items<'d, 'i> {
        Items::new(self, chunk)
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
    /// use cvm_watch_sse::{Decoder, Item};
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
        let mut read = Input::new(input, Ahead::Line);
        let item = self.next(&mut read);
        *input = read.rest();
        item
    }

    /// Begins a new stream, as after a reconnect: what is unfinished is dropped, the last event id
    /// stays.
    ///
    /// ```
    /// use cvm_watch_sse::{Decoder, Item};
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

    /// Gives back the memory of the event handed out last, which is otherwise kept for the next one
    /// if it is a few KiB: worth it where events are seconds apart and decoders many.
    ///
    /// ```
    /// use cvm_watch_sse::Decoder;
    ///
    /// let mut decoder = Decoder::default();
    /// for chunk in ["data: cut some", "where in the middle\n\n"] {
    ///     decoder.decode(&mut chunk.as_bytes());
    /// }
    /// assert!(decoder.buffered_bytes() > 16);
    /// decoder.free_event();
    /// assert_eq!(decoder.buffered_bytes(), 0);
    /// ```
    pub fn free_event(&mut self) {
        self.block.free();
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
    /// At most [`max_event_bytes`](Limits::max_event_bytes) and a half for the event being read,
    /// twice the longest id and a half (the last event id, and the line that may replace it), and a
    /// few KiB. Events that lie whole in their chunk need none of it.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.block.capacity() + self.last_event_id.capacity()
    }

    /// Reads on until the next item.
    #[inline(always)]
    pub(super) fn next<'d, 'i: 'd>(&'d mut self, input: &mut Input<'i>) -> Option<Item<'d>> {
        let at_line_start = matches!(self.line, Line::Empty) && !self.after_cr && self.bom == 3;
        if at_line_start
            && (self.block.is_idle() || self.block.recycle())
            && let Some((name, data)) = input.plain_event(self.limits.max_event_bytes)
        {
            return Some(Item::Event(Event { name, data, id: &self.last_event_id }));
        }
        self.any_next(input)
    }

    /// The same for streams of any shape.
    #[inline(never)]
    fn any_next<'d, 'i: 'd>(&'d mut self, input: &mut Input<'i>) -> Option<Item<'d>> {
        if input.rest().is_empty() {
            return None;
        }
        // A short chunk in the middle of a long value, which adds to it and nothing else.
        if let Line::Value(Field::Data) = self.line
            && let Some(text) = input.plain_rest()
            && self.block.extend_data(text, &self.limits)
        {
            input.take_rest();
            return None;
        }
        self.next_by_lines(input)
    }

    /// Apart, so that what comes before it needs not make room for all that this keeps at hand.
    #[inline(never)]
    fn next_by_lines<'d, 'i: 'd>(&'d mut self, input: &mut Input<'i>) -> Option<Item<'d>> {
        self.block.recycle();
        let mut lent = Lent::default();
        match self.step(input, &mut lent) {
            Step::Wait => None,
            Step::Event => Some(Item::Event(Event {
                name: self.block.name(lent),
                data: self.block.data(lent),
                id: &self.last_event_id,
            })),
            Step::Retry(milliseconds) => Some(Item::Retry(milliseconds)),
            Step::TooLarge => {
                self.block.drop_rest();
                Some(Item::TooLarge { limit: self.limits.max_event_bytes })
            }
        }
    }

    /// Reads on until something ends the call.
    #[inline]
    fn step<'i>(&mut self, input: &mut Input<'i>, lent: &mut Lent<'i>) -> Step {
        if self.after_cr || self.bom < 3 {
            self.skip_mark(input);
        }
        let ended = match self.line {
            Line::Empty => self.whole_lines(input, lent),
            _ => match input.next_line() {
                Some(line) => self.rest_of_line(line, input).and_then(|()| self.whole_lines(input, lent)),
                None => Ok(()),
            },
        };
        match ended {
            Ok(()) => self.end_of_input(input, lent),
            Err(step) => {
                self.after_cr = input.ended_with_cr();
                step
            }
        }
    }

    /// Reads all lines that end in the input, until one ends the call.
    fn whole_lines<'i>(&mut self, input: &mut Input<'i>, lent: &mut Lent<'i>) -> Result<(), Step> {
        while let Some(line) = input.next_line() {
            let bytes = input.bytes(line);
            if bytes.is_empty() {
                if self.block.end(lent, &mut self.last_event_id) {
                    return Err(Step::Event);
                }
            } else if let Some((field, value)) = line::split(bytes) {
                if !self.block.is_dropped() {
                    let text = input.text(Span { start: line.end - value.len(), end: line.end });
                    self.whole_field(field, value, text, input.rest().len(), lent)?;
                }
            } else if self.block.is_idle() {
                input.skip_comments();
            }
        }
        Ok(())
    }

    /// Takes a field whose line lies whole in the input, with `more` bytes after it; `text` is its
    /// value, if that is UTF-8.
    fn whole_field<'i>(
        &mut self,
        field: Field,
        value: &'i [u8],
        text: Option<&'i str>,
        more: usize,
        lent: &mut Lent<'i>,
    ) -> Result<(), Step> {
        match (field, text) {
            (Field::Event | Field::Data, Some(text)) => self.block.take(field, text, more, lent, &self.limits)?,
            (Field::Retry, _) => {
                if let Some(milliseconds) = RetryValue::default().read(value).milliseconds() {
                    self.block.hold(lent, &self.limits);
                    return Err(Step::Retry(milliseconds));
                }
            }
            _ => {
                if field != Field::Id {
                    self.block.hold(lent, &self.limits);
                }
                self.block.begin(field, &self.limits)?;
                self.block.feed(field, value, lent, &self.limits)?;
                self.block.finish(field, lent, &self.limits)?;
            }
        }
        Ok(())
    }

    /// Reads the line that the chunk before was cut in, to its end.
    #[inline(never)]
    fn rest_of_line(&mut self, line: Span, input: &Input<'_>) -> Result<(), Step> {
        let fed = self.feed_line(input.bytes(line));
        let ended = fed.map_err(Step::from).and_then(|()| self.end_line());
        self.line = Line::Empty;
        ended
    }

    /// Keeps what is left: the start of a line that ends in a later chunk.
    fn end_of_input(&mut self, input: &mut Input<'_>, lent: &mut Lent<'_>) -> Step {
        self.block.hold(lent, &self.limits);
        let rest = input.take_rest();
        if rest.is_empty() {
            self.after_cr |= input.ended_with_cr();
            return Step::Wait;
        }
        match self.feed_line(rest) {
            Ok(()) => Step::Wait,
            Err(TooLarge) => {
                self.line = Line::Skipped;
                Step::TooLarge
            }
        }
    }

    /// Skips what opens the input but belongs to no line: the LF of a cut CRLF, the byte order
    /// mark.
    fn skip_mark(&mut self, input: &mut Input<'_>) {
        if self.after_cr
            && let Some(&first) = input.rest().first()
        {
            self.after_cr = false;
            if first == b'\n' {
                input.skip(1);
            }
        }
        while let Some(&expected) = BOM.get(usize::from(self.bom))
            && let Some(&byte) = input.rest().first()
        {
            if byte == expected {
                self.bom += 1;
                input.skip(1);
            } else {
                // A part of a mark is text: no known field's name begins so.
                self.line = if self.bom > 0 { Line::Skipped } else { Line::Empty };
                self.bom = 3;
            }
        }
    }

    /// Reads `bytes`, a part of a line without its end.
    fn feed_line(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let Some(&first) = bytes.first() else { return Ok(()) };
        match self.line {
            Line::Empty if self.block.is_dropped() => self.line = Line::Skipped,
            Line::Empty => match line::split(bytes) {
                // Nearly always the chunk has the field's name, and more.
                Some((field @ (Field::Data | Field::Event | Field::Id), value @ [_, ..])) => {
                    self.line = Line::Value(field);
                    self.block.begin(field, &self.limits)?;
                    self.block.feed(field, value, &Lent::default(), &self.limits)?;
                }
                _ => match Field::beginning_with(first) {
                    Some(field) => self.feed_name(Name::of(field), bytes)?,
                    None => self.line = Line::Skipped,
                },
            },
            Line::Name(name) => self.feed_name(name, bytes)?,
            Line::Colon(field) => self.feed_first_of_value(field, bytes)?,
            Line::Value(field) => self.block.feed(field, bytes, &Lent::default(), &self.limits)?,
            Line::Retry(value) => self.line = Line::Retry(value.read(bytes)),
            Line::Skipped => {}
        }
        Ok(())
    }

    fn feed_name(&mut self, name: Name, bytes: &[u8]) -> Result<(), TooLarge> {
        let (line, read) = name.read(bytes);
        self.line = line;
        let Line::Colon(field) = line else { return Ok(()) };
        self.block.begin(field, &self.limits)?;
        self.feed_first_of_value(field, bytes.get(read..).unwrap_or_default())
    }

    /// Reads what comes after the colon.
    fn feed_first_of_value(&mut self, field: Field, bytes: &[u8]) -> Result<(), TooLarge> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.line = if field == Field::Retry { Line::Retry(RetryValue::default()) } else { Line::Value(field) };
        // It is in the value now, so this comes here no more.
        self.feed_line(bytes.strip_prefix(b" ").unwrap_or(bytes))
    }

    /// Ends a line that was read by [`Self::feed_line`].
    fn end_line(&mut self) -> Result<(), Step> {
        let field = match self.line {
            Line::Name(name) => name.field().filter(|&field| field != Field::Retry),
            Line::Colon(field) | Line::Value(field) => Some(field),
            Line::Retry(value) => return value.milliseconds().map_or(Ok(()), |number| Err(Step::Retry(number))),
            Line::Empty | Line::Skipped => None,
        };
        if let Some(field) = field {
            if let Line::Name(_) = self.line {
                self.block.begin(field, &self.limits)?;
            }
            self.block.finish(field, &Lent::default(), &self.limits)?;
        }
        Ok(())
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
