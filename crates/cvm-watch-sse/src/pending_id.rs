use super::block::TooLarge;
use super::buffer;
use alloc::string::String;

/// The id that the current event sets when its blank line comes, and the `id` line being read.
///
/// The line's text stands behind the pending id until it ends, since a NUL in it leaves the pending
/// id as it was.
#[derive(Default)]
pub(super) struct PendingId {
    /// The pending id, then the text of the line being read as far as it may matter.
    text: String,
    /// Bytes of `text` that are the pending id.
    pending: usize,
    /// Bytes of the line's value, stored or not.
    line: usize,
    /// An `id` line was taken: the blank line commits the pending id, empty as it may be.
    set: bool,
    nul: bool,
}

impl PendingId {
    pub(super) fn begin_line(&mut self) {
        self.line = 0;
        self.nul = false;
    }

    /// Adds to the line's value. Nothing past `room`, the most bytes that this id may have, is
    /// stored.
    pub(super) fn push(&mut self, text: &str, room: usize) {
        self.nul |= text.contains('\0');
        self.line = self.line.saturating_add(text.len());
        if self.line <= room {
            buffer::push(&mut self.text, text, self.pending.saturating_add(room));
        }
    }

    /// Ends the line: a value with NUL is ignored, one over `max` reads as empty, one over `room`
    /// outgrows the event.
    pub(super) fn end_line(&mut self, max: usize, room: usize) -> Result<(), TooLarge> {
        if self.nul {
            self.text.truncate(self.pending);
            buffer::trim(&mut self.text);
            return Ok(());
        }
        if self.line > max {
            self.text.clear();
        } else if self.line > room {
            return Err(TooLarge);
        } else {
            self.text.drain(..self.pending);
        }
        buffer::trim(&mut self.text);
        self.pending = self.text.len();
        self.set = true;
        Ok(())
    }

    /// The blank line came: the pending id, if there is one, becomes the last event id.
    pub(super) fn commit(&mut self, last_event_id: &mut String) {
        if self.set {
            core::mem::swap(last_event_id, &mut self.text);
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        buffer::clear(&mut self.text);
        self.pending = 0;
        self.set = false;
    }

    /// Bytes of the pending id, without the line being read.
    pub(super) fn len(&self) -> usize {
        self.pending
    }

    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }
}
