#![no_main]

use cvm_watch_fuzz::checks::cvm_id_and_url::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
