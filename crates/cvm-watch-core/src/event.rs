//! Parses an event of the stream into a typed one. Only this module and `cvm_state.rs` know the field names of the
//! wire.

mod flat;
mod json;
mod typed;

pub use typed::{Complete, Event, ServerError, ServerTimeout};
