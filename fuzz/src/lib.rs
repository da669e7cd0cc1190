//! The checks that the fuzz targets call. They live beside the tests of the core and of the decoder,
//! which replay the corpora with them.

#[path = "../../crates/cvm-watch-core/tests/properties/checks/mod.rs"]
pub mod checks;
#[path = "../../crates/cvm-watch-core/tests/properties/model/mod.rs"]
pub mod model;
#[path = "../../crates/cvm-watch-sse/tests/decoder/properties.rs"]
pub mod sse_bytes;

use checks::reference;
