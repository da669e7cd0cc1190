//! The events of the endpoint.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Serialize, Serializer};

use super::json::{self, Fields, NotAnObject, Value};
use crate::cvm_state::CvmState;
use crate::malformed::MalformedReason;
use crate::redact::Redactor;
use crate::response::error_in_object;
use crate::sse;

/// One event of the stream, parsed. No event is dropped silently: one with an unknown name is [`Event::Other`], one
/// that cannot be read is [`Event::Malformed`].
///
/// Strings are server text with secrets redacted; pass them through [`printable`] before showing them.
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
    /// The server reports the end of the watch.
    Complete(Complete),
    /// The server ends this stream because its timeout was reached; the watch reconnects.
    Timeout(ServerTimeout),
    /// The server reports an error; the stream may go on.
    Error(ServerError),
    /// An event with another name, or without one.
    #[non_exhaustive]
    Other {
        /// Its name; `message` when it has none.
        name: String,
        /// Its data.
        data: String,
    },
    /// An event that cannot be read.
    #[non_exhaustive]
    Malformed {
        /// The event's name; empty if the event was dropped before its name was read.
        name: String,
        /// Its data; empty if the event was dropped for its size.
        data: String,
        /// Why it cannot be read.
        reason: MalformedReason,
    },
}

/// The payload of a `complete` event.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Complete {
    /// The status that was reached.
    pub status: String,
    /// The target that the server waited for.
    pub target: Option<String>,
    /// Seconds the server has watched.
    pub elapsed: Option<f64>,
    /// The server's JSON text, if [`PolicyBuilder::keep_raw`](crate::PolicyBuilder::keep_raw) is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Box<str>>,
}

/// The payload of a `timeout` event. The event's name is enough, so every field may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerTimeout {
    /// The server's message.
    pub error: Option<String>,
    /// The target that was not reached.
    pub target: Option<String>,
    /// Seconds the server has watched.
    pub elapsed: Option<f64>,
    /// The server's JSON text, if [`PolicyBuilder::keep_raw`](crate::PolicyBuilder::keep_raw) is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Box<str>>,
}

/// The payload of an `error` event.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ServerError {
    /// The server's short name for the error, or its message.
    pub error: Option<String>,
    /// The server's message: of the field `message`; without text in `error` and `message`, of `detail` or of an
    /// object in one of the three.
    pub message: Option<String>,
    /// Seconds the server has watched.
    pub elapsed: Option<f64>,
    /// The server's JSON text, if [`PolicyBuilder::keep_raw`](crate::PolicyBuilder::keep_raw) is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Box<str>>,
}

impl ServerError {
    /// The message, else the error; empty text is none.
    fn text(&self) -> Option<&str> {
        [&self.message, &self.error].into_iter().flatten().map(String::as_str).find(|text| !text.is_empty())
    }

    /// With the message from another field of the data, such as `detail` or an object, if there is no text.
    fn with_message_of(mut self, data: &str) -> Self {
        if self.text().is_none() {
            self.message = error_in_object(data);
        }
        self
    }
}

/// Serializes a state with its JSON text, which the serialized form of the state alone omits.
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

impl Event {
    /// Parses one event, for tools that decode a stream without a watch. It keeps the server's JSON text, and nothing
    /// is redacted.
    ///
    /// ```
    /// use cvm_watch_core::Event;
    /// use cvm_watch_core::sse;
    ///
    /// let event = sse::Event::new("state", r#"{"status":"running"}"#, "");
    /// let Event::State(state) = Event::parse(&event) else { panic!("not a state") };
    /// assert_eq!(state.status, "running");
    /// ```
    pub fn parse(event: &sse::Event<'_>) -> Self {
        Self::read(event, true)
    }

    /// Parses one event without redaction. Names match exactly.
    pub(crate) fn read(event: &sse::Event<'_>, keep_raw: bool) -> Self {
        let raw = || keep_raw.then(|| event.data.into());
        match event.name {
            "state" => object(event, |fields: StateFields| {
                let state = fields.state()?;
                Some(Self::State(Arc::new(CvmState { raw: raw(), ..state })))
            }),
            "complete" => object(event, |fields: CompleteFields| {
                let complete = fields.complete()?;
                Some(Self::Complete(Complete { raw: raw(), ..complete }))
            }),
            "timeout" => {
                object(event, |timeout: ServerTimeout| Some(Self::Timeout(ServerTimeout { raw: raw(), ..timeout })))
            }
            "error" => object(event, |error: ServerError| {
                Some(Self::Error(ServerError { raw: raw(), ..error.with_message_of(event.data) }))
            }),
            _ => Self::Other { name: event.event_type().into(), data: event.data.into() },
        }
    }

    /// The event for [`Item::TooLarge`](sse::Item::TooLarge), for tools that decode without watching.
    pub fn too_large(limit: usize) -> Self {
        let reason = MalformedReason::EventTooLarge { limit };
        Self::Malformed { name: String::new(), data: String::new(), reason }
    }

    /// Returns whether this is a `timeout` event, readable or not.
    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Malformed { name, .. } => name == "timeout",
            _ => false,
        }
    }

    /// Returns the text of an `error` event, readable or not, or of an event without a name that carries an error.
    pub(crate) fn error_text(&self) -> Option<Cow<'_, str>> {
        let text: Cow<'_, str> = match self {
            Self::Error(error) => error.text()?.into(),
            Self::Malformed { name, data, .. } if name == "error" => data.into(),
            Self::Other { name, data } if name == "message" => error_in_object(data)?.into(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// Redacts every string. `data` is the text of the event; usually it holds no secret, and nothing has to be done.
    pub(crate) fn redact(&mut self, data: &str, redactor: &Redactor) {
        if let Self::Other { name, .. } = self {
            redactor.redact_in_place(name);
        }
        if !redactor.may_be_in(data) {
            return;
        }
        let (texts, optional, raw) = match self {
            Self::State(state) => {
                let state = Arc::make_mut(state);
                let optional = [
                    &mut state.id,
                    &mut state.instance_id,
                    &mut state.name,
                    &mut state.uptime,
                    &mut state.exited_at,
                    &mut state.boot_progress,
                    &mut state.boot_error,
                    &mut state.shutdown_progress,
                ];
                (Some(&mut state.status), Vec::from(optional), Some(&mut state.raw))
            }
            Self::Complete(event) => (Some(&mut event.status), [&mut event.target].into(), Some(&mut event.raw)),
            Self::Timeout(event) => (None, [&mut event.error, &mut event.target].into(), Some(&mut event.raw)),
            Self::Error(event) => (None, [&mut event.error, &mut event.message].into(), Some(&mut event.raw)),
            Self::Other { data, .. } | Self::Malformed { data, .. } => return redactor.redact_data(data),
        };
        texts.into_iter().chain(optional.into_iter().flatten()).for_each(|text| redactor.redact_in_place(text));
        if let Some(Some(raw)) = raw {
            *raw = redactor.redact_json(raw).into();
        }
    }
}

/// Reads the data as one object; `build` returns `None` when the status is missing.
fn object<F: Fields>(event: &sse::Event<'_>, build: impl FnOnce(F) -> Option<Event>) -> Event {
    let read = json::read_object(event.data).map_err(MalformedReason::from);
    read.and_then(|fields| build(fields).ok_or(MalformedReason::NoStatus)).unwrap_or_else(|reason| Event::Malformed {
        name: event.name.into(),
        data: event.data.into(),
        reason,
    })
}

/// A state whose status was not read yet.
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

/// A completion whose status was not read yet.
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
