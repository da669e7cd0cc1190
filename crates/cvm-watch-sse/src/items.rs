use super::decoder::Decoder;
use super::event::Item;
use super::input::{Ahead, Input};

/// How far [`Items`] checks the encoding ahead: one check for many events, of bytes that are still
/// in the nearest cache when their lines are read.
const CHECKED_AHEAD: Ahead = Ahead::Bytes(4 * 1024);

/// The items of one chunk, from [`Decoder::read`].
///
/// Dropped early, it leaves the [`rest`](Items::rest) of the chunk unread: give that to the decoder
/// next.
pub struct Items<'d, 'i> {
    decoder: &'d mut Decoder,
    input: Input<'i>,
}

impl<'d, 'i> Items<'d, 'i> {
    #[inline]
    pub(super) fn new(decoder: &'d mut Decoder, chunk: &'i [u8]) -> Items<'d, 'i> {
        Items { decoder, input: Input::new(chunk, CHECKED_AHEAD) }
    }

    /// The next item. None: the chunk is used up, and what was unfinished is kept in the decoder.
    #[inline]
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        self.decoder.next(&mut self.input)
    }

    /// The bytes of the chunk that come after the last item.
    ///
    /// ```
    /// use cvm_watch_sse::Decoder;
    ///
    /// let mut decoder = Decoder::default();
    /// let mut items = decoder.read(b"data: 1\n\ndata: 2\n\n");
    /// assert!(items.next_item().is_some());
    /// assert_eq!(items.rest(), b"data: 2\n\n");
    /// ```
    #[must_use]
    pub fn rest(&self) -> &'i [u8] {
        self.input.rest()
    }
}
