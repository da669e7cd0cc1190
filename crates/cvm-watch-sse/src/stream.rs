use super::decoder::Decoder;
use super::owned::OwnedEvent;
use super::pending::Pending;
use super::read_error::ReadError;
use alloc::boxed::Box;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use futures_core::stream::FusedStream;

/// Reads events from a [`Stream`] of chunks, as HTTP clients give a body: a [`Stream`] of events on any
/// runtime. Feature `stream`.
///
/// The chunks may be anything that holds bytes: `Bytes`, `Vec<u8>`, `&[u8]`. The stream of chunks is
/// boxed, so that the events can be read without pinning anything. It ends when the chunks do, and an
/// unfinished event at the end is dropped, as the standard asks. Cancelling a wait for the next event
/// loses nothing.
///
/// # Errors
///
/// - [`ReadError::TooLarge`]: an event was dropped; the next poll goes on behind it.
/// - [`ReadError::Source`]: the stream of chunks failed, and this stream has ended.
///
/// ```
/// use cvm_watch_sse::{EventStream, ReadError};
/// use futures_util::{StreamExt, stream};
/// use std::convert::Infallible;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ReadError<Infallible>> {
/// let chunks = stream::iter(["event: state\nda", "ta: running\n\n"]).map(Ok::<_, Infallible>);
/// let mut events = EventStream::new(chunks);
/// while let Some(event) = events.next().await {
///     let event = event?;
///     assert_eq!((event.event_type(), event.data.as_str()), ("state", "running"));
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventStream<S: Stream> {
    /// None: it has ended.
    chunks: Option<Pin<Box<S>>>,
    pending: Pending,
    /// The chunk at hand.
    chunk: Option<S::Item>,
}

impl<S, B, E> EventStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    /// Reads with the default [`Limits`](crate::Limits).
    pub fn new(chunks: S) -> EventStream<S> {
        EventStream::with_decoder(chunks, Decoder::default())
    }

    /// Reads with this decoder, which has limits and perhaps the last event id of an earlier stream. It is
    /// [reset](Decoder::reset) first.
    pub fn with_decoder(chunks: S, decoder: Decoder) -> EventStream<S> {
        EventStream { chunks: Some(Box::pin(chunks)), pending: Pending::new(decoder), chunk: None }
    }
}

impl<S: Stream> EventStream<S> {
    /// The id to resume from, as [`Decoder::last_event_id`] has it, after the events yielded so far.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.pending.decoder.last_event_id()
    }

    /// How long the server asks clients to wait before they reconnect: the last `retry:` line. None if
    /// there was none.
    #[must_use]
    pub fn reconnect_delay(&self) -> Option<Duration> {
        self.pending.reconnect_delay
    }

    /// The decoder, for the stream of the next connection. Bytes that were not decoded yet are dropped.
    ///
    /// ```
    /// use cvm_watch_sse::EventStream;
    /// use futures_util::{StreamExt, stream};
    /// use std::convert::Infallible;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let first = stream::iter([Ok::<_, Infallible>("id: 7\ndata: a\n\ndata: cut o")]);
    /// let mut events = EventStream::new(first);
    /// assert_eq!(events.by_ref().count().await, 1);
    /// assert_eq!(events.last_event_id(), "7"); // send it as Last-Event-ID
    ///
    /// let second = stream::iter([Ok::<_, Infallible>("data: b\n\n")]);
    /// let mut events = EventStream::with_decoder(second, events.into_decoder());
    /// assert_eq!(events.next().await.unwrap().unwrap().id, "7");
    /// # }
    /// ```
    #[must_use]
    pub fn into_decoder(self) -> Decoder {
        self.pending.decoder
    }
}

/// Nothing in it is pinned but the box, which may be moved.
impl<S: Stream> Unpin for EventStream<S> {}

impl<S, B, E> Stream for EventStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    type Item = Result<OwnedEvent, ReadError<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(Ok(chunk)) = &this.chunk
                && let Some(event) = this.pending.next(chunk.as_ref())
            {
                return Poll::Ready(Some(event));
            }
            this.chunk = None;
            let Some(chunks) = &mut this.chunks else { return Poll::Ready(None) };
            match ready!(chunks.as_mut().poll_next(context)) {
                Some(Ok(chunk)) => {
                    this.chunk = Some(Ok(chunk));
                    this.pending.begin_chunk();
                }
                Some(Err(error)) => {
                    this.chunks = None;
                    return Poll::Ready(Some(Err(ReadError::Source(error))));
                }
                None => this.chunks = None,
            }
        }
    }
}

impl<S, B, E> FusedStream for EventStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    fn is_terminated(&self) -> bool {
        self.chunks.is_none()
    }
}

/// Shows the decoder's limits and sizes, and nothing of the stream.
impl<S: Stream> fmt::Debug for EventStream<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EventStream").field("decoder", &self.pending.decoder).finish_non_exhaustive()
    }
}
