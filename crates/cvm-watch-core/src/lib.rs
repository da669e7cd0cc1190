#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod action;
mod backoff;
mod close_cause;
mod cvm;
mod error;
mod event;
mod fleet;
mod http_date;
mod input;
mod judge;
mod policy;
mod redact;
mod request;
mod response;
mod secret;
mod state;
mod text;
mod time;
mod timer;
mod watch;

pub use cvm_watch_sse as sse;

pub use action::Action;
pub use close_cause::{CloseCause, TlsFault};
pub use cvm::{CvmId, CvmState};
pub use error::{ConfigError, Failure, RejectCause, Rejection, RetryCause};
pub use event::{Complete, Event, MalformedReason, ServerError, ServerTimeout};
pub use fleet::{Fleet, MemberId, Until};
pub use input::{AttemptId, Input};
pub use policy::{Backoff, FailEarly, Policy, PolicyBuilder};
pub use redact::Redactor;
pub use request::{Header, Request};
pub use response::ResponseHead;
pub use secret::ApiKey;
pub use state::Phase;
pub use text::printable;
pub use time::{Timestamp, UnixSeconds};
pub use timer::{Wake, WakeReason};
pub use watch::Watch;
