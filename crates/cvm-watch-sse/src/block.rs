use super::buffer;
use super::limits::Limits;
use super::line::Field;
use super::pending_id::PendingId;
use super::utf8::Utf8;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::from_utf8;

/// The lines between two blank lines: the event in the making, and the judge of its size.
///
/// A field that lies whole in the chunk stays there, in [`Lent`]; what must outlive the chunk is
/// held here.
#[derive(Default)]
pub(super) struct Block {
    name: String,
    /// Whole characters only. As bytes, so that small pieces of ASCII are added unchecked and the
    /// event is checked once.
    data: Vec<u8>,
    id: PendingId,
    utf8: Utf8,
    has_data: bool,
    phase: Phase,
}

/// Fields of the block that still lie in the input. They take the place of what the block holds.
#[derive(Clone, Copy, Default)]
pub(super) struct Lent<'i> {
    name: Option<&'i str>,
    data: Option<&'i str>,
}

/// The block outgrew the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Not a field of it came yet: a blank line changes nothing.
    #[default]
    Idle,
    Open,
    /// Its event was handed out and may be borrowed until the next call.
    Dispatched,
    /// It outgrew the limit: its other lines are skipped.
    Dropped,
}

impl Block {
    /// Frees what the event handed out last may have borrowed. True if there was one.
    pub(super) fn recycle(&mut self) -> bool {
        let was_dispatched = self.phase == Phase::Dispatched;
        if was_dispatched {
            self.has_data = false;
            self.phase = Phase::Idle;
            buffer::clear(&mut self.name);
            buffer::clear(&mut self.data);
        }
        was_dispatched
    }

    /// The same, and keeps no memory for the next event.
    pub(super) fn free(&mut self) {
        if self.recycle() {
            buffer::free(&mut self.name);
            buffer::free(&mut self.data);
        }
    }

    /// Ends the block at its blank line. True if that dispatches an event, which stays as it is,
    /// lent and held, until [`Self::recycle`].
    #[inline]
    pub(super) fn end(&mut self, lent: &mut Lent<'_>, last_event_id: &mut String) -> bool {
        if self.phase == Phase::Idle {
            return false;
        }
        self.id.commit(last_event_id);
        if self.has_data {
            self.phase = Phase::Dispatched;
            return true;
        }
        *lent = Lent::default();
        self.clear();
        false
    }

    /// Forgets the block and skips its remaining lines.
    pub(super) fn drop_rest(&mut self) {
        self.clear();
        self.phase = Phase::Dropped;
    }

    pub(super) fn clear(&mut self) {
        buffer::clear(&mut self.name);
        buffer::clear(&mut self.data);
        self.id.clear();
        self.has_data = false;
        self.phase = Phase::Idle;
    }

    /// Takes a whole `event` or `data` field: by reference, unless it adds a line to the data, of
    /// which at most `more` bytes are at hand.
    #[inline]
    pub(super) fn take<'i>(
        &mut self,
        field: Field,
        text: &'i str,
        more: usize,
        lent: &mut Lent<'i>,
        limits: &Limits,
    ) -> Result<(), TooLarge> {
        self.phase = Phase::Open;
        if field == Field::Event {
            lent.name = Some(text);
        } else if self.has_data {
            return self.add_line(text, more, lent, limits);
        } else {
            lent.data = Some(text);
            self.has_data = true;
        }
        if self.len(lent) > limits.max_event_bytes { Err(TooLarge) } else { Ok(()) }
    }

    /// Copies what is lent, before the input goes.
    #[inline]
    pub(super) fn hold(&mut self, lent: &mut Lent<'_>, limits: &Limits) {
        if lent.name.is_some() || lent.data.is_some() {
            self.copy(lent, limits);
        }
    }

    fn copy(&mut self, lent: &mut Lent<'_>, limits: &Limits) {
        let room = self.room(lent, limits);
        if let Some(name) = lent.name.take() {
            buffer::clear(&mut self.name);
            buffer::push(&mut self.name, name, name.len().saturating_add(room));
        }
        if let Some(data) = lent.data.take() {
            buffer::push(&mut self.data, data.as_bytes(), data.len().saturating_add(room));
        }
    }

    fn add_line(&mut self, text: &str, more: usize, lent: &mut Lent<'_>, limits: &Limits) -> Result<(), TooLarge> {
        if lent.data.is_some() {
            self.hold(lent, limits);
            // Where there are two lines there may be many.
            let room = self.room(lent, limits);
            self.data.reserve_exact(room.min(text.len() + 1 + more));
        }
        self.push(Field::Data, "\n", lent, limits)?;
        self.push(Field::Data, text, lent, limits)
    }

    /// Begins the value of a field that is read piece by piece. What is lent must be held first,
    /// except for an id.
    pub(super) fn begin(&mut self, field: Field, limits: &Limits) -> Result<(), TooLarge> {
        self.utf8 = Utf8::default();
        self.phase = Phase::Open;
        match field {
            Field::Event => buffer::clear(&mut self.name),
            Field::Id => self.id.begin_line(),
            Field::Data if self.has_data => {
                return self.push(field, "\n", &Lent::default(), limits);
            }
            Field::Data => self.has_data = true,
            Field::Retry => {}
        }
        Ok(())
    }

    /// Adds a piece of ASCII to the data if it fits into the memory held. Nothing may be lent.
    #[inline]
    pub(super) fn extend_data(&mut self, ascii: &[u8], limits: &Limits) -> bool {
        let room = self.room(&Lent::default(), limits);
        let fits = ascii.len() <= room.min(self.data.capacity() - self.data.len()) && self.utf8.is_empty();
        if fits {
            self.data.extend_from_slice(ascii);
        }
        fits
    }

    /// Adds a piece of the field's value.
    #[inline]
    pub(super) fn feed(
        &mut self,
        field: Field,
        bytes: &[u8],
        lent: &Lent<'_>,
        limits: &Limits,
    ) -> Result<(), TooLarge> {
        if field == Field::Data && self.utf8.is_empty() && bytes.is_ascii() {
            return self.push_data(bytes, lent, limits);
        }
        let mut utf8 = core::mem::take(&mut self.utf8);
        let fed = utf8.feed(bytes, |text| self.push(field, text, lent, limits));
        self.utf8 = utf8;
        fed
    }

    /// Ends the field's value with its line.
    pub(super) fn finish(&mut self, field: Field, lent: &Lent<'_>, limits: &Limits) -> Result<(), TooLarge> {
        if !self.utf8.is_empty() {
            let utf8 = core::mem::take(&mut self.utf8);
            utf8.finish(|text| self.push(field, text, lent, limits))?;
        }
        match field {
            Field::Id => {
                let room = self.id_room(lent, limits);
                self.id.end_line(limits.max_id_bytes, room)
            }
            Field::Data | Field::Event | Field::Retry => Ok(()),
        }
    }

    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    #[inline]
    pub(super) fn is_dropped(&self) -> bool {
        self.phase == Phase::Dropped
    }

    pub(super) fn name<'a>(&'a self, lent: Lent<'a>) -> &'a str {
        lent.name.unwrap_or(&self.name)
    }

    pub(super) fn data<'a>(&'a self, lent: Lent<'a>) -> &'a str {
        lent.data.unwrap_or_else(|| from_utf8(&self.data).unwrap_or_default())
    }

    pub(super) fn capacity(&self) -> usize {
        self.name.capacity() + self.data.capacity() + self.id.capacity()
    }

    fn push(&mut self, field: Field, text: &str, lent: &Lent<'_>, limits: &Limits) -> Result<(), TooLarge> {
        if field == Field::Id {
            // An id's size is judged when its line ends: until then a NUL may void it, or its own
            // limit empty it.
            let room = self.id_room(lent, limits).min(limits.max_id_bytes);
            self.id.push(text, room);
            return Ok(());
        }
        if field != Field::Event {
            return self.push_data(text.as_bytes(), lent, limits);
        }
        let room = self.room(lent, limits);
        if text.len() > room {
            return Err(TooLarge);
        }
        let max_len = self.name.len().saturating_add(room);
        buffer::push(&mut self.name, text, max_len);
        Ok(())
    }

    /// Adds `text` to the data.
    fn push_data(&mut self, text: &[u8], lent: &Lent<'_>, limits: &Limits) -> Result<(), TooLarge> {
        let room = self.room(lent, limits);
        if text.len() > room {
            return Err(TooLarge);
        }
        let max_len = self.data.len().saturating_add(room);
        buffer::push(&mut self.data, text, max_len);
        Ok(())
    }

    /// How many bytes more the event may have.
    fn room(&self, lent: &Lent<'_>, limits: &Limits) -> usize {
        limits.max_event_bytes.saturating_sub(self.len(lent))
    }

    /// The bytes that count: name, pending id and joined data.
    fn len(&self, lent: &Lent<'_>) -> usize {
        let name = lent.name.map_or(self.name.len(), str::len);
        let data = lent.data.map_or(self.data.len(), str::len);
        name.saturating_add(data).saturating_add(self.id.len())
    }

    /// The most bytes that a new id may have beside the name and data.
    fn id_room(&self, lent: &Lent<'_>, limits: &Limits) -> usize {
        limits.max_event_bytes.saturating_sub(self.len(lent) - self.id.len())
    }
}
