//! How a wait ended, in the words and numbers of the command line.

use std::error::Error;
use std::io;
use std::time::Duration;

use cvm_watch_core::{CvmState, Failure, Rejection, RetryCause, printable};
use cvm_watch_driver::Sources;
use cvm_watch_hyper::WatchError;
use serde::Serialize;

use super::hint;
use crate::exit::Exit;
use crate::output;
use crate::signals::Signal;

/// The most bytes of a message that an I/O error is still added to: with it the failure is still
/// one short line.
const ROOM_FOR_SOURCE: usize = 280;

/// The kind of an end because the input is no good.
const INVALID: &str = "invalid_input";
/// The kind of an end because another CVM was enough, and the word for it.
const CANCELLED: &str = "cancelled";

/// What the end of a watch is reported by.
pub(super) struct By<'a> {
    /// The signal that aborted it, if one did.
    pub(super) signal: Option<Signal>,
    /// Where its settings were found.
    pub(super) sources: &'a Sources,
    /// The deadline of the whole wait; the watch itself was given what was left of it.
    pub(super) deadline: Option<Duration>,
}

/// The end of a wait.
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) outcome: Result<Box<CvmState>, Box<Trouble>>,
}

/// Why the target was not reached; in NDJSON the `error` of the `result`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) kind: &'static str,
    pub(super) message: String,
    /// The status of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// The last status of the CVM that was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boot_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) suggestions: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    /// Of several flags that were refused all but the last, and the last one. The message has all of them.
    #[serde(skip)]
    pub(super) problems: Vec<String>,
    #[serde(skip)]
    pub(super) last_problem: Option<String>,
}

impl Ended {
    /// A watch that ran.
    pub(super) fn new(outcome: Result<&CvmState, &WatchError>, last_status: Option<&str>, by: &By<'_>) -> Self {
        let error = match outcome {
            Ok(state) => return Self { exit: Exit::Success, outcome: Ok(Box::new(state.clone())) },
            Err(error) => error,
        };
        let Some(mut failure) = error.failure().cloned() else {
            return match error {
                WatchError::Config(error) => Self::invalid(&error.to_string()),
                other => Self::failed(Exit::Failure, "stopped", other.to_string()),
            };
        };
        if let (Failure::DeadlineExceeded { deadline, .. }, Some(given)) = (&mut failure, by.deadline) {
            *deadline = given;
        }
        let hint = hint::next_step(&failure, by.sources);
        let (kind, message, last_status) = (failure.kind(), failure.to_string(), last_status.map(str::to_owned));
        let mut trouble = Trouble { kind, message, last_status, hint, ..Trouble::default() };
        let exit = match &failure {
            Failure::Aborted => match by.signal {
                Some(signal) => {
                    trouble.message = aborted(signal, trouble.last_status.as_deref());
                    signal.into()
                }
                None => Exit::Failure,
            },
            Failure::DeadlineExceeded { last_cause, .. } => {
                trouble.status = last_cause.as_ref().and_then(RetryCause::http_status);
                add_source(&mut trouble.message, error.source());
                Exit::GaveUp
            }
            Failure::MaxRetriesExceeded { last_cause, .. } => {
                trouble.status = last_cause.http_status();
                add_source(&mut trouble.message, error.source());
                Exit::GaveUp
            }
            Failure::Stalled { .. } => Exit::GaveUp,
            Failure::TargetUnreachable { boot_error, .. } => {
                trouble.boot_error.clone_from(boot_error);
                Exit::Unreachable
            }
            Failure::Rejected(rejection) => {
                trouble.add(rejection);
                Exit::Rejected
            }
            _ => {
                add_source(&mut trouble.message, error.source());
                Exit::Failure
            }
        };
        Self { exit, outcome: Err(Box::new(trouble)) }
    }

    /// A signal came before anything was requested.
    pub(super) fn aborted(signal: Signal) -> Self {
        Self::failed(signal.into(), Failure::Aborted.kind(), aborted(signal, None))
    }

    /// The deadline passed before anything was requested, while `what` was read.
    pub(super) fn late(deadline: Duration, what: &str) -> Self {
        let failure =
            Failure::DeadlineExceeded { deadline, attempts: 0, last_status: None, last_cause: None, last_error: None };
        Self::failed(Exit::GaveUp, failure.kind(), format!("{failure}: it took too long to read the {what}"))
    }

    /// Another one of several got there, and any was enough.
    pub(super) fn left_out(last_status: Option<&str>) -> Self {
        let message = format!("another CVM got there first; {}", status_seen(last_status));
        let last_status = last_status.map(str::to_owned);
        let trouble = Trouble { kind: CANCELLED, message, last_status, ..Trouble::default() };
        Self { exit: Exit::Failure, outcome: Err(Box::new(trouble)) }
    }

    /// How it ended, in one word: `resolved`, `failed`, or `cancelled` when another CVM was enough.
    pub(super) fn word(&self) -> &'static str {
        match self.kind() {
            CANCELLED => CANCELLED,
            _ if self.outcome.is_ok() => Exit::Success.outcome(),
            _ => Exit::Failure.outcome(),
        }
    }

    /// Whether it was ended because another CVM was enough.
    pub(super) fn is_cancelled(&self) -> bool {
        self.kind() == CANCELLED
    }

    /// Nothing was requested, since the input is no good.
    pub(super) fn invalid(message: &str) -> Self {
        Self::failed(Exit::Usage, INVALID, message.to_owned())
    }

    /// These flags were refused; `None` if none was.
    pub(super) fn invalid_flags(mut problems: Vec<String>) -> Option<Self> {
        let all = problems.join("; ");
        let last = problems.pop()?;
        let trouble = Trouble { kind: INVALID, message: all, problems, last_problem: Some(last), ..Trouble::default() };
        Some(Self { exit: Exit::Usage, outcome: Err(Box::new(trouble)) })
    }

    /// The system refused what every run needs.
    pub(super) fn broken(error: &io::Error) -> Self {
        Self::failed(Exit::Failure, "setup", format!("cannot start: {error}"))
    }

    /// How it ended, in one word for programs: `resolved`, or the kind of the trouble.
    pub(super) fn kind(&self) -> &'static str {
        self.outcome.as_ref().map_or_else(|trouble| trouble.kind, |_| "resolved")
    }

    fn failed(exit: Exit, kind: &'static str, message: String) -> Self {
        Self { exit, outcome: Err(Box::new(Trouble { kind, message, ..Trouble::default() })) }
    }
}

impl Trouble {
    fn add(&mut self, rejection: &Rejection) {
        self.status = Some(rejection.status);
        self.error_code.clone_from(&rejection.error_code);
        self.request_id.clone_from(&rejection.request_id);
        self.details.clone_from(&rejection.details);
        self.suggestions.clone_from(&rejection.suggestions);
        self.links.clone_from(&rejection.links);
    }

    /// Prints the message as the end of a failed run. Of several flags that were refused each has its line.
    pub(super) fn print(&self) {
        for problem in &self.problems {
            output::failure(problem);
        }
        output::failure(self.last_problem.as_ref().unwrap_or(&self.message));
    }

    /// What the server has to say beside its message, and what to do next: a line each, for people.
    pub(super) fn particulars(&self) -> impl Iterator<Item = String> {
        let hint = self.hint.as_ref().map(|hint| format!("hint: {hint}"));
        self.server_messages().chain(hint)
    }

    /// What the server has to say beside its message: a line each, for people.
    pub(super) fn server_messages(&self) -> impl Iterator<Item = String> + use<> {
        let named = |name: &'static str, texts: &[String]| {
            texts.iter().take(5).map(|text| format!("{name}: {}", printable(text, 160))).collect::<Vec<_>>()
        };
        let details = named("detail", &self.details);
        let suggestions = named("suggestion", &self.suggestions);
        let links = named("see", &self.links);
        let id = self.request_id.as_ref().map(|id| format!("request id: {}", printable(id, 100)));
        details.into_iter().chain(suggestions).chain(links).chain(id)
    }
}

fn aborted(signal: Signal, last_status: Option<&str>) -> String {
    format!("ended by {}; {}", signal.name(), status_seen(last_status))
}

fn status_seen(last_status: Option<&str>) -> String {
    match last_status {
        Some(status) => format!("the last status was \"{}\"", printable(status, 40)),
        None => "no status was seen".to_owned(),
    }
}

/// Adds the transport's errors, outermost first, as long as the line stays short.
fn add_source(message: &mut String, source: Option<&(dyn Error + 'static)>) {
    let mut next = source;
    while let Some(source) = next {
        let text = printable(&source.to_string(), 160);
        if !message.contains(&text) && message.len() + text.len() < ROOM_FOR_SOURCE {
            message.push_str(": ");
            message.push_str(&text);
        }
        next = source.source();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_core::{CloseCause, ConfigError, TlsFault};
    use cvm_watch_driver::Settings;

    fn failed(failure: Failure) -> WatchError {
        WatchError::from(failure)
    }

    fn origins() -> Sources {
        Settings::builder().api_key("phak_example").build().unwrap().sources().clone()
    }

    fn ended(failure: Failure, signal: Option<Signal>) -> (Exit, Trouble) {
        let by = By { signal, sources: &origins(), deadline: None };
        let ended = Ended::new(Err(&failed(failure)), Some("start\ning"), &by);
        (ended.exit, *ended.outcome.unwrap_err())
    }

    #[test]
    fn each_end_has_its_exit_code_and_kind() {
        let closed = RetryCause::Closed(CloseCause::Reset);
        let status = RetryCause::Status { status: 503, message: None };
        let gave_up = |last_cause| Failure::MaxRetriesExceeded { attempts: 1, last_cause, last_error: None };
        let late = |last_cause| Failure::DeadlineExceeded {
            deadline: Duration::from_secs(1),
            attempts: 1,
            last_status: None,
            last_cause,
            last_error: None,
        };
        let unreachable = Failure::TargetUnreachable {
            target: "running".to_owned(),
            status: "exited".to_owned(),
            boot_error: Some("no\nkeys".to_owned()),
            attempts: 1,
        };
        for (failure, signal, exit, kind, http) in [
            (unreachable.clone(), None, Exit::Unreachable, "unreachable", None),
            (Failure::Aborted, Some(Signal::Interrupt), Exit::Interrupted, "aborted", None),
            (Failure::Aborted, Some(Signal::Terminate), Exit::Terminated, "aborted", None),
            (gave_up(closed), None, Exit::GaveUp, "max_retries_exceeded", None),
            (gave_up(status.clone()), None, Exit::GaveUp, "max_retries_exceeded", Some(503)),
            (late(None), None, Exit::GaveUp, "deadline_exceeded", None),
            (late(Some(status)), None, Exit::GaveUp, "deadline_exceeded", Some(503)),
            (Failure::Tls(TlsFault::Certificate), None, Exit::Failure, "tls", None),
        ] {
            let (was, trouble) = ended(failure.clone(), signal);
            assert_eq!((was, trouble.kind, trouble.status), (exit, kind, http), "{failure:?}");
        }
        let trouble = ended(unreachable, None).1;
        assert_eq!(
            (trouble.last_status.as_deref(), trouble.boot_error.as_deref()),
            (Some("start\ning"), Some("no\nkeys"))
        );
        let invalid = WatchError::Config(ConfigError::new("target", "", "must not be blank"));
        let by = By { signal: None, sources: &origins(), deadline: None };
        let ended = Ended::new(Err(&invalid), None, &by);
        assert_eq!((ended.exit, ended.outcome.unwrap_err().kind), (Exit::Usage, "invalid_input"));
    }

    #[test]
    fn the_deadline_is_shown_as_it_was_given() {
        for (seconds, shown) in [(600, "10m"), (5_400, "1h30m"), (86_400, "24h"), (65, "1m5s"), (59, "59s")] {
            let message = Ended::late(Duration::from_secs(seconds), "ids").outcome.unwrap_err().message;
            assert!(message.starts_with(&format!("the deadline of {shown} passed")), "{message}");
        }
        let left = Failure::DeadlineExceeded {
            deadline: Duration::from_millis(1_987),
            attempts: 1,
            last_status: None,
            last_cause: None,
            last_error: None,
        };
        let by = By { signal: None, sources: &origins(), deadline: Some(Duration::from_secs(3)) };
        let ended = Ended::new(Err(&failed(left)), None, &by);
        assert_eq!(ended.outcome.unwrap_err().message, "the deadline of 3s passed; no status was seen");
    }

    #[test]
    fn a_signal_is_named_with_the_last_status() {
        assert_eq!(
            ended(Failure::Aborted, Some(Signal::Terminate)).1.message,
            r#"ended by SIGTERM; the last status was "start\ning""#
        );
        assert_eq!(aborted(Signal::Interrupt, None), "ended by SIGINT; no status was seen");
    }

    #[test]
    fn an_io_error_is_added_where_the_line_stays_short() {
        let source = io::Error::other(io::Error::other("refused\nthere"));
        let mut message = "the connection was refused".to_owned();
        add_source(&mut message, Some(&source));
        assert_eq!(message, r"the connection was refused: refused\nthere");
        add_source(&mut message, Some(&source));
        assert_eq!(message, r"the connection was refused: refused\nthere", "once is enough");
        let mut long = "x".repeat(270);
        add_source(&mut long, Some(&source));
        add_source(&mut long, None);
        assert_eq!(long.len(), 270);
    }
}
