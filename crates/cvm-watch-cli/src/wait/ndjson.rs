//! A watch as NDJSON: one object a line on stdout. The format is documented in
//! `docs/exit-codes-and-ndjson.md`, and stable.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use cvm_watch_core::{CvmState, Event};
use cvm_watch_hyper::Update;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::ended::{Ended, Trouble};
use super::progress::is_look;
use crate::exit::Exit;
use crate::json;
use crate::output::Lines;

/// The version of the format. It grows when a field changes or goes, not when one is added.
const VERSION: u8 = 1;

/// Updates as lines of JSON, or the result alone.
pub(super) struct Ndjson<W> {
    to: Lines<W>,
    started: Instant,
    cvms: Vec<Cvm>,
    /// Whether they share streams, and the last line is a summary.
    is_fleet: bool,
    /// The results of several CVMs so far, if they are to be part of the one object that is printed.
    results: Option<Vec<Box<RawValue>>>,
}

/// Whom lines are about.
struct Cvm {
    id: String,
    attempt: u64,
}

impl<W: Write> Ndjson<W> {
    /// One CVM.
    pub(super) fn of_one(to: W, id: &str) -> Self {
        Self { is_fleet: false, ..Self::of_fleet(to, [id]) }
    }

    /// Any number of CVMs, which share streams.
    pub(super) fn of_fleet<'a>(to: W, ids: impl IntoIterator<Item = &'a str>) -> Self {
        let cvms = ids.into_iter().map(|id| Cvm { id: id.to_owned(), attempt: 0 }).collect();
        Self { to: Lines::new(to), started: Instant::now(), cvms, is_fleet: true, results: None }
    }

    /// The same for `--output json`: one object at the end, which holds the results.
    pub(super) fn result_only(self) -> Self {
        Self { results: Some(Vec::new()), ..self }
    }

    /// An update of one of the CVMs, counted from 0.
    pub(super) fn update(&mut self, index: usize, update: &Update) {
        let begun = match update {
            Update::Connecting { attempt, .. } | Update::Event { attempt, .. } | Update::Retrying { attempt, .. } => {
                Some(*attempt)
            }
            _ => None,
        };
        let is_shared = self.is_fleet;
        if let (Some(cvm), Some(attempt)) = (self.cvms.get_mut(index), begun) {
            cvm.attempt = attempt.number();
        }
        match update {
            Update::Connecting { .. } => self.print(Some(index), "connecting", Body::default()),
            Update::Event { id, event, .. } => self.event(index, id, event),
            Update::SteadyTarget { after, .. } => {
                let body = Body { after_ms: Some(milliseconds(*after)), ..Body::default() };
                self.print(Some(index), "steady", body);
            }
            Update::SwitchedToPolling => self.print(Some(index), "polling", Body::default()),
            Update::Retrying { delay, cause, routine, .. } => {
                let kind = match (is_look(cause, is_shared), routine) {
                    (true, _) => "looking_again",
                    (false, true) => "reconnecting",
                    (false, false) => "retrying",
                };
                let status = cause.http_status();
                let (delay_ms, cause) = (Some(milliseconds(*delay)), Some(cause.to_string()));
                self.print(Some(index), kind, Body { delay_ms, cause, status, ..Body::default() });
            }
            _ => {}
        }
    }

    /// A warning about the CVM, or about all of them if there are more.
    pub(super) fn warn(&mut self, message: &str) {
        let whom = Some(0).filter(|_| !self.is_fleet);
        self.print(whom, "warning", Body { message: Some(message), ..Body::default() });
    }

    /// The last line about a CVM.
    pub(super) fn result(&mut self, index: usize, ended: &Ended) {
        self.ended(Some(index), ended);
    }

    /// The one line where nothing was requested.
    pub(super) fn refused(&mut self, ended: &Ended) {
        self.ended(None, ended);
    }

    fn ended(&mut self, whom: Option<usize>, ended: &Ended) {
        let body = match &ended.outcome {
            Ok(state) => Body { outcome: Some(ended.word()), state: Some(state), ..Body::default() },
            Err(trouble) => Body { outcome: Some(ended.word()), error: Some(trouble), ..Body::default() },
        };
        self.print(whom, "result", body);
    }

    /// The last line about several.
    pub(super) fn summary(&mut self, exit: Exit, counts: &Counts, failed: &[&str]) {
        let results = self.results.take();
        let summary = Some(Summary { exit_code: exit.into(), counts, failed, results });
        self.print(None, "summary", Body { outcome: Some(exit.outcome()), summary, ..Body::default() });
    }

    fn event(&mut self, index: usize, id: &str, event: &Event) {
        let id = Some(id).filter(|id| !id.is_empty());
        let (kind, body) = match event {
            Event::State(state) => ("state", Body::raw(state.raw.as_deref())),
            Event::Complete(complete) => ("complete", Body::raw(complete.raw.as_deref())),
            Event::Timeout(timeout) => ("timeout", Body::raw(timeout.raw.as_deref())),
            Event::Error(error) => ("error", Body::raw(error.raw.as_deref())),
            Event::Other { name, data, .. } => {
                ("other", Body { name: Some(name), data: Some(Data::Text(data)), ..Body::default() })
            }
            Event::Malformed { name, data, reason, .. } => {
                let (name, reason) = (Some(name.as_str()), Some(reason.to_string()));
                ("malformed", Body { name, data: Some(Data::Text(data)), reason, ..Body::default() })
            }
            _ => return,
        };
        self.print(Some(index), kind, Body { id, ..body });
    }

    /// A line about one of the CVMs, or about all of them.
    fn print(&mut self, whom: Option<usize>, kind: &'static str, body: Body<'_>) {
        let elapsed_ms = milliseconds(self.started.elapsed());
        let cvm = whom.and_then(|index| self.cvms.get(index));
        let (cvm, attempt) = cvm.map_or(("", 0), |cvm| (&cvm.id, cvm.attempt));
        let line = json::line(&Line { version: VERSION, r#type: kind, cvm, attempt, elapsed_ms, body });
        if let (Some(results), false) = (&mut self.results, kind == "summary") {
            let is_part = kind == "result" && self.is_fleet && whom.is_some();
            if is_part {
                results.extend(RawValue::from_string(line));
                return;
            }
            if kind != "result" {
                return;
            }
        }
        // A closed stdout ends the printing, not the wait.
        let _ = self.to.print(line);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    version: u8,
    r#type: &'static str,
    cvm: &'a str,
    attempt: u64,
    elapsed_ms: u64,
    #[serde(flatten)]
    body: Body<'a>,
}

/// The fields that depend on the type.
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
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    summary: Option<Summary<'a>>,
}

/// The additional fields of the last line about several CVMs.
#[derive(Serialize)]
struct Summary<'a> {
    exit_code: i32,
    counts: &'a Counts,
    failed: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Box<RawValue>>>,
}

/// How many CVMs ended in each way: `resolved`, or the kind of a failure.
pub(super) type Counts = BTreeMap<&'static str, usize>;

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
