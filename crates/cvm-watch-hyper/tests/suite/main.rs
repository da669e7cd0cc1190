//! The client over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic too"
)]

mod client;
mod closing;
mod conformance;
mod contract;
mod faults;
mod fleet;
mod played;
mod proxy;
mod request;
mod tls;
