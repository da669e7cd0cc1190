#![no_main]

use cvm_watch_fuzz::checks::fleet_ops::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check(data));
