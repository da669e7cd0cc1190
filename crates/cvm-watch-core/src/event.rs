//! From one event of the stream to a typed one. With `cvm_state.rs`, the only place that knows the
//! field names of the wire.

mod flat;
mod json;
mod typed;

pub use typed::{Complete, Event, MalformedReason, ServerError, ServerTimeout};
