#![no_main]

use cvm_watch_fuzz::checks::event_json::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
