//! The decoders, each fed as its users would feed it and as fast as it can be fed.

mod launchdarkly;
mod ours;
mod streams;
mod synchronous;
mod yardsticks;

use crate::digest::{Counted, Hashed, Owned, Sink, Sum};

/// A decoder under measurement.
#[derive(Clone, Copy)]
pub struct Peer {
    pub name: &'static str,
    /// Ours, a peer's, or a yardstick that decodes nothing.
    pub kind: Kind,
    /// Decodes a stream in chunks of a size, and hashes what it saw.
    pub check: fn(&'static [u8], usize) -> Sum,
    /// The same against the clock.
    pub run: fn(&'static [u8], usize) -> Sum,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Peer,
    Yardstick,
}

/// A peer from its function, which is generic over the sink.
macro_rules! peer {
    ($name:literal, $kind:ident, $decode:path) => {
        peer!($name, $kind, $decode, Counted)
    };
    ($name:literal, $kind:ident, $decode:path, $timed:ty) => {
        Peer {
            name: $name,
            kind: Kind::$kind,
            check: |stream, chunk| summed::<Hashed>(|sink| $decode(stream, chunk, sink)),
            run: |stream, chunk| summed::<$timed>(|sink| $decode(stream, chunk, sink)),
        }
    };
}

/// Everyone, ours first.
pub const ALL: [Peer; 13] = [
    peer!("cvm-watch", Ours, ours::cvm_watch),
    peer!("cvm-watch, owned", Ours, ours::cvm_watch, Owned),
    peer!("sse-stream 0.3.0", Peer, streams::sse_stream),
    peer!("sse-core 0.2.3", Peer, synchronous::sse_core),
    peer!("sse-codec 0.3.3", Peer, synchronous::sse_codec),
    peer!("sseer 0.3.1", Peer, streams::sseer),
    peer!("eventsource-client 0.18.0", Peer, launchdarkly::eventsource_client),
    peer!("eventsource-stream 0.2.3", Peer, streams::eventsource_stream),
    peer!("eventsrc 0.0.2", Peer, streams::eventsrc),
    peer!("russe 0.3.1", Peer, synchronous::russe),
    peer!("memchr2 for CR, LF", Yardstick, yardsticks::memchr2),
    peer!("from_utf8", Yardstick, yardsticks::from_utf8),
    peer!("memcpy", Yardstick, yardsticks::memcpy),
];

fn summed<S: Sink>(decode: impl FnOnce(&mut S)) -> Sum {
    let mut sink = S::default();
    decode(&mut sink);
    sink.sum()
}
