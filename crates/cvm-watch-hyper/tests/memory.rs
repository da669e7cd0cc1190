//! The memory of this process under floods: one test, so that nothing else runs meanwhile.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic too")]

use cvm_watch_hyper as subject;
use tokio::test as runtime_test;

#[path = "../../cvm-watch-http1/tests/clients/memory.rs"]
mod memory;
