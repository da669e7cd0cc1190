//! The checks that the fuzz targets call. They live beside the tests of the core, which replay the
//! corpora with them.

#[path = "../../crates/cvm-watch-core/tests/laws/checks/mod.rs"]
pub mod checks;
#[path = "../../crates/cvm-watch-core/tests/laws/model/mod.rs"]
pub mod model;
