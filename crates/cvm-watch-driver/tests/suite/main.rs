//! The driver's loop and handle, carried out on a virtual clock over a scripted transport.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

mod fleet;
mod handle;
mod loop_laws;
mod neutrality;
mod observed;
mod pool;
mod sim;
