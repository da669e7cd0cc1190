//! Writes an action as one line. Equal actions give equal lines.

use core::time::Duration;

use cvm_watch_driver::cvm_watch_core::{Action, CvmState, Event, Failure, Header, RetryCause};
use serde::Serialize;

use crate::line;

/// The product in the default `User-Agent`.
const PRODUCT: &str = "cvm-watch/";

/// Returns the action as a line of JSON without a line end. The values of sensitive headers are redacted.
pub(crate) fn line(member: Option<u64>, action: &Action) -> String {
    let shown = match action {
        Action::Connect { attempt, request, .. } => Shown::Connect {
            attempt: attempt.number(),
            path: request.path_and_query(),
            headers: request.headers().iter().map(|header| (header.name(), value(header))).collect(),
        },
        Action::AskCredential { attempt } => Shown::AskCredential { attempt: attempt.number() },
        Action::Disconnect { attempt } => Shown::Disconnect { attempt: attempt.number() },
        Action::Emit { attempt, id, event, .. } => Shown::Emit { attempt: attempt.number(), id, event },
        Action::SteadyTarget { after, .. } => Shown::SteadyTarget { after: *after },
        Action::Retrying { attempt, delay, cause, .. } => {
            Shown::Retrying { attempt: attempt.number(), delay: *delay, cause }
        }
        Action::Resolve(state) => Shown::Resolve { state, raw: state.raw.as_deref() },
        Action::Fail(failure) => Shown::Fail(failure),
        other => Shown::Other { is: format!("{other:?}") },
    };
    line::json(&Line { action: shown, member })
}

/// A header's value, unless it is a secret or depends on the version of this crate.
fn value(header: &Header) -> &str {
    match header.value() {
        _ if header.sensitive() => "***",
        value if value.starts_with(PRODUCT) => PRODUCT,
        value => value,
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    action: Shown<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<u64>,
}

#[derive(Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Shown<'a> {
    Connect {
        attempt: u64,
        path: &'a str,
        headers: Vec<(&'a str, &'a str)>,
    },
    AskCredential {
        attempt: u64,
    },
    Disconnect {
        attempt: u64,
    },
    Emit {
        attempt: u64,
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        event: &'a Event,
    },
    SteadyTarget {
        after: Duration,
    },
    Retrying {
        attempt: u64,
        delay: Duration,
        cause: &'a RetryCause,
    },
    Resolve {
        state: &'a CvmState,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'a str>,
    },
    Fail(&'a Failure),
    /// An action that this version of the crate does not know.
    Other {
        is: String,
    },
}
