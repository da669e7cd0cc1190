//! Metrics of watches, fleets and pools, through the [`metrics`](https://docs.rs/metrics) facade. Needs the
//! feature `metrics`.
//!
//! Every watch of a program with this feature is counted. Without an installed recorder nothing is
//! kept.
//!
//! | name | kind | unit | labels | counts |
//! |---|---|---|---|---|
//! | [`WATCHES`] | gauge | watches | `pool` | watches that run |
//! | [`OPEN_STREAMS`] | gauge | streams | `pool` | streams that are open or being opened: the slots in use |
//! | [`ATTEMPTS`] | counter | attempts | `pool` | attempts that began, first ones and reconnects |
//! | [`RETRIES`] | counter | retries | `pool`, `cause` | attempts that ended without the target and are followed by another, routine reconnects included |
//! | [`EVENTS`] | counter | events | `pool`, `event` | events that the server sent |
//! | [`OUTCOMES`] | counter | watches | `pool`, `outcome` | watches that ended |
//! | [`TIME_TO_TARGET`] | histogram | seconds | `pool` | time from the start of a watch to its target, waits for a slot included |
//!
//! | label | values |
//! |---|---|
//! | `pool` | what [`PoolDriver::metrics_label`](crate::PoolDriver::metrics_label) was given; empty elsewhere |
//! | `cause` | a [`RetryCause`] as it is serialized, such as `idle_timeout`; of a connection that ended the close cause, such as `reset`; of an HTTP status `http_503` |
//! | `event` | `state`, `complete`, `timeout`, `error`, `other` or `malformed` |
//! | `outcome` | `target`, or a [`Failure::kind`](cvm_watch_core::Failure::kind) such as `aborted`, which a dropped watch is too |
//!
//! No label holds an id, a key or text of a server, so their number is limited. A watch that is
//! refused before it begins is not counted.
//!
//! ```
//! // A service installs its exporter first; then each metric has its unit and description.
//! cvm_watch_driver::metrics::describe();
//! ```

use std::collections::BTreeMap;

use cvm_watch_core::{Action, Event, Input, MemberId, RetryCause, Timestamp};
use metrics::{SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use serde_json::Value;

use crate::observed::Observed;

/// Gauge: the watches that run.
pub const WATCHES: &str = "cvm_watch_watches";
/// Gauge: the streams that are open or being opened.
pub const OPEN_STREAMS: &str = "cvm_watch_open_streams";
/// Counter: the attempts that began.
pub const ATTEMPTS: &str = "cvm_watch_attempts_total";
/// Counter: the attempts that failed and are followed by another one, by `cause`.
pub const RETRIES: &str = "cvm_watch_retries_total";
/// Counter: the events that the server sent, by `event`.
pub const EVENTS: &str = "cvm_watch_events_total";
/// Counter: the watches that ended, by `outcome`.
pub const OUTCOMES: &str = "cvm_watch_outcomes_total";
/// Histogram: the seconds from the start of a watch to its target.
pub const TIME_TO_TARGET: &str = "cvm_watch_time_to_target_seconds";

/// Gives every metric its unit and its description at the installed recorder.
pub fn describe() {
    describe_gauge!(WATCHES, Unit::Count, "Watches that run");
    describe_gauge!(OPEN_STREAMS, Unit::Count, "Streams that are open or being opened");
    describe_counter!(ATTEMPTS, Unit::Count, "Attempts that began");
    describe_counter!(RETRIES, Unit::Count, "Attempts that failed and are followed by another one");
    describe_counter!(EVENTS, Unit::Count, "Events that the server sent");
    describe_counter!(OUTCOMES, Unit::Count, "Watches that ended");
    describe_histogram!(TIME_TO_TARGET, Unit::Seconds, "Time from the start of a watch to its target");
}

/// Counts what an engine does, from the calls that it sees as an observer.
pub(crate) struct Meter {
    pool: SharedString,
    now: Timestamp,
    watches: BTreeMap<MemberId, Running>,
}

struct Running {
    started: Timestamp,
    is_connected: bool,
}

impl Meter {
    pub(crate) fn new(pool: SharedString) -> Self {
        Self { pool, now: Timestamp::ZERO, watches: BTreeMap::new() }
    }

    pub(crate) fn observe(&mut self, observed: Observed<'_>) {
        match observed {
            Observed::Started { member, now, .. } => {
                self.now = now;
                gauge!(WATCHES, "pool" => self.pool.clone()).increment(1.0);
                self.watches.insert(member, Running { started: now, is_connected: false });
            }
            Observed::Handled { now, member, input, .. } => {
                self.now = now;
                if let (Some(member), Input::Closed { .. }) = (member, input) {
                    self.set_connected(member, false);
                }
            }
            Observed::Received { now, .. } => self.now = now,
            Observed::Polled(Some((member, action))) => self.count(member, action),
            _ => {}
        }
    }

    fn count(&mut self, member: MemberId, action: &Action) {
        let pool = self.pool.clone();
        match action {
            Action::Connect { .. } => {
                counter!(ATTEMPTS, "pool" => pool).increment(1);
                self.set_connected(member, true);
            }
            Action::Disconnect { .. } => self.set_connected(member, false),
            Action::Emit { event, .. } => {
                counter!(EVENTS, "pool" => pool, "event" => event_label(event)).increment(1);
            }
            Action::Retrying { cause, .. } => {
                counter!(RETRIES, "pool" => pool, "cause" => cause_label(cause)).increment(1);
            }
            Action::Resolve(_) => {
                if let Some(watch) = self.watches.get(&member) {
                    histogram!(TIME_TO_TARGET, "pool" => pool).record(self.now.since(watch.started));
                }
                self.end(member, "target");
            }
            Action::Fail(failure) => self.end(member, failure.kind()),
            _ => {}
        }
    }

    fn set_connected(&mut self, member: MemberId, is_connected: bool) {
        let Some(watch) = self.watches.get_mut(&member) else { return };
        if core::mem::replace(&mut watch.is_connected, is_connected) != is_connected {
            gauge!(OPEN_STREAMS, "pool" => self.pool.clone()).increment(if is_connected { 1.0 } else { -1.0 });
        }
    }

    fn end(&mut self, member: MemberId, outcome: &'static str) {
        self.set_connected(member, false);
        if self.watches.remove(&member).is_some() {
            gauge!(WATCHES, "pool" => self.pool.clone()).decrement(1.0);
            counter!(OUTCOMES, "pool" => self.pool.clone(), "outcome" => outcome).increment(1);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // A watch that is dropped is aborted.
        while let Some(member) = self.watches.keys().next().copied() {
            self.end(member, "aborted");
        }
    }
}

fn event_label(event: &Event) -> &'static str {
    match event {
        Event::State(_) => "state",
        Event::Complete(_) => "complete",
        Event::Timeout(_) => "timeout",
        Event::Error(_) => "error",
        Event::Malformed { .. } => "malformed",
        _ => "other",
    }
}

fn cause_label(cause: &RetryCause) -> String {
    if let RetryCause::Status { status, .. } = cause {
        return format!("http_{status}");
    }
    // The names are those of the serialized form, so that a new cause has its own.
    let serialized = match cause {
        RetryCause::Closed(cause) => serde_json::to_value(cause),
        cause => serde_json::to_value(cause),
    };
    match serialized {
        Ok(Value::String(name)) => name,
        Ok(Value::Object(fields)) => fields.into_iter().next().map(|(name, _)| name).unwrap_or_default(),
        _ => String::new(),
    }
}
