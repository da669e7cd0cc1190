//! The driver's loop and handles in virtual time, over the simulator.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

mod credentials;
mod fleet;
mod handle;
mod loop_order;
mod neutrality;
mod observed;
mod pool;
mod sim;
mod state;
