use cvm_watch_sse::{Chunk, Decoder, Item};

use crate::digest::Sink;

pub(super) fn cvm_watch<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let mut decoder = Decoder::default();
    for chunk in stream.chunks(chunk) {
        let mut chunk = Chunk::new(chunk);
        while let Some(item) = decoder.decode(&mut chunk) {
            if let Item::Event(event) = item {
                sink.event(event.name, event.data, event.id);
            }
        }
    }
}
