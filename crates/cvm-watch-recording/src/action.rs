//! An action as one line, the same whenever it is the same action: each text in full, since what a
//! message for people leaves of it depends on its length in a way that no stand-in keeps.

use core::time::Duration;

use cvm_watch_driver::core::{
    Action, Complete, CvmState, Event, Failure, Header, RejectCause, Rejection, RetryCause, ServerError, ServerTimeout,
};
use serde::Serialize;

use crate::line;

/// The product that a request names by default.
const PRODUCT: &str = "cvm-watch/";

/// The action as a line of JSON, without its end. The values of sensitive headers are masked.
pub(crate) fn line(action: &Action) -> String {
    let shown = match action {
        Action::Connect { attempt, request } => Shown::Connect {
            attempt: attempt.number(),
            path: request.path_and_query(),
            headers: request.headers().iter().map(|header| (header.name(), value(header))).collect(),
        },
        Action::Disconnect { attempt } => Shown::Disconnect { attempt: attempt.number() },
        Action::Emit { attempt, id, event } => Shown::Emit { attempt: attempt.number(), id, event: of_event(event) },
        Action::SteadyTarget { after } => Shown::SteadyTarget { after: *after },
        Action::Retrying { attempt, delay, cause } => {
            Shown::Retrying { attempt: attempt.number(), delay: *delay, cause: of_cause(cause) }
        }
        Action::AskPermit => Shown::AskPermit,
        Action::Resolve(state) => Shown::Resolve { state, raw: state.raw.as_deref() },
        Action::Fail(failure) => Shown::Fail { kind: failure.kind(), why: of_failure(failure) },
        other => Shown::Other { is: format!("{other:?}") },
    };
    line::json(&shown)
}

/// A header's value as far as it may be seen and does not change with each version of this program.
fn value(header: &Header) -> &str {
    match header.value() {
        _ if header.sensitive() => "***",
        value if value.starts_with(PRODUCT) => PRODUCT,
        value => value,
    }
}

#[derive(Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Shown<'a> {
    Connect {
        attempt: u64,
        path: &'a str,
        headers: Vec<(&'a str, &'a str)>,
    },
    Disconnect {
        attempt: u64,
    },
    Emit {
        attempt: u64,
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        event: ShownEvent<'a>,
    },
    SteadyTarget {
        after: Duration,
    },
    Retrying {
        attempt: u64,
        delay: Duration,
        cause: ShownCause<'a>,
    },
    AskPermit,
    Resolve {
        state: &'a CvmState,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'a str>,
    },
    Fail {
        kind: &'static str,
        #[serde(flatten)]
        why: ShownFailure<'a>,
    },
    /// Something that is newer than this file.
    Other {
        is: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ShownEvent<'a> {
    State {
        #[serde(flatten)]
        state: &'a CvmState,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'a str>,
    },
    Complete {
        status: &'a str,
        target: Option<&'a str>,
        elapsed: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'a str>,
    },
    Timeout {
        error: Option<&'a str>,
        target: Option<&'a str>,
        elapsed: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'a str>,
    },
    Error {
        error: Option<&'a str>,
        message: Option<&'a str>,
        elapsed: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'a str>,
    },
    Other {
        name: &'a str,
        data: &'a str,
    },
    Malformed {
        name: &'a str,
        data: &'a str,
        reason: String,
    },
    Unknown(String),
}

fn of_event(event: &Event) -> ShownEvent<'_> {
    match event {
        Event::State(state) => ShownEvent::State { state, raw: state.raw.as_deref() },
        Event::Complete(Complete { status, target, elapsed, raw, .. }) => {
            ShownEvent::Complete { status, target: target.as_deref(), elapsed: *elapsed, raw: raw.as_deref() }
        }
        Event::Timeout(ServerTimeout { error, target, elapsed, raw, .. }) => ShownEvent::Timeout {
            error: error.as_deref(),
            target: target.as_deref(),
            elapsed: *elapsed,
            raw: raw.as_deref(),
        },
        Event::Error(ServerError { error, message, elapsed, raw, .. }) => ShownEvent::Error {
            error: error.as_deref(),
            message: message.as_deref(),
            elapsed: *elapsed,
            raw: raw.as_deref(),
        },
        Event::Other { name, data } => ShownEvent::Other { name, data },
        Event::Malformed { name, data, reason } => ShownEvent::Malformed { name, data, reason: reason.to_string() },
        other => ShownEvent::Unknown(format!("{other:?}")),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ShownCause<'a> {
    Status {
        status: u16,
        message: Option<&'a str>,
    },
    CompletedElsewhere {
        status: &'a str,
    },
    /// In words that are not the server's.
    #[serde(untagged)]
    Other(String),
}

fn of_cause(cause: &RetryCause) -> ShownCause<'_> {
    match cause {
        RetryCause::Status { .. } | RetryCause::TooManyStreams { .. } => {
            ShownCause::Status { status: cause.http_status().unwrap_or_default(), message: cause.server_message() }
        }
        RetryCause::CompletedElsewhere { status } => ShownCause::CompletedElsewhere { status },
        other => ShownCause::Other(other.to_string()),
    }
}

#[derive(Default, Serialize)]
struct ShownFailure<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_cause: Option<ShownCause<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<ShownRejection<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Serialize)]
struct ShownRejection<'a> {
    status: u16,
    cause: &'static str,
    found: Option<&'a str>,
    message: Option<&'a str>,
    error_code: Option<&'a str>,
    details: &'a [String],
    suggestions: &'a [String],
    links: &'a [String],
    request_id: Option<&'a str>,
}

fn of_failure(failure: &Failure) -> ShownFailure<'_> {
    match failure {
        Failure::DeadlineExceeded { deadline, attempts, last_status, last_cause, last_error } => ShownFailure {
            deadline: Some(*deadline),
            attempts: Some(*attempts),
            last_status: last_status.as_deref(),
            last_cause: last_cause.as_ref().map(of_cause),
            last_error: last_error.as_deref(),
            ..ShownFailure::default()
        },
        Failure::MaxRetriesExceeded { attempts, last_cause, last_error } => ShownFailure {
            attempts: Some(*attempts),
            last_cause: Some(of_cause(last_cause)),
            last_error: last_error.as_deref(),
            ..ShownFailure::default()
        },
        Failure::TargetUnreachable { target: _, status, boot_error, attempts } => ShownFailure {
            attempts: Some(*attempts),
            last_status: Some(status),
            boot_error: boot_error.as_deref(),
            ..ShownFailure::default()
        },
        Failure::Rejected(rejection) => {
            ShownFailure { rejection: Some(of_rejection(rejection)), ..ShownFailure::default() }
        }
        // These have no words of the server.
        other => ShownFailure { text: Some(other.to_string()), ..ShownFailure::default() },
    }
}

fn of_rejection(rejection: &Rejection) -> ShownRejection<'_> {
    let (cause, found) = match &rejection.cause {
        RejectCause::Status => ("status", None),
        RejectCause::Redirect { location } => ("redirect", location.as_deref()),
        RejectCause::ContentType { found } => ("content_type", Some(found.as_str())),
        RejectCause::ContentEncoding { found } => ("content_encoding", Some(found.as_str())),
        _ => ("unknown", None),
    };
    ShownRejection {
        status: rejection.status,
        cause,
        found,
        message: rejection.message.as_deref(),
        error_code: rejection.error_code.as_deref(),
        details: &rejection.details,
        suggestions: &rejection.suggestions,
        links: &rejection.links,
        request_id: rejection.request_id.as_deref(),
    }
}
