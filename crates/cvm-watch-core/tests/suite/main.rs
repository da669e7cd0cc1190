//! The watch on a virtual clock, played by the simulator's scripts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may panic and print too"
)]

mod documents;
mod fleet;
mod laws;
mod order;
mod permits;
mod policy;
mod rows_01_to_09;
mod rows_10_to_17;
mod rows_18_to_26;
mod serialized;
#[path = "../../examples/fleet/town.rs"]
mod town;
mod world;
