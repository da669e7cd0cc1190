/// What one step of a [`Decoder`](super::Decoder) found, in the order of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'a> {
    /// A blank line dispatched an event.
    Event(Event<'a>),
    /// A valid `retry:` line ended: the reconnection delay in milliseconds, `u64::MAX` for any
    /// number above it.
    ///
    /// It stands by itself: reported at once, whether or not an event follows.
    Retry(u64),
    /// An event outgrew [`Limits::max_event_bytes`](super::Limits::max_event_bytes) and was
    /// dropped.
    ///
    /// Reported once, in the middle of a line if need be. Its remaining lines are skipped, decoding
    /// resumes after the next blank line, and its id is not kept.
    TooLarge {
        /// The limit in bytes that it outgrew.
        limit: usize,
    },
}

/// An event, borrowed from the decoder or from its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The value of its last `event:` line, empty if there was none or a bare one.
    pub name: &'a str,
    /// The values of its `data:` lines, joined by line feeds.
    pub data: &'a str,
    /// The stream's last event id when it was dispatched, set by it or by an earlier event; empty
    /// if there is none.
    pub id: &'a str,
}

impl<'a> Event<'a> {
    /// An event made by hand, for tests and for code that takes events from elsewhere.
    ///
    /// ```
    /// let event = cvm_watch_sse::Event::new("state", "{}", "");
    /// assert_eq!(event.event_type(), "state");
    /// ```
    pub const fn new(name: &'a str, data: &'a str, id: &'a str) -> Self {
        Self { name, data, id }
    }

    /// The event's type as a browser has it: its name, or `message` when that is empty.
    ///
    /// ```
    /// use cvm_watch_sse::{Chunk, Decoder, Item};
    ///
    /// let mut decoder = Decoder::default();
    /// let mut chunk = Chunk::new(b"data: hi\n\n");
    /// let Some(Item::Event(event)) = decoder.decode(&mut chunk) else { unreachable!() };
    /// assert_eq!((event.name, event.event_type()), ("", "message"));
    /// ```
    #[must_use]
    pub fn event_type(&self) -> &'a str {
        if self.name.is_empty() { "message" } else { self.name }
    }
}
