//! That the documents of the repository agree with its code.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

mod crate_diagram;
mod crate_pages;
mod examples;
mod repository;
mod test_names;
