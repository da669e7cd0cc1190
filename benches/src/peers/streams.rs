//! Peers that turn a `Stream` of chunks into a `Stream` of events.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;

use crate::digest::Sink;

/// Chunks of a stream, all of them ready.
pub(super) struct Chunks<C> {
    bytes: &'static [u8],
    size: usize,
    cut: fn(&'static [u8]) -> C,
}

impl<C> Chunks<C> {
    pub(super) fn new(bytes: &'static [u8], size: usize, cut: fn(&'static [u8]) -> C) -> Self {
        Self { bytes, size, cut }
    }

    pub(super) fn next_chunk(&mut self) -> Option<C> {
        let (chunk, rest) = self.bytes.split_at(self.size.min(self.bytes.len()));
        self.bytes = rest;
        (!chunk.is_empty()).then(|| (self.cut)(chunk))
    }
}

impl<C> Stream for Chunks<C> {
    type Item = Result<C, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.get_mut().next_chunk().map(Ok))
    }
}

/// Gives each item of `stream` to `see` until there is none to be had.
pub(super) fn drain<T>(stream: impl Stream<Item = T>, mut see: impl FnMut(T)) {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(item)) = stream.as_mut().poll_next(&mut context) {
        see(item);
    }
}

pub(super) fn sse_stream<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let chunks = Chunks::new(stream, chunk, |chunk| chunk);
    drain(sse_stream::SseByteStream::new(chunks), |event| {
        // It also returns blocks without data, which are no events.
        if let Ok(sse_stream::Sse { event, data: Some(data), id, .. }) = event {
            sink.event(event.as_deref().unwrap_or_default(), &data, id.as_deref().unwrap_or_default());
        }
    });
}

pub(super) fn sseer<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let chunks = Chunks::new(stream, chunk, Bytes::from_static);
    drain(sseer::EventStream::new(chunks), |event| {
        if let Ok(event) = event {
            sink.event(&event.event, &event.data, &event.id);
        }
    });
}

pub(super) fn eventsource_stream<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let chunks = Chunks::new(stream, chunk, |chunk| chunk);
    drain(eventsource_stream::EventStream::new(chunks), |event| {
        if let Ok(event) = event {
            sink.event(&event.event, &event.data, &event.id);
        }
    });
}

pub(super) fn eventsrc<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let chunks = Chunks::new(stream, chunk, |chunk| chunk);
    drain(eventsrc::EventStream::new(chunks), |event| {
        if let Ok(event) = event {
            sink.event(event.event(), event.data(), event.id());
        }
    });
}
