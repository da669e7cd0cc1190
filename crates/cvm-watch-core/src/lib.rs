#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod action;
mod backoff;
mod close_cause;
mod credential;
mod cvm_id;
mod cvm_state;
mod error;
mod event;
mod fleet;
mod header;
mod http_date;
mod input;
mod json_string;
mod judge;
mod policy;
mod redact;
mod request;
mod response;
mod state;
mod text;
mod time;
mod timer;
mod url;
mod watch;

pub use cvm_watch_sse as sse;

pub use action::Action;
pub use close_cause::{CloseCause, TlsFault};
pub use credential::{ApiKey, BearerToken, Credential};
pub use cvm_id::CvmId;
pub use cvm_state::CvmState;
pub use error::{ConfigError, ConfigErrorKind, Failure, RejectCause, Rejection, RetryCause};
pub use event::{Complete, Event, MalformedReason, ServerError, ServerTimeout};
pub use fleet::{Fleet, MemberId, Until};
pub use header::Header;
pub use input::{AttemptId, Input};
pub use policy::{Backoff, FailEarly, Policy, PolicyBuilder};
pub use redact::Redactor;
pub use request::Request;
pub use response::{ResponseHead, server_message};
pub use state::Phase;
pub use text::printable;
pub use time::{Timestamp, UnixSeconds};
pub use timer::{Wake, WakeReason};
pub use watch::Watch;
