//! Server-sent events: bytes in, events out, exactly as the WHATWG standard reads a
//! `text/event-stream`.
//!
//! | you have | use | feature |
//! |---|---|---|
//! | a [`std::io::Read`](https://doc.rust-lang.org/std/io/trait.Read.html): a socket, a file, a blocking client's body | [`Reader`](https://docs.rs/cvm-watch-sse/latest/cvm_watch_sse/struct.Reader.html), an iterator of [`OwnedEvent`]s | `std` |
//! | a stream of chunks: the body of reqwest and others | [`EventStream`](https://docs.rs/cvm-watch-sse/latest/cvm_watch_sse/struct.EventStream.html), a `Stream` of [`OwnedEvent`]s | `stream` |
//! | chunks from anywhere else, or no wish to copy | [`Decoder`], which lends one [`Item`] at a time | none |
//!
//! `Reader` and `EventStream` are the decoder with the loop around it:
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
//! Chunks may be cut anywhere: the same bytes give the same items.
//!
//! # What it promises
//!
//! - **Time** is linear in the number of bytes at any chunk size: a line that spans chunks is searched
//!   once.
//! - **Memory** follows [`Limits`]: comments, unknown fields and the rest of a
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
#[cfg(any(test, feature = "std"))]
extern crate std;

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod block;
mod chunk;
mod decoder;
mod event;
mod limits;
mod owned;
#[cfg(any(feature = "std", feature = "stream"))]
mod pending;
mod read_error;
#[cfg(feature = "std")]
mod reader;
mod scan;
#[cfg(feature = "stream")]
mod stream;

pub use chunk::Chunk;
pub use decoder::Decoder;
pub use event::{Event, Item};
pub use limits::Limits;
pub use owned::OwnedEvent;
pub use read_error::ReadError;
#[cfg(feature = "std")]
pub use reader::Reader;
#[cfg(feature = "stream")]
pub use stream::EventStream;
