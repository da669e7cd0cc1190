use std::num::NonZeroUsize;

use futures_codec::{BytesMut, Decoder as _};
use sse_codec::SSECodec;
use sse_core::{SseDecoder, SseEvent};

use crate::digest::Sink;

/// With its limit raised to ours: its default, 512 KiB, refuses the event of one line.
pub(super) fn sse_core<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    const LIMIT: NonZeroUsize = NonZeroUsize::new(4 * 1024 * 1024).unwrap();
    let mut decoder = SseDecoder::with_limit(LIMIT);
    for mut chunk in stream.chunks(chunk) {
        while let Some(event) = decoder.next(&mut chunk) {
            if let Ok(SseEvent::Message(message)) = event {
                sink.event(&message.event, &message.data, message.last_event_id.as_deref().unwrap_or_default());
            }
        }
    }
}

pub(super) fn sse_codec<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let mut codec = SSECodec::default();
    let mut buffer = BytesMut::new();
    for chunk in stream.chunks(chunk) {
        buffer.extend_from_slice(chunk);
        while let Ok(Some(event)) = codec.decode(&mut buffer) {
            if let sse_codec::Event::Message { event, data, id } = event {
                sink.event(&event, &data, id.as_deref().unwrap_or_default());
            }
        }
    }
}

pub(super) fn russe<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let mut decoder = russe::Decoder::default();
    let mut buffer = bytes::BytesMut::new();
    for chunk in stream.chunks(chunk) {
        buffer.extend_from_slice(chunk);
        while let Ok(Some(event)) = tokio_util::codec::Decoder::decode(&mut decoder, &mut buffer) {
            if let russe::Event::Message(message) = event {
                let (event, id) = (message.event.as_deref(), message.id.as_deref());
                sink.event(event.unwrap_or_default(), &message.data, id.unwrap_or_default());
            }
        }
    }
}
