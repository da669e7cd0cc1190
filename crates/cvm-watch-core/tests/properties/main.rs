//! Property tests of the watch and the fleet, over seeded random cases and the committed fuzz corpora.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::print_stderr,
    unreachable_pub,
    reason = "checks fail by panicking, and are shared with the fuzz crate"
)]

mod checks;
mod corpora;
mod faults;
mod invariants;
mod model;
mod random;
mod random_run;
