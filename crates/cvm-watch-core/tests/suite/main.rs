//! The watch and the fleet in virtual time, against the scripts of the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests may panic and print too"
)]

mod abort;
mod answers;
mod conditions;
mod credentials;
mod deadlines;
mod events;
mod fleet;
mod fleet_picture;
mod last_event_id;
mod order;
mod permits;
mod policy;
mod polls;
mod redaction;
mod retries;
mod serialized;
mod target;
#[path = "../virtual_time/mod.rs"]
mod virtual_time;
mod watches;
