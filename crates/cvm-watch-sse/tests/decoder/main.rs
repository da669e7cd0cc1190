//! The decoder as a whole, through its public interface: tables of byte strings, random streams and
//! the fuzz corpus against the reference decoder, and the memory that it reports.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    unreachable_pub,
    reason = "tests may panic, and some modules are shared with the core's tests and the fuzz targets"
)]

mod api;
mod cases;
mod corpus;
mod harness;
mod limit_cases;
mod memory;
mod properties;
mod random;
mod reference;
