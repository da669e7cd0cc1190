#![no_main]

use cvm_watch_fuzz::sse_bytes::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
