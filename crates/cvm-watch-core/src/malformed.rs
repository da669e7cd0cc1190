//! Why an event, or an answer in immediate mode, could not be read.

use serde::{Serialize, Serializer};

/// Why an event could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedReason {
    /// The data is not JSON.
    #[error("the data is not JSON")]
    NotJson,
    /// The data is JSON, but not an object.
    #[error("the data is not a JSON object")]
    NotAnObject,
    /// The data nests deeper than 128 levels.
    #[error("the data nests deeper than 128 levels")]
    TooDeep,
    /// A `state` or `complete` event has no `status`, or one that is not a string.
    #[error("the status is missing or not a string")]
    NoStatus,
    /// The event is larger than the configured limit; it was dropped.
    #[error("the event is larger than {limit} bytes")]
    EventTooLarge {
        /// `max_event_bytes` as configured.
        limit: usize,
    },
}

/// Its message.
impl Serialize for MalformedReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
