use crate::digest::Sink;
use cvm_watch_core::sse::{Decoder, Item};

/// A chunk at a time, the fast way.
pub(super) fn by_chunk<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let mut decoder = Decoder::default();
    for chunk in stream.chunks(chunk) {
        let mut items = decoder.read(chunk);
        while let Some(item) = items.next_item() {
            if let Item::Event(event) = item {
                sink.event(event.name, event.data);
            }
        }
    }
}

/// An item at a time, as the watch does.
pub(super) fn one_by_one<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let mut decoder = Decoder::default();
    for mut chunk in stream.chunks(chunk) {
        while let Some(item) = decoder.decode(&mut chunk) {
            if let Item::Event(event) = item {
                sink.event(event.name, event.data);
            }
        }
    }
}
