//! Recordings: what they hold, how they are played, and what is never in one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

mod fleet;
mod folder;
mod format;
mod random;
mod scripted;
mod secrets;
