//! The simulator over real sockets, seen by clients that read raw bytes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails, in the functions that tests share too"
)]

mod bytes;
mod client;
mod closing;
mod endpoint;
mod http;
mod limits;
mod readme;
mod scenarios;
#[cfg(feature = "tls")]
mod tls;
mod tree;
#[cfg(feature = "virtual-time")]
mod virtual_time;
