use super::chunk::Field;
use super::limits::Limits;
use super::scan::from_utf8;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::str::Utf8Chunk;

/// The capacity that a buffer may keep when it is emptied.
const KEPT: usize = 4 * 1024;

/// The lines between two blank lines, for an event that does not lie whole in a chunk.
#[derive(Default)]
pub(super) struct Block {
    phase: Phase,
    has_data: bool,
    sets_id: bool,
    /// The value of the line makes it void: an id with NUL, a retry that is not a number.
    is_void: bool,
    name: String,
    /// What the blank line makes the last event id, if the block `sets_id`.
    id: String,
    /// The values of the complete data lines, joined by LF, then that of the line being read. The bytes are
    /// kept as they came, and checked for UTF-8 once, at the end of the event.
    data: Vec<u8>,
    /// The length of the complete data lines.
    lines: usize,
    /// The length of the part of these lines that was decoded already, to know how long the text is.
    decoded: usize,
    /// The data of the event that was dispatched, if `data` is not UTF-8.
    repaired: Option<Box<str>>,
    /// The number of a `retry` line, if it `has_digits`.
    retry: u64,
    has_digits: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// No field came yet: a blank line changes nothing.
    #[default]
    Idle,
    Open,
    /// Its event is lent until the next call.
    Dispatched,
    /// It outgrew the limit, and its remaining lines are skipped.
    Dropped,
}

/// What a line brought.
pub(super) enum Found {
    Nothing,
    Event,
    Retry(u64),
}

/// The block outgrew the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Block {
    /// Begins a new block if the event of this one was lent.
    #[inline(always)]
    pub(super) fn recycle(&mut self) {
        if self.phase == Phase::Dispatched {
            self.recycle_event();
        }
    }

    #[inline(never)]
    fn recycle_event(&mut self) {
        self.phase = Phase::Idle;
        self.has_data = false;
        set(&mut self.name, "");
        self.repaired = None;
        // A large buffer is kept while events need it. Without that, 64 KiB events take 35 % longer.
        if self.data.capacity() > KEPT.max(2 * self.data.len()) {
            self.data = Vec::new();
        }
        self.data.clear();
        (self.lines, self.decoded) = (0, 0);
    }

    /// Frees the buffers of the event before the one being read, if none is.
    pub(super) fn free(&mut self) {
        match self.phase {
            Phase::Dispatched => self.clear(),
            // A `retry` line may be half read, which has no buffer.
            Phase::Idle if self.capacity() > 0 => {
                (self.name, self.id, self.data) = (String::new(), String::new(), Vec::new());
            }
            _ => {}
        }
    }

    /// Drops everything and frees the memory.
    #[inline(never)]
    pub(super) fn clear(&mut self) {
        *self = Block::default();
    }

    /// Skips the remaining lines.
    pub(super) fn drop_rest(&mut self) {
        self.clear();
        self.phase = Phase::Dropped;
    }

    /// The chunk is used up: between two events no large buffer is kept.
    #[inline(always)]
    pub(super) fn wait(&mut self) {
        if self.phase == Phase::Idle && self.data.capacity() > KEPT {
            self.data = Vec::new();
        }
    }

    #[inline(always)]
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    #[inline(always)]
    pub(super) fn is_dropped(&self) -> bool {
        self.phase == Phase::Dropped
    }

    pub(super) fn capacity(&self) -> usize {
        self.name.capacity()
            + self.id.capacity()
            + self.data.capacity()
            + self.repaired.as_ref().map_or(0, |text| text.len())
    }

    /// The name and data of the event that was dispatched.
    #[inline(always)]
    pub(super) fn event(&mut self) -> (&str, &str) {
        let data = match from_utf8(&self.data) {
            Ok(data) => data,
            Err(_) => self.repaired.insert(String::from_utf8_lossy(&self.data).into()),
        };
        (&self.name, data)
    }

    /// Begins a line of this field.
    #[inline(always)]
    pub(super) fn begin_line(&mut self, field: Field, limits: &Limits) -> Result<(), TooLarge> {
        self.is_void = false;
        match field {
            Field::Data => {
                if mem::replace(&mut self.has_data, true) {
                    self.append(b"\n", limits)?;
                    self.lines = self.data.len();
                }
            }
            Field::Event => self.name.clear(),
            Field::Id => {}
            Field::Retry => {
                (self.retry, self.has_digits) = (0, false);
                return Ok(());
            }
        }
        self.phase = Phase::Open;
        Ok(())
    }

    /// Adds a part of the line's value, the last one if the line `ends`.
    #[inline(always)]
    pub(super) fn push(&mut self, field: Field, part: &[u8], ends: bool, limits: &Limits) -> Result<Found, TooLarge> {
        match field {
            Field::Data => {
                self.append(part, limits)?;
                if ends {
                    self.lines = self.data.len();
                    self.judge(0, limits)?;
                }
                Ok(Found::Nothing)
            }
            Field::Event | Field::Id => self.push_other(field, part, ends, limits).map(|()| Found::Nothing),
            Field::Retry => Ok(self.push_retry(part, ends)),
        }
    }

    /// Adds to `data`, within the limit.
    #[inline(always)]
    fn append(&mut self, part: &[u8], limits: &Limits) -> Result<(), TooLarge> {
        self.judge(part.len(), limits)?;
        append(&mut self.data, part, limits.max_event_bytes);
        Ok(())
    }

    /// The same for an `event` or `id` line.
    #[inline(never)]
    fn push_other(&mut self, field: Field, part: &[u8], ends: bool, limits: &Limits) -> Result<(), TooLarge> {
        let is_whole = ends && self.data.len() == self.lines;
        if field == Field::Event && !is_whole {
            self.append(part, limits)?;
        } else if !is_whole {
            // An id is judged at the end of its line, because a NUL may still void it. One byte more than
            // its limit is kept, which shows that it is too long.
            let most = self.lines.saturating_add(limits.longest_id()).saturating_add(1);
            let part = part.get(..most - self.data.len()).unwrap_or(part);
            append(&mut self.data, part, most);
        }
        self.is_void |= field == Field::Id && part.contains(&0);
        if !ends {
            return Ok(());
        }
        let value = if is_whole { part } else { self.data.get(self.lines..).unwrap_or_default() };
        if field == Field::Event {
            set(&mut self.name, &decode(value, limits.max_event_bytes)?);
        } else if !self.is_void {
            let id = match decode(value, limits.longest_id()) {
                Err(TooLarge) if limits.max_id_bytes > limits.max_event_bytes => return Err(TooLarge),
                id => id.unwrap_or_default(),
            };
            set(&mut self.id, &id);
            self.sets_id = true;
        }
        if !is_whole {
            self.data.truncate(self.lines);
            if self.data.capacity() > KEPT.max(2 * self.lines) {
                self.data.shrink_to_fit();
            }
        }
        self.judge(0, limits)
    }

    /// The same for a `retry` line.
    #[inline(never)]
    fn push_retry(&mut self, part: &[u8], ends: bool) -> Found {
        self.has_digits |= !part.is_empty();
        for &byte in part {
            self.is_void |= !byte.is_ascii_digit();
            self.retry = self.retry.saturating_mul(10).saturating_add(u64::from(byte.wrapping_sub(b'0')));
        }
        if ends && self.has_digits && !self.is_void { Found::Retry(self.retry) } else { Found::Nothing }
    }

    /// Ends the block at a blank line. Its event, if there is one, stays until [`Self::recycle`].
    #[inline(always)]
    pub(super) fn end(&mut self, last_event_id: &mut String) -> Found {
        if mem::take(&mut self.sets_id) {
            mem::swap(last_event_id, &mut self.id);
            set(&mut self.id, "");
        }
        if self.has_data {
            self.phase = Phase::Dispatched;
            return Found::Event;
        }
        self.phase = Phase::Idle;
        set(&mut self.name, "");
        Found::Nothing
    }

    /// Whether the event is within the limit, with so many bytes more.
    #[inline(always)]
    fn judge(&mut self, more: usize, limits: &Limits) -> Result<(), TooLarge> {
        if self.longest() + more <= limits.max_event_bytes { Ok(()) } else { self.judge_exactly(more, limits) }
    }

    /// The same, with the complete lines decoded.
    #[inline(never)]
    fn judge_exactly(&mut self, more: usize, limits: &Limits) -> Result<(), TooLarge> {
        let value = self.data.split_off(self.lines);
        let text = decode(self.data.get(self.decoded..).unwrap_or_default(), limits.max_event_bytes)?;
        if let Cow::Owned(text) = text {
            self.data.truncate(self.decoded);
            self.data.extend_from_slice(text.as_bytes());
        }
        self.lines = self.data.len();
        self.decoded = self.lines;
        self.data.extend_from_slice(&value);
        if self.longest() + more <= limits.max_event_bytes { Ok(()) } else { Err(TooLarge) }
    }

    /// The most bytes that the event can have when its lines are decoded: a byte becomes three at
    /// most, those of U+FFFD.
    #[inline(always)]
    fn longest(&self) -> usize {
        self.name.len() + self.id.len() + self.data.len() + 2 * (self.lines - self.decoded)
    }
}

/// The text of these bytes, with U+FFFD for what is not UTF-8, if it has at most so many bytes.
#[inline]
fn decode(bytes: &[u8], most: usize) -> Result<Cow<'_, str>, TooLarge> {
    let length =
        |chunk: Utf8Chunk<'_>| chunk.valid().len() + if chunk.invalid().is_empty() { 0 } else { "\u{FFFD}".len() };
    match from_utf8(bytes) {
        Ok(text) if text.len() <= most => Ok(Cow::Borrowed(text)),
        Err(_) if bytes.utf8_chunks().map(length).sum::<usize>() <= most => Ok(String::from_utf8_lossy(bytes)),
        _ => Err(TooLarge),
    }
}

/// Makes `text` equal to `new`, in a buffer that is not much larger.
pub(super) fn set(text: &mut String, new: &str) {
    text.clear();
    if text.capacity() > KEPT.max(2 * new.len()) {
        *text = String::new();
    }
    text.reserve_exact(new.len());
    text.push_str(new);
}

/// Appends to a buffer that never needs to hold over `most` bytes: it grows twofold while it is
/// small, then by a quarter.
#[inline(always)]
fn append(buffer: &mut Vec<u8>, bytes: &[u8], most: usize) {
    if bytes.len() > buffer.capacity() - buffer.len() {
        grow(buffer, bytes.len(), most);
    }
    buffer.extend_from_slice(bytes);
}

#[inline(never)]
fn grow(buffer: &mut Vec<u8>, more: usize, most: usize) {
    // The data of a usual event needs no second growth.
    const LEAST: usize = 192;
    // From here on memory counts for more than copies. At 128 KiB a line of 1 MiB takes 20 % longer.
    const LARGE: usize = 1024 * 1024;
    let capacity = buffer.capacity();
    let ahead = if capacity < LARGE { capacity.max(LEAST) } else { capacity / 4 };
    let needed = buffer.len() + more;
    buffer.reserve_exact((capacity + ahead).min(most).max(needed) - buffer.len());
}

#[cfg(test)]
mod tests {
    use super::{KEPT, append, set};
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn growth_is_rare_and_stops_at_the_most_that_can_be_asked_for() {
        const MOST: usize = 1_000_000;
        let (mut buffer, mut growths) = (Vec::new(), 0);
        for _ in 0..MOST {
            let before = buffer.capacity();
            append(&mut buffer, b"x", MOST);
            growths += usize::from(buffer.capacity() != before);
            assert!(buffer.capacity() <= (2 * buffer.len()).clamp(192, MOST), "{}", buffer.capacity());
        }
        assert!(buffer.capacity() == MOST && growths < 32, "{growths}");
    }

    #[test]
    fn a_small_buffer_grows_twofold_and_a_large_one_by_a_quarter() {
        let mut buffer = Vec::with_capacity(1000);
        append(&mut buffer, &[b'x'; 1000], usize::MAX);
        assert_eq!(buffer.capacity(), 1000, "what fits needs no growth");
        append(&mut buffer, b"x", usize::MAX);
        assert_eq!(buffer.capacity(), 2000);
        let mut buffer = Vec::with_capacity(1024 * 1024);
        append(&mut buffer, &vec![b'x'; 1024 * 1024], usize::MAX);
        append(&mut buffer, b"x", usize::MAX);
        assert_eq!(buffer.capacity(), 1280 * 1024);
    }

    #[test]
    fn a_text_that_is_set_keeps_a_buffer_that_is_small_or_used_by_half() {
        for (capacity, length, kept) in
            [(KEPT, 1, KEPT), (KEPT + 1, 1, 1), (100_000, 50_000, 100_000), (100_001, 50_000, 50_000)]
        {
            let mut text = String::with_capacity(capacity);
            set(&mut text, &"x".repeat(length));
            assert_eq!((text.len(), text.capacity()), (length, kept));
        }
    }
}
