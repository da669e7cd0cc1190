use super::chunk::Chunk;
use super::decoder::Decoder;
use super::event::Item;
use super::owned::OwnedEvent;
use super::read_error::ReadError;
use core::time::Duration;

/// A decoder and the position in the chunk that it reads: what `Reader` and `EventStream` have in
/// common.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) decoder: Decoder,
    pub(super) reconnect_delay: Option<Duration>,
    /// How many bytes of the chunk were read.
    read: usize,
}

impl Pending {
    /// For a new stream, with the last event id of the decoder.
    pub(super) fn new(mut decoder: Decoder) -> Pending {
        decoder.reset();
        Pending { decoder, reconnect_delay: None, read: 0 }
    }

    /// Begins a new chunk.
    pub(super) fn begin_chunk(&mut self) {
        self.read = 0;
    }

    /// Reads on in the chunk. None: it is used up.
    pub(super) fn next<E>(&mut self, bytes: &[u8]) -> Option<Result<OwnedEvent, ReadError<E>>> {
        let mut chunk = Chunk::new(bytes.get(self.read..)?);
        loop {
            let item = self.decoder.decode(&mut chunk);
            self.read = bytes.len() - chunk.rest().len();
            match item? {
                Item::Event(event) => return Some(Ok(event.into())),
                Item::Retry(milliseconds) => self.reconnect_delay = Some(Duration::from_millis(milliseconds)),
                Item::TooLarge { limit } => return Some(Err(ReadError::TooLarge { limit })),
            }
        }
    }
}
