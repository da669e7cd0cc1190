//! The client over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may panic and print too"
)]

use async_std::test as runtime_test;
use cvm_watch_surf as subject;

#[path = "../../../cvm-watch-http1/tests/clients/mod.rs"]
mod clients;
mod conformance;
mod executors;
mod surf_client;
mod workspace;
