//! The checks: functions of bytes that panic if an assertion fails. The fuzz targets in `fuzz/` call them with the
//! bytes of libFuzzer, the tests beside this folder with the committed corpora and with seeded random bytes.

pub mod answer;
pub mod choices;
pub mod cvm_id_and_url;
pub mod event_json;
pub mod fleet_ops;
pub mod json;
pub mod machine;
pub mod response_head;
pub mod watch_ops;

#[path = "../../../../cvm-watch-sse/tests/decoder/reference.rs"]
pub mod reference;

/// One check, and the name of its fuzz target and corpus.
pub type Check = (&'static str, fn(&[u8]));

/// All of them. The decoder's, `sse_bytes`, is in its own crate.
pub const CHECKS: &[Check] = &[
    ("watch_ops", watch_ops::check),
    ("fleet_ops", fleet_ops::check),
    ("response_head", response_head::check),
    ("event_json", event_json::check),
    ("cvm_id_and_url", cvm_id_and_url::check),
];
