//! The three kinds of errors: [`ConfigError`] for a value that is refused, [`RetryCause`] for a failed attempt,
//! [`Failure`] for a failed watch.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Serialize, Serializer};

use crate::close_cause::{CloseCause, TlsFault};
use crate::malformed::MalformedReason;
use crate::text::printable;

/// The most characters of server text that a message shows.
const SHOWN: usize = 160;

/// A value that was refused before any request.
///
/// The message names the field, the value (of a secret only the position and the offending byte) and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    field: Cow<'static, str>,
    value: String,
    problem: String,
    kind: ConfigErrorKind,
}

/// Why a value was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// It is missing, or blank.
    Missing,
    /// It is malformed.
    #[default]
    Invalid,
    /// It is below or above its range.
    OutOfRange,
    /// It contradicts another value.
    Conflict,
}

impl ConfigError {
    /// Makes an error of the kind [`Invalid`](ConfigErrorKind::Invalid) that shows the refused value. Crates on top
    /// of this one use it for their own values, such as a base URL.
    ///
    /// ```
    /// use cvm_watch_core::{ConfigError, ConfigErrorKind};
    ///
    /// let error = ConfigError::new("interval", "4s", "must be 5s to 30s");
    /// let error = error.with_kind(ConfigErrorKind::OutOfRange);
    /// assert_eq!(error.to_string(), r#"interval "4s" must be 5s to 30s"#);
    /// assert_eq!((error.field(), error.kind()), ("interval", ConfigErrorKind::OutOfRange));
    /// ```
    pub fn new(field: impl Into<Cow<'static, str>>, value: &str, problem: impl Into<String>) -> Self {
        let value = if value.is_empty() { String::new() } else { printable(value, SHOWN) };
        let kind = ConfigErrorKind::default();
        Self { field: field.into(), value, problem: problem.into(), kind }
    }

    /// Makes an error about one byte of a secret, without showing the secret. `position` is in bytes, from 0.
    pub fn secret(field: impl Into<Cow<'static, str>>, position: usize, byte: u8) -> Self {
        let problem = format!("has the control byte 0x{byte:02x} at position {position}; remove it");
        Self::new(field, "", problem)
    }

    /// Returns the same error with this kind.
    #[must_use]
    pub fn with_kind(self, kind: ConfigErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns the field that was refused, such as `interval` or `header x-trace`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong with the value.
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field)?;
        if !self.value.is_empty() {
            write!(f, " \"{}\"", self.value)?;
        }
        write!(f, " {}", self.problem)
    }
}

impl core::error::Error for ConfigError {}

/// Why an attempt failed and the watch goes on. Only a [`Failure`] ends it.
///
/// Serialized, it is its name in `snake_case`, with its fields if it has any: `"idle_timeout"`,
/// `{"closed":"reset"}`, `{"status":{"status":503,"message":null}}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryCause {
    /// The connection failed or broke, or the stream ended before the target was reached.
    #[error("{0}")]
    Closed(CloseCause),
    /// The connection was closed before a response head came.
    #[error("the server closed the connection without an answer")]
    NoAnswer,
    /// The slot was given to another member of the fleet. Does not count as a retry, and is not reported.
    #[error("the connection was given up for another watch")]
    Yielded,
    /// The connection was opened before a system sleep. Does not count as a retry.
    #[error("the machine was suspended")]
    Suspended,
    /// The server sent `complete` before the CVM was ready; the watch checks again after its
    /// interval. Does not count as a retry.
    #[error("the server completed before the CVM was ready")]
    NotReady,
    /// The server sent `complete` before another status was seen; the watch checks again after its
    /// interval. Does not count as a retry.
    #[error("the server completed before another status was seen")]
    NotChanged,
    /// The server sent `complete` before the target was stable; the watch checks again after its
    /// interval. Does not count as a retry.
    #[error("the server completed before the target was stable")]
    NotStable,
    /// There is no such CVM yet (HTTP 404), which the policy allows for a time
    /// ([`wait_for_create`](crate::PolicyBuilder::wait_for_create)). Does not count as a retry.
    #[error("the CVM does not exist yet{}", Said(message.as_deref()))]
    NotCreated {
        /// The server's message, redacted; not yet made [`printable`].
        message: Option<String>,
    },
    /// The server refused the credential (HTTP 401), and the provider is asked for another one. Does not count as a
    /// retry.
    #[error("HTTP 401{}", Said(message.as_deref()))]
    CredentialRefused {
        /// The server's message, redacted; not yet made [`printable`].
        message: Option<String>,
    },
    /// The answer to a single request cannot be read as a state.
    #[error("the server's answer is not the state of a CVM: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: MalformedReason,
    },
    /// The answer to a single request was not complete within 10 seconds after the connect timeout.
    #[error("the server's answer was not complete in time")]
    AnswerTimeout,
    /// The server ended this stream with a `timeout` event.
    #[error("the server's timeout for this stream was reached")]
    ServerTimeout,
    /// The server sent `complete` with a status that is not the target.
    #[error("the server completed with status \"{}\", which is not the target", printable(status, 60))]
    CompletedElsewhere {
        /// The status it completed with.
        status: String,
    },
    /// The server allows no further stream at the moment (HTTP 429). In a [`Fleet`](crate::Fleet) it does not count
    /// as a retry.
    #[error("HTTP 429{}", Said(message.as_deref()))]
    TooManyStreams {
        /// The server's message, redacted; not yet made [`printable`].
        message: Option<String>,
    },
    /// The server answered with another HTTP status that is retried.
    #[error("HTTP {status}{}", Said(message.as_deref()))]
    Status {
        /// The HTTP status code.
        status: u16,
        /// The server's message, redacted; not yet made [`printable`].
        message: Option<String>,
    },
    /// No response head arrived within the connect timeout.
    #[error("no response within the connect timeout")]
    ConnectTimeout,
    /// The attempt lasted 10 seconds longer than the timeout it had requested.
    #[error("the stream outlived its timeout")]
    AttemptTimeout,
    /// No byte arrived within the idle timeout.
    #[error("nothing was received within the idle timeout")]
    IdleTimeout,
}

impl RetryCause {
    /// Returns the HTTP status, if the cause is an answer of the server.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::TooManyStreams { .. } => Some(429),
            Self::NotCreated { .. } => Some(404),
            Self::CredentialRefused { .. } => Some(401),
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns the server's message in that answer, redacted; not yet made [`printable`].
    pub fn server_message(&self) -> Option<&str> {
        match self {
            Self::TooManyStreams { message }
            | Self::NotCreated { message }
            | Self::CredentialRefused { message }
            | Self::Status { message, .. } => message.as_deref(),
            _ => None,
        }
    }
}

/// Why a watch ended without reaching its target.
///
/// Its message is one line, safe for a terminal. The fields hold server text with secrets redacted; pass it through
/// [`printable`] before showing it.
///
/// Serialized, it is an object with its [`kind`](Self::kind) and its fields.
// The variants are not `#[non_exhaustive]`: tests of code that handles a failure have to construct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// The caller aborted the watch.
    #[error("the watch was aborted")]
    Aborted,
    /// The overall deadline passed before the target was reached.
    #[error("the deadline of {} passed{}{}{}", Short(*deadline), LastStatus(last_status.as_deref()), After(last_cause.as_ref()), Said(last_error.as_deref()))]
    DeadlineExceeded {
        /// The deadline as configured.
        deadline: Duration,
        /// How many attempts were started.
        attempts: u64,
        /// The last status that any attempt received.
        last_status: Option<String>,
        /// Why the last attempt failed, if one did.
        last_cause: Option<RetryCause>,
        /// The text of the last `error` event or error answer.
        last_error: Option<String>,
    },
    /// The retry limit was reached.
    #[error("gave up after {attempts} {}: {last_cause}{}", if *attempts == 1 { "attempt" } else { "attempts" }, SaidBeside(last_error.as_deref(), last_cause))]
    MaxRetriesExceeded {
        /// How many attempts failed: the retry limit plus one. Failed attempts that do not count as a retry are left
        /// out.
        attempts: u64,
        /// Why the last one failed.
        last_cause: RetryCause,
        /// The text of the last `error` event or error answer.
        last_error: Option<String>,
    },
    /// Two states in a row reported that the CVM cannot reach the target.
    #[error("\"{}\" can no longer be reached: the status is \"{}\"{}", printable(target, 60), printable(status, 60), BootError(boot_error.as_deref()))]
    #[serde(rename = "unreachable")]
    TargetUnreachable {
        /// The target of the watch.
        target: String,
        /// The status of the CVM.
        status: String,
        /// The boot error, if there is one.
        boot_error: Option<String>,
        /// How many attempts were started.
        attempts: u64,
    },
    /// The server reports, but status and boot progress have not changed for the stall timeout.
    #[error("no progress for {}: the status is still \"{}\"{}", Short(*after), printable(status, 60), Progress(boot_progress.as_deref()))]
    Stalled {
        /// The stall timeout as configured.
        after: Duration,
        /// The last status.
        status: String,
        /// The last boot progress, if it was reported.
        boot_progress: Option<String>,
        /// How many attempts were started.
        attempts: u64,
    },
    /// The server answered with a final error.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// The server's certificate was refused. Not retried.
    #[error("{0}; check the base URL, the machine's clock and its trusted certificates")]
    Tls(#[serde(serialize_with = "as_fault")] TlsFault),
    /// The proxy refused the credentials. Not retried.
    #[error("the proxy requires other credentials; check the user name and the password in its URL")]
    ProxyAuthentication,
}

impl Failure {
    /// A stable name for programs: `aborted`, `deadline_exceeded`, `max_retries_exceeded`,
    /// `unreachable`, `stalled`, `rejected`, `tls` or `proxy_authentication`.
    ///
    /// ```
    /// assert_eq!(cvm_watch_core::Failure::Aborted.kind(), "aborted");
    /// ```
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::DeadlineExceeded { .. } => "deadline_exceeded",
            Self::MaxRetriesExceeded { .. } => "max_retries_exceeded",
            Self::TargetUnreachable { .. } => "unreachable",
            Self::Stalled { .. } => "stalled",
            Self::Rejected(_) => "rejected",
            Self::Tls(_) => "tls",
            Self::ProxyAuthentication => "proxy_authentication",
        }
    }
}

/// Serializes a TLS fault as an object, since the tag of [`Failure`] needs one.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn as_fault<S: Serializer>(fault: &TlsFault, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Object {
        fault: TlsFault,
    }
    Object { fault: *fault }.serialize(serializer)
}

/// A final answer of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rejection {
    /// The HTTP status code.
    pub status: u16,
    /// Why the answer is final.
    pub cause: RejectCause,
    /// The server's message, if the body had one.
    pub message: Option<String>,
    /// The server's code for this error, such as `ERR-03-001`.
    pub error_code: Option<String>,
    /// Details of the error.
    pub details: Vec<String>,
    /// The server's suggestions.
    pub suggestions: Vec<String>,
    /// Links to more information.
    pub links: Vec<String>,
    /// The request's id in the server's logs, for support requests.
    pub request_id: Option<String>,
}

/// Why an answer is final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RejectCause {
    /// The status code.
    Status,
    /// A redirect. It is never followed.
    Redirect {
        /// The `Location`, if there is one.
        location: Option<String>,
    },
    /// A success whose body is not an event stream.
    ContentType {
        /// The content type of the answer.
        found: String,
    },
    /// A success whose body is not the JSON of a state, in immediate mode.
    NotJson {
        /// The content type that came.
        found: String,
    },
    /// An event stream in a content encoding, which the request ruled out.
    ContentEncoding {
        /// The content encoding of the answer.
        found: String,
    },
    /// An event stream in a transfer encoding other than `chunked`.
    TransferEncoding {
        /// The transfer encoding of the answer.
        found: String,
    },
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server rejected the watch: HTTP {}", self.status)?;
        match &self.cause {
            RejectCause::Status => {}
            RejectCause::Redirect { location } => {
                match location {
                    Some(location) => write!(f, ", a redirect to {}", printable(location, SHOWN))?,
                    None => write!(f, ", a redirect without a Location")?,
                }
                return write!(f, "; redirects are not followed, set the base URL to the final address");
            }
            RejectCause::ContentType { found } => {
                let found = printable(found, 60);
                return write!(f, " with content type \"{found}\", not text/event-stream; check the base URL");
            }
            RejectCause::NotJson { found } => {
                let found = printable(found, 60);
                return write!(f, " with content type \"{found}\", not application/json; check the base URL");
            }
            RejectCause::ContentEncoding { found } => {
                let found = printable(found, 60);
                return write!(
                    f,
                    " with content encoding \"{found}\", which was not asked for; check proxies on the way"
                );
            }
            RejectCause::TransferEncoding { found } => {
                let found = printable(found, 60);
                return write!(
                    f,
                    " with transfer encoding \"{found}\", which is not supported; check proxies on the way"
                );
            }
        }
        if let Some(code) = &self.error_code {
            write!(f, " ({})", printable(code, 40))?;
        }
        write!(f, "{}", Said(self.message.as_deref()))
    }
}

/// `: the server's message`, if there is one.
struct Said<'a>(Option<&'a str>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(words) if !words.is_empty() => write!(f, ": {}", printable(words, SHOWN)),
            _ => Ok(()),
        }
    }
}

/// Like [`Said`], unless the cause shows the same message.
struct SaidBeside<'a>(Option<&'a str>, &'a RetryCause);

impl fmt::Display for SaidBeside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            cause if cause.http_status().is_some() && cause.server_message() == self.0 => Ok(()),
            _ => Said(self.0).fmt(f),
        }
    }
}

struct BootError<'a>(Option<&'a str>);

impl fmt::Display for BootError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(error) => write!(f, "; boot error: {}", printable(error, SHOWN)),
            None => Ok(()),
        }
    }
}

/// Formats a duration for people: `10m`, `1h30m`, `1.5s`.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 || self.0.subsec_nanos() != 0 {
            return write!(f, "{:?}", self.0);
        }
        for (amount, unit) in [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')] {
            if amount > 0 {
                write!(f, "{amount}{unit}")?;
            }
        }
        Ok(())
    }
}

struct Progress<'a>(Option<&'a str>);

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(progress) => write!(f, ", \"{}\"", printable(progress, SHOWN)),
            None => Ok(()),
        }
    }
}

struct LastStatus<'a>(Option<&'a str>);

impl fmt::Display for LastStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => write!(f, "; the last status was \"{}\"", printable(status, 40)),
            None => write!(f, "; no status was seen"),
        }
    }
}

struct After<'a>(Option<&'a RetryCause>);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.0.and_then(RetryCause::http_status)) {
            // The message of the answer is the last error, which is written after it.
            (_, Some(status)) => write!(f, " (HTTP {status})"),
            (Some(cause), None) => write!(f, " ({cause})"),
            (None, None) => Ok(()),
        }
    }
}
