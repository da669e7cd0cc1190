//! The events of the endpoint.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use serde::{Serialize, Serializer};

use super::json::{self, Fields, NotAnObject, Value};
use crate::cvm::CvmState;
use crate::goal::Look;
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::sse;

/// One event of the stream, read. Nothing that the server sends is dropped: what cannot be
/// understood comes as [`Event::Other`] or [`Event::Malformed`].
///
/// Strings are server text with secrets redacted; give them to [`printable`] before people see them.
///
/// Serialized, it is an object with one field, its kind in `snake_case`: `{"state":{…}}`. Absent
/// fields are `null`; an absent `raw` is left out.
///
/// [`printable`]: crate::printable
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The CVM's state. Shared, since the watch keeps the last one.
    State(#[serde(serialize_with = "with_raw")] Arc<CvmState>),
    /// The server says that the watch is done.
    Complete(Complete),
    /// The server ends this stream because its timeout was reached; the watch reconnects.
    Timeout(ServerTimeout),
    /// The server reports an error; the stream may go on.
    Error(ServerError),
    /// An event by another name, or by none.
    Other {
        /// Its name; `message` when it has none.
        name: String,
        /// Its data.
        data: String,
    },
    /// An event that cannot be read.
    Malformed {
        /// The event's name; empty when it was dropped before that was known.
        name: String,
        /// Its data; empty when it was dropped for its size.
        data: String,
        /// What is wrong with it.
        reason: MalformedReason,
    },
}

/// The payload of a `complete` event.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Complete {
    /// The status that was reached.
    pub status: String,
    /// The target that the server had in mind.
    pub target: Option<String>,
    /// Seconds the server has watched.
    pub elapsed: Option<f64>,
    /// The server's JSON text, when the configuration asked to keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Box<str>>,
}

/// The payload of a `timeout` event. It counts by its name alone, so every field may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerTimeout {
    /// The server's words.
    pub error: Option<String>,
    /// The target that was not reached.
    pub target: Option<String>,
    /// Seconds the server has watched.
    pub elapsed: Option<f64>,
    /// The server's JSON text, when the configuration asked to keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Box<str>>,
}

/// The payload of an `error` event.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerError {
    /// The server's short name for the error, or its words.
    pub error: Option<String>,
    /// The server's words, if it has more to say.
    pub message: Option<String>,
    /// Seconds the server has watched.
    pub elapsed: Option<f64>,
    /// The server's JSON text, when the configuration asked to keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Box<str>>,
}

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

/// A state with its JSON text, which the state by itself leaves out.
fn with_raw<S: Serializer>(state: &Arc<CvmState>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WithRaw<'a> {
        #[serde(flatten)]
        state: &'a CvmState,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'a str>,
    }
    WithRaw { state, raw: state.raw.as_deref() }.serialize(serializer)
}

impl From<NotAnObject> for MalformedReason {
    fn from(problem: NotAnObject) -> Self {
        match problem {
            NotAnObject::TooDeep => Self::TooDeep,
            NotAnObject::NotJson => Self::NotJson,
            NotAnObject::OtherType => Self::NotAnObject,
        }
    }
}

/// What an event means to the watch, judged on the server's own words, before masking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A readable `state`, and what it says by itself.
    State(Look),
    /// A readable `complete`; whether it is the target.
    Complete { at_target: bool },
    /// A `timeout`, readable or not.
    Timeout,
    /// An `error`, readable or not.
    Error,
    /// Nothing that moves the watch.
    Nothing,
}

impl Event {
    /// Reads one event of a stream by itself, for tools that decode without watching. It carries
    /// the server's JSON text, and nothing in it is masked.
    ///
    /// ```
    /// use cvm_watch_core::Event;
    /// use cvm_watch_core::sse::{Decoder, Item};
    ///
    /// let mut decoder = Decoder::default();
    /// let mut input = &b"event: state\ndata: {\"status\":\"running\"}\n\n"[..];
    /// let Some(Item::Event(event)) = decoder.decode(&mut input) else { panic!("no event") };
    /// let Event::State(state) = Event::parse(&event) else { panic!("not a state") };
    /// assert_eq!(state.status, "running");
    /// ```
    pub fn parse(event: &sse::Event<'_>) -> Self {
        Reader { policy: None, keep_raw: true, secrets: &Redactor::default() }.read(event).1
    }

    /// What an `error` event, readable or not, leaves for the final failure.
    pub(crate) fn error_text(&self) -> Option<&str> {
        let text = match self {
            Self::Error(error) => match error.message.as_deref() {
                None | Some("") => error.error.as_deref()?,
                Some(message) => message,
            },
            Self::Malformed { data, .. } => data,
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }
}

/// What reading an event needs to know of the watch.
pub(crate) struct Reader<'a> {
    /// What the event is read for; `None` for events by themselves, which mean nothing.
    policy: Option<&'a Policy>,
    keep_raw: bool,
    secrets: &'a Redactor,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(policy: &'a Policy) -> Self {
        Self { policy: Some(policy), keep_raw: policy.keep_raw(), secrets: policy.redactor() }
    }

    /// Reads one event of the stream. Names match exactly.
    pub(crate) fn read(&self, event: &sse::Event<'_>) -> (Meaning, Event) {
        match event.name {
            "state" => self.object(event, Meaning::Nothing, |fields: StateFields, raw| {
                fields.state().map(|state| {
                    let meaning =
                        self.policy.map_or(Meaning::Nothing, |policy| Meaning::State(Look::at(&state, policy)));
                    (meaning, Event::State(Arc::new(self.masked(event, CvmState { raw, ..state }))))
                })
            }),
            "complete" => self.object(event, Meaning::Nothing, |fields: CompleteFields, raw| {
                fields.complete().map(|complete| {
                    let at_target =
                        self.policy.is_some_and(|policy| complete.status.eq_ignore_ascii_case(policy.target()));
                    let complete = self.masked(event, Complete { raw, ..complete });
                    (Meaning::Complete { at_target }, Event::Complete(complete))
                })
            }),
            "timeout" => self.object(event, Meaning::Timeout, |timeout: ServerTimeout, raw| {
                let timeout = self.masked(event, ServerTimeout { raw, ..timeout });
                Some((Meaning::Timeout, Event::Timeout(timeout)))
            }),
            "error" => self.object(event, Meaning::Error, |error: ServerError, raw| {
                let error = self.masked(event, ServerError { raw, ..error });
                Some((Meaning::Error, Event::Error(error)))
            }),
            _ => {
                let name = self.secrets.redact(event.event_type()).into_owned();
                let data = self.secrets.redact(event.data).into_owned();
                (Meaning::Nothing, Event::Other { name, data })
            }
        }
    }

    /// Reads the data as one object; `build` answers `None` when the status is missing.
    fn object<F: Fields>(
        &self,
        event: &sse::Event<'_>,
        if_malformed: Meaning,
        build: impl FnOnce(F, Option<Box<str>>) -> Option<(Meaning, Event)>,
    ) -> (Meaning, Event) {
        let raw = self.keep_raw.then(|| self.secrets.redact_json(event.data).into());
        let read = json::read_object::<F>(event.data)
            .map_err(MalformedReason::from)
            .and_then(|fields| build(fields, raw).ok_or(MalformedReason::NoStatus));
        read.unwrap_or_else(|reason| {
            let data = self.secrets.redact(event.data).into_owned();
            (if_malformed, Event::Malformed { name: event.name.into(), data, reason })
        })
    }

    fn masked<P: Payload>(&self, event: &sse::Event<'_>, mut payload: P) -> P {
        if self.secrets.may_be_in(event.data) {
            payload.strings(&mut |text| self.secrets.redact_in_place(text));
        }
        payload
    }
}

/// A payload whose strings can be visited.
trait Payload {
    fn strings(&mut self, visit: &mut dyn FnMut(&mut String));
}

impl Payload for CvmState {
    fn strings(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.status);
        let optional = [
            &mut self.id,
            &mut self.instance_id,
            &mut self.name,
            &mut self.uptime,
            &mut self.exited_at,
            &mut self.boot_progress,
            &mut self.boot_error,
            &mut self.shutdown_progress,
        ];
        optional.into_iter().flatten().for_each(visit);
    }
}

impl Payload for Complete {
    fn strings(&mut self, visit: &mut dyn FnMut(&mut String)) {
        visit(&mut self.status);
        self.target.iter_mut().for_each(visit);
    }
}

impl Payload for ServerTimeout {
    fn strings(&mut self, visit: &mut dyn FnMut(&mut String)) {
        [&mut self.error, &mut self.target].into_iter().flatten().for_each(visit);
    }
}

impl Payload for ServerError {
    fn strings(&mut self, visit: &mut dyn FnMut(&mut String)) {
        [&mut self.error, &mut self.message].into_iter().flatten().for_each(visit);
    }
}

/// A state whose status may still be to come.
#[derive(Default)]
struct StateFields {
    has_status: bool,
    state: CvmState,
}

impl StateFields {
    fn state(self) -> Option<CvmState> {
        self.has_status.then_some(self.state)
    }
}

impl Fields for StateFields {
    fn knows(name: &str) -> bool {
        matches!(
            name,
            "status"
                | "id"
                | "instance_id"
                | "name"
                | "uptime"
                | "exited_at"
                | "boot_progress"
                | "boot_error"
                | "shutdown_progress"
        )
    }

    fn set(&mut self, name: &str, value: Value<'_>) {
        let state = &mut self.state;
        let not_empty = |value: Value<'_>| value.text().filter(|text| !text.is_empty());
        match name {
            "status" => {
                let text = value.text();
                self.has_status = text.is_some();
                state.status = text.unwrap_or_default();
            }
            "id" => state.id = value.text(),
            "instance_id" => state.instance_id = value.text(),
            "name" => state.name = value.text(),
            "uptime" => state.uptime = value.text(),
            "exited_at" => state.exited_at = value.text(),
            "boot_progress" => state.boot_progress = not_empty(value),
            "boot_error" => state.boot_error = not_empty(value),
            "shutdown_progress" => state.shutdown_progress = value.text(),
            _ => {}
        }
    }
}

/// A completion whose status may still be to come.
#[derive(Default)]
struct CompleteFields {
    has_status: bool,
    complete: Complete,
}

impl CompleteFields {
    fn complete(self) -> Option<Complete> {
        self.has_status.then_some(self.complete)
    }
}

impl Fields for CompleteFields {
    fn knows(name: &str) -> bool {
        matches!(name, "status" | "target" | "elapsed")
    }

    fn set(&mut self, name: &str, value: Value<'_>) {
        match name {
            "status" => {
                let text = value.text();
                self.has_status = text.is_some();
                self.complete.status = text.unwrap_or_default();
            }
            "target" => self.complete.target = value.text(),
            "elapsed" => self.complete.elapsed = value.number(),
            _ => {}
        }
    }
}

impl Fields for ServerTimeout {
    fn knows(name: &str) -> bool {
        matches!(name, "error" | "target" | "elapsed")
    }

    fn set(&mut self, name: &str, value: Value<'_>) {
        match name {
            "error" => self.error = value.text(),
            "target" => self.target = value.text(),
            "elapsed" => self.elapsed = value.number(),
            _ => {}
        }
    }
}

impl Fields for ServerError {
    fn knows(name: &str) -> bool {
        matches!(name, "error" | "message" | "elapsed")
    }

    fn set(&mut self, name: &str, value: Value<'_>) {
        match name {
            "error" => self.error = value.text(),
            "message" => self.message = value.text(),
            "elapsed" => self.elapsed = value.number(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
