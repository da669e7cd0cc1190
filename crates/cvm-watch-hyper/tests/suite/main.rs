//! The client over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic too"
)]

use cvm_watch_hyper as subject;
use tokio::test as runtime_test;

#[path = "../../../cvm-watch-http1/tests/clients/mod.rs"]
mod clients;
mod conformance;
mod paused_clock;
mod runtimes;
