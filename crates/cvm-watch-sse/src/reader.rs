use super::decoder::Decoder;
use super::owned::OwnedEvent;
use super::pending::Pending;
use super::read_error::ReadError;
use core::fmt;
use core::iter::FusedIterator;
use core::time::Duration;
use std::boxed::Box;
use std::io::{ErrorKind, Read, Result as IoResult};
use std::vec;

/// The size of the buffer that a source is read into.
const BUFFER: usize = 8 * 1024;

/// Reads events from any [`Read`]: a response body, a socket, a file. Feature `std`.
///
/// It is an iterator. It ends when the source does, and an unfinished event at the end is dropped, as
/// the standard asks. It brings its own buffer of 8 KiB, so a
/// [`BufReader`](std::io::BufReader) is not needed, and it yields an event as soon as its blank line
/// arrived.
///
/// # Errors
///
/// - [`ReadError::TooLarge`]: an event was dropped; the next call goes on behind it.
/// - [`ReadError::Source`]: reading failed. After [`WouldBlock`](ErrorKind::WouldBlock) and
///   [`TimedOut`](ErrorKind::TimedOut) the next call reads again, and no byte is lost; after any other
///   error the iterator has ended. [`Interrupted`](ErrorKind::Interrupted) is retried, not reported.
///
/// ```
/// use cvm_watch_sse::{ReadError, Reader};
///
/// let body = "event: state\ndata: starting\n\nevent: state\ndata: running\n\n".as_bytes();
/// let mut states = Vec::new();
/// for event in Reader::new(body) {
///     let event = event?;
///     if event.event_type() == "state" {
///         states.push(event.data);
///     }
/// }
/// assert_eq!(states, ["starting", "running"]);
/// # Ok::<(), ReadError<std::io::Error>>(())
/// ```
///
/// To resume after the connection was lost, send the id of [`last_event_id`](Reader::last_event_id), and
/// give the decoder to the next reader:
///
/// ```
/// use cvm_watch_sse::Reader;
///
/// let first = "id: 7\ndata: a\n\ndata: cut o";
/// let mut reader = Reader::new(first.as_bytes());
/// assert_eq!(reader.by_ref().count(), 1);
/// assert_eq!(reader.last_event_id(), "7");
///
/// let second = "data: b\n\n";
/// let mut reader = Reader::with_decoder(second.as_bytes(), reader.into_decoder());
/// assert_eq!(reader.next().expect("an event")?.id, "7");
/// # Ok::<(), cvm_watch_sse::ReadError<std::io::Error>>(())
/// ```
pub struct Reader<R> {
    source: R,
    pending: Pending,
    buffer: Box<[u8]>,
    /// How many bytes of the buffer were filled.
    filled: usize,
    has_ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads with the default [`Limits`](crate::Limits).
    pub fn new(source: R) -> Reader<R> {
        Reader::with_decoder(source, Decoder::default())
    }

    /// Reads with this decoder, which has limits and perhaps the last event id of an earlier stream. It is
    /// [reset](Decoder::reset) first.
    ///
    /// ```
    /// use cvm_watch_sse::{Decoder, Limits, ReadError, Reader};
    ///
    /// let decoder = Decoder::new(Limits::default().max_event_bytes(4));
    /// let mut reader = Reader::with_decoder("data: 12345\n\ndata: 1234\n\n".as_bytes(), decoder);
    /// assert!(matches!(reader.next(), Some(Err(ReadError::TooLarge { limit: 4 }))));
    /// assert_eq!(reader.next().expect("an event")?.data, "1234");
    /// # Ok::<(), ReadError<std::io::Error>>(())
    /// ```
    pub fn with_decoder(source: R, decoder: Decoder) -> Reader<R> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Reader { source, pending: Pending::new(decoder), buffer, filled: 0, has_ended: false }
    }

    /// Fills the buffer. False: the source has ended.
    fn fill(&mut self) -> IoResult<bool> {
        self.filled = 0;
        self.pending.begin_chunk();
        self.filled = loop {
            match self.source.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        Ok(self.filled > 0)
    }
}

impl<R> Reader<R> {
    /// The id to resume from, as [`Decoder::last_event_id`] has it, after the events yielded so far.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.pending.decoder.last_event_id()
    }

    /// How long the server asks clients to wait before they reconnect: the last `retry:` line. None if
    /// there was none.
    ///
    /// ```
    /// use cvm_watch_sse::Reader;
    /// use std::time::Duration;
    ///
    /// let mut reader = Reader::new("retry: 1500\ndata: a\n\n".as_bytes());
    /// assert_eq!(reader.reconnect_delay(), None);
    /// assert!(reader.next().is_some());
    /// assert_eq!(reader.reconnect_delay(), Some(Duration::from_millis(1500)));
    /// ```
    #[must_use]
    pub fn reconnect_delay(&self) -> Option<Duration> {
        self.pending.reconnect_delay
    }

    /// The decoder, for the reader of the next connection. Bytes that were not decoded yet are dropped.
    #[must_use]
    pub fn into_decoder(self) -> Decoder {
        self.pending.decoder
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<OwnedEvent, ReadError<std::io::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.pending.next(self.buffer.get(..self.filled)?) {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            match self.fill() {
                Ok(more) => self.has_ended = !more,
                Err(error) => {
                    self.has_ended = !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    return Some(Err(ReadError::Source(error)));
                }
            }
        }
    }
}

impl<R: Read> FusedIterator for Reader<R> {}

/// Shows the decoder's limits and sizes, and nothing of the stream.
impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("decoder", &self.pending.decoder).finish_non_exhaustive()
    }
}
