/// How much a [`Decoder`](super::Decoder) holds for a stream before it gives up on an event or an
/// id.
///
/// Lengths are those of the decoded text: U+FFFD in place of an invalid byte counts 3. They do not
/// depend on how the bytes are cut into chunks.
///
/// ```
/// use cvm_watch_sse::{Chunk, Decoder, Item, Limits};
///
/// let mut decoder = Decoder::new(Limits::default().max_event_bytes(8));
/// let mut chunk = Chunk::new(b"data: 123456789\n\ndata: 12345678\n\n");
/// assert_eq!(decoder.decode(&mut chunk), Some(Item::TooLarge { limit: 8 }));
/// let Some(Item::Event(event)) = decoder.decode(&mut chunk) else { unreachable!() };
/// assert_eq!(event.data, "12345678");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of an event; see [the setter](Limits::max_event_bytes()).
    pub max_event_bytes: usize,
    /// The most bytes of an id; see [the setter](Limits::max_id_bytes()).
    pub max_id_bytes: usize,
}

impl Limits {
    /// The most bytes that the name, the id and the joined data of one event may have together.
    /// Default: 4 MiB.
    ///
    /// Only lines of the event itself count: an id kept from an earlier event does not, nor do
    /// comments, unknown fields and values that a later line replaced. An event that outgrows the
    /// limit at the end of any of its lines is dropped and reported as
    /// [`Item::TooLarge`](super::Item::TooLarge). The line need not end for that once its value has
    /// more bytes, decoded or not, than fit, except for an `id:` line, which a NUL could still void.
    #[must_use]
    pub const fn max_event_bytes(self, bytes: usize) -> Limits {
        Limits { max_event_bytes: bytes, ..self }
    }

    /// The most bytes of an id. A longer one reads as an empty id. Default: no limit but the
    /// event's; a limit above that one has no effect.
    ///
    /// Empty rather than the id before it: resuming from an older id would replay events that were
    /// seen.
    ///
    /// ```
    /// use cvm_watch_sse::{Chunk, Decoder, Limits};
    ///
    /// let mut decoder = Decoder::new(Limits::default().max_id_bytes(4));
    /// decoder.decode(&mut Chunk::new(b"id: 1234\n\n"));
    /// assert_eq!(decoder.last_event_id(), "1234");
    /// decoder.decode(&mut Chunk::new(b"id: 12345\n\n"));
    /// assert_eq!(decoder.last_event_id(), "");
    /// ```
    #[must_use]
    pub const fn max_id_bytes(self, bytes: usize) -> Limits {
        Limits { max_id_bytes: bytes, ..self }
    }

    /// The most bytes of an id that can matter.
    pub(super) fn longest_id(&self) -> usize {
        self.max_id_bytes.min(self.max_event_bytes)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { max_event_bytes: 4 * 1024 * 1024, max_id_bytes: usize::MAX }
    }
}
