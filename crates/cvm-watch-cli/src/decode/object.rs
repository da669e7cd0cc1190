//! The JSON objects that `decode` prints. They are documented in `docs/command-line.md`.

use std::sync::Arc;

use cvm_watch_core::sse::{self, Item};
use cvm_watch_core::{CvmState, Event, MalformedReason};
use serde::Serialize;

/// One line of output.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Object<'a> {
    Event {
        event: &'a str,
        data: &'a str,
        id: &'a str,
        #[serde(flatten)]
        typed: Option<Typed>,
    },
    Retry {
        retry: u64,
    },
    Malformed {
        malformed: String,
    },
}

/// What an event means when it is one of a CVM's.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Typed {
    State { state: Box<CvmState> },
    Complete { complete: CompleteFields },
    Timeout { timeout: TimeoutFields },
    Error { error: ErrorFields },
    Other,
    Malformed { reason: String },
}

#[derive(Serialize)]
pub(super) struct CompleteFields {
    status: String,
    target: Option<String>,
    elapsed: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct TimeoutFields {
    error: Option<String>,
    target: Option<String>,
    elapsed: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct ErrorFields {
    error: Option<String>,
    message: Option<String>,
    elapsed: Option<f64>,
}

impl<'a> Object<'a> {
    /// The object for what the decoder found. `None` for kinds of items that came after this.
    pub(super) fn new(item: &Item<'a>, cvm: bool) -> Option<Self> {
        match *item {
            Item::Event(event) => Some(Self::Event {
                event: event.event_type(),
                data: event.data,
                id: event.id,
                typed: if cvm { Typed::new(&event) } else { None },
            }),
            Item::Retry(retry) => Some(Self::Retry { retry }),
            Item::TooLarge { limit } => {
                Some(Self::Malformed { malformed: MalformedReason::EventTooLarge { limit }.to_string() })
            }
            _ => None,
        }
    }
}

impl Typed {
    fn new(event: &sse::Event<'_>) -> Option<Self> {
        Some(match Event::parse(event) {
            Event::State(state) => Self::State { state: Box::new(Arc::unwrap_or_clone(state)) },
            Event::Complete(complete) => {
                let (status, target, elapsed) = (complete.status, complete.target, complete.elapsed);
                Self::Complete { complete: CompleteFields { status, target, elapsed } }
            }
            Event::Timeout(timeout) => {
                let (error, target, elapsed) = (timeout.error, timeout.target, timeout.elapsed);
                Self::Timeout { timeout: TimeoutFields { error, target, elapsed } }
            }
            Event::Error(error) => {
                let (error, message, elapsed) = (error.error, error.message, error.elapsed);
                Self::Error { error: ErrorFields { error, message, elapsed } }
            }
            Event::Other { .. } => Self::Other,
            Event::Malformed { reason, .. } => Self::Malformed { reason: reason.to_string() },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use cvm_watch_core::sse::{Chunk, Decoder};

    fn typed(stream: &str) -> String {
        let mut decoder = Decoder::default();
        let item = decoder.decode(&mut Chunk::new(stream.as_bytes())).unwrap();
        let line = json::line(&Object::new(&item, true).unwrap());
        // The part that the type adds.
        line.split_once(r#""id":"","#).unwrap().1.to_owned()
    }

    #[test]
    fn each_event_of_a_cvm_has_its_type_and_fields() {
        for (stream, expected) in [
            (
                "event: state\ndata: {\"status\":\"starting\",\"boot_progress\":\"booting\",\"x\":1}\n\n",
                r#""type":"state","state":{"status":"starting","id":null,"instance_id":null,"name":null,"uptime":null,"exited_at":null,"boot_progress":"booting","boot_error":null,"shutdown_progress":null}}"#,
            ),
            (
                "event: complete\ndata: {\"status\":\"running\",\"target\":\"running\",\"elapsed\":1.5}\n\n",
                r#""type":"complete","complete":{"status":"running","target":"running","elapsed":1.5}}"#,
            ),
            (
                "event: timeout\ndata: {\"error\":\"late\",\"elapsed\":300}\n\n",
                r#""type":"timeout","timeout":{"error":"late","target":null,"elapsed":300.0}}"#,
            ),
            (
                "event: error\ndata: {\"error\":\"gone\",\"message\":\"no such CVM\"}\n\n",
                r#""type":"error","error":{"error":"gone","message":"no such CVM","elapsed":null}}"#,
            ),
            ("event: State\ndata: {}\n\n", r#""type":"other"}"#),
            ("event: state\ndata: {}\n\n", r#""type":"malformed","reason":"the status is missing or not a string"}"#),
            ("event: error\ndata: [\n\n", r#""type":"malformed","reason":"the data is not JSON"}"#),
        ] {
            assert_eq!(typed(stream), expected, "{stream}");
        }
    }
}
