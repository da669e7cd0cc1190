//! A watch as NDJSON: one object a line on stdout. The format is documented in
//! `docs/command-line.md`, and stable.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use cvm_watch_core::{CvmState, Event, RetryCause};
use cvm_watch_hyper::Update;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::ended::{Ended, Trouble};
use super::progress::is_look;
use crate::json;
use crate::output::Lines;

/// Updates as lines of JSON.
pub(super) struct Ndjson<W> {
    to: Lines<W>,
    cvm: String,
    started: Instant,
    attempt: u64,
}

impl<W: Write> Ndjson<W> {
    pub(super) fn new(to: W, id: &str) -> Self {
        Self { to: Lines::new(to), cvm: id.to_owned(), started: Instant::now(), attempt: 0 }
    }

    pub(super) fn update(&mut self, update: &Update) {
        match update {
            Update::Connecting { attempt } => {
                self.attempt = *attempt;
                self.print("connecting", Body::default());
            }
            Update::Event { attempt, id, event } => {
                self.attempt = *attempt;
                self.event(id, event);
            }
            Update::SteadyTarget { after } => {
                self.print("steady", Body { after_ms: Some(milliseconds(*after)), ..Body::default() });
            }
            Update::Retrying { attempt, delay, cause } => {
                self.attempt = *attempt;
                let kind = if is_look(cause) { "looking_again" } else { "retrying" };
                let status = match cause {
                    RetryCause::Status { status, .. } => Some(*status),
                    _ => None,
                };
                let (delay_ms, cause) = (Some(milliseconds(*delay)), Some(cause.to_string()));
                self.print(kind, Body { delay_ms, cause, status, ..Body::default() });
            }
            _ => {}
        }
    }

    pub(super) fn warn(&mut self, message: &str) {
        self.print("warning", Body { message: Some(message), ..Body::default() });
    }

    /// The last line.
    pub(super) fn result(&mut self, ended: &Ended) {
        let body = match &ended.outcome {
            Ok(state) => Body { outcome: Some("resolved"), state: Some(state), ..Body::default() },
            Err(trouble) => Body { outcome: Some("failed"), error: Some(trouble), ..Body::default() },
        };
        self.print("result", body);
    }

    fn event(&mut self, id: &str, event: &Event) {
        let id = Some(id).filter(|id| !id.is_empty());
        let (kind, body) = match event {
            Event::State(state) => ("state", Body::raw(state.raw.as_deref())),
            Event::Complete(complete) => ("complete", Body::raw(complete.raw.as_deref())),
            Event::Timeout(timeout) => ("timeout", Body::raw(timeout.raw.as_deref())),
            Event::Error(error) => ("error", Body::raw(error.raw.as_deref())),
            Event::Other { name, data } => {
                ("other", Body { name: Some(name), data: Some(Data::Text(data)), ..Body::default() })
            }
            Event::Malformed { name, data, reason } => {
                let (name, reason) = (Some(name.as_str()), Some(reason.to_string()));
                ("malformed", Body { name, data: Some(Data::Text(data)), reason, ..Body::default() })
            }
            _ => return,
        };
        self.print(kind, Body { id, ..body });
    }

    fn print(&mut self, kind: &'static str, body: Body<'_>) {
        let elapsed_ms = milliseconds(self.started.elapsed());
        let line = json::line(&Line { r#type: kind, cvm: &self.cvm, attempt: self.attempt, elapsed_ms, body });
        // A closed stdout ends the printing, not the wait.
        let _ = self.to.print(line);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    cvm: &'a str,
    attempt: u64,
    elapsed_ms: u64,
    #[serde(flatten)]
    body: Body<'a>,
}

/// What each type has of its own.
#[derive(Default, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a CvmState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Trouble>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(Cow<'a, RawValue>),
    Text(&'a str),
}

impl<'a> Body<'a> {
    fn raw(json: Option<&'a str>) -> Self {
        let data = json.map(|json| json::embedded(json).map_or(Data::Text(json), Data::Json));
        Self { data, ..Self::default() }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
