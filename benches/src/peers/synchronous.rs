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
                sink.event(&message.event, &message.data);
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
            if let sse_codec::Event::Message { event, data, .. } = event {
                sink.event(&event, &data);
            }
        }
    }
}
