//! Server-sent events: bytes in, events out, exactly as the WHATWG standard reads a
//! `text/event-stream`.
//!
//! [`Decoder`] takes chunks as they come from the socket, cut anywhere, and lends one [`Item`] at a
//! time. The same bytes give the same items however they are cut.
//!
//! ```
//! use cvm_watch_sse::{Chunk, Decoder, Item};
//!
//! let mut decoder = Decoder::default();
//! let mut seen = Vec::new();
//! for chunk in ["retry: 5000\nevent: state\nda", "ta: {\"status\":\"starting\"}\n\n: beat\n"] {
//!     let mut chunk = Chunk::new(chunk.as_bytes());
//!     while let Some(item) = decoder.decode(&mut chunk) {
//!         match item {
//!             Item::Event(event) => seen.push(format!("{} {}", event.event_type(), event.data)),
//!             Item::Retry(milliseconds) => seen.push(format!("retry {milliseconds}")),
//!             Item::TooLarge { limit } => seen.push(format!("an event of over {limit} bytes")),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(seen, ["retry 5000", r#"state {"status":"starting"}"#]);
//! ```
//!
//! # What it promises
//!
//! - **Time** is linear in the number of bytes, whatever the chunk size: a line that spans chunks is
//!   searched once.
//! - **Memory** follows [`Limits`], whatever arrives: comments, unknown fields and the rest of a
//!   dropped event are skipped unstored, and buffers shrink after a large event.
//!   [`Decoder::buffered_bytes`] returns the sum.
//! - **No copy and no allocation** for an event of one `data` line that lies whole in the chunk and
//!   is valid UTF-8.
//! - **No panic** and no error: every byte string is an event stream. Invalid UTF-8 reads as
//!   U+FFFD, one for each maximal subpart, as in
//!   [`String::from_utf8_lossy`](alloc::string::String::from_utf8_lossy).
//!
//! At the end of the stream there is nothing to call: an unfinished event is dropped, as the
//! standard asks. Before the bytes of a new connection call [`Decoder::reset`].

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod block;
mod chunk;
mod decoder;
mod event;
mod limits;
mod scan;

pub use chunk::Chunk;
pub use decoder::Decoder;
pub use event::{Event, Item};
pub use limits::Limits;
