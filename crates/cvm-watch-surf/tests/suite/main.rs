//! The client over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may panic and print too"
)]

use std::time::Duration;

use cvm_watch_surf::{Client, ClientBuilder, Failure, WatchError};

mod close;
mod conformance;
mod contract;
mod fleet;
mod proxy;
mod request;
mod surf_client;
mod tls;
mod workspace;

/// Longer than anything takes here; no test waits for it unless something is wrong.
const LONG: Duration = Duration::from_secs(30);
const KEY: &str = "phak_test";

fn client(base_url: impl Into<String>) -> ClientBuilder {
    Client::builder().base_url(base_url).api_key(KEY)
}

fn failure(error: WatchError) -> Failure {
    match error {
        WatchError::Failed { failure, .. } => *failure,
        other => panic!("not a failure of the watch: {other}"),
    }
}
