//! The memory of this process under floods: one test, so that nothing else runs meanwhile.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic too")]

use async_std::test as runtime_test;
use cvm_watch_surf as subject;

#[path = "../../cvm-watch-http1/tests/clients/memory.rs"]
mod memory;
