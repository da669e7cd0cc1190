//! Waits for a confidential VM (CVM) on Phala Cloud to reach a status, as a pure state machine: what
//! happened goes in, what to do comes out. It opens no socket, reads no clock, starts no thread and is
//! `no_std`, so it runs under any HTTP stack and runtime, and under a test that plays a year in a
//! second.
//!
//! > **The one promise.** A watch ends exactly once, with [`Action::Resolve`] or [`Action::Fail`], and
//! > never with a success that the server did not report.
//!
//! Most people want a client instead: `cvm-watch-hyper` (tokio) or `cvm-watch-surf` (async-std). Use
//! this crate to run watches on a stack of your own, or for its event-stream decoder alone ([`sse`]).
//!
//! ## The run loop
//!
//! 1. **Drain** [`Watch::poll_action`] until it is `None`, and do what each action says.
//! 2. **Wait** for the first of: the caller's abort, something from the connection,
//!    [`Watch::next_wake`].
//! 3. **Report** it with [`Watch::handle`], or [`Watch::receive`] for bytes of the body. `receive` stops
//!    after an event: drain, then offer the rest. Go to 1.
//!
//! ```
//! use cvm_watch_core::{Action, CvmId, Event, Input, Policy, ResponseHead, Timestamp, Watch};
//!
//! let policy = Policy::builder("running").build()?;
//! let mut watch = Watch::new(policy.into(), CvmId::new("my-cvm")?, 42, Timestamp::ZERO);
//! let mut statuses = Vec::new();
//!
//! // What a connection might bring, in place of a socket.
//! let body = b"event: state\ndata: {\"status\":\"starting\"}\n\n\
//!              event: state\ndata: {\"status\":\"running\"}\n\n\
//!              event: complete\ndata: {\"status\":\"running\",\"target\":\"running\"}\n\n";
//! let mut connection = None;
//! let mut rest = &body[..];
//!
//! let state = loop {
//!     // 1. Drain.
//!     if let Some(action) = watch.poll_action() {
//!         match action {
//!             Action::Connect { attempt, request, .. } => {
//!                 assert!(request.path_and_query().starts_with("/cvms/my-cvm/state?target=running"));
//!                 connection = Some(attempt);
//!                 // 2. The head is the first thing that this connection brings. 3. Report.
//!                 let mut head = ResponseHead::new(200);
//!                 head.header("content-type", b"text/event-stream");
//!                 watch.handle(Timestamp::from_millis(20), Input::Head { attempt, head, wall: None });
//!             }
//!             Action::Disconnect { .. } => connection = None,
//!             Action::Emit { event: Event::State(state), .. } => statuses.push(state.status.clone()),
//!             Action::Resolve(state) => break state,
//!             Action::Fail(failure) => return Err(failure.into()),
//!             _ => {}
//!         }
//!         continue;
//!     }
//!     // 2. Wait: here for bytes only. A driver would also sleep until `watch.next_wake()`, and then
//!     //    send `Input::Tick`.
//!     let Some(attempt) = connection else { break Default::default() };
//!     // 3. Report.
//!     let taken = watch.receive(Timestamp::from_millis(30), attempt, rest);
//!     rest = &rest[taken..];
//! };
//!
//! assert_eq!(state.status, "running");
//! assert_eq!(statuses, ["starting", "running"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/run_loop.rs` plays a whole watch with retries this way; `cvm-watch-driver` is the same
//! loop over futures.
//!
//! ## Time
//!
//! A [`Timestamp`] counts nanoseconds since an epoch that the driver picks. [`Watch::next_wake`] returns
//! when to send [`Input::Tick`] and why; a driver that sleeps exactly that long misses nothing. Ask for
//! ready I/O once before a tick: bytes that waited while the caller was slow prove that the stream lives.
//! Use a clock that counts system sleep, and send [`Input::Resumed`] after one: the watch then opens a new
//! connection.
//!
//! ## Many watches
//!
//! A [`Fleet`] holds any number of watches over a few connections, and is driven like one, with a
//! [`MemberId`] beside each input and action. The next free slot goes to the member that has waited
//! longest, and HTTP 429 sends a watch back to the queue. `examples/fleet` shows how long a thousand CVMs
//! take.
//!
//! ## What counts
//!
//! By default the target's status does. [`PolicyBuilder`] can ask for more (`ready`, `after_change`), or
//! for an early failure when the CVM cannot get to the target ([`FailEarly`]).
//!
//! ## Limits
//!
//! | what | limit |
//! |---|---|
//! | one event (type, id and data) | [`PolicyBuilder::max_event_bytes`], 4 MiB; larger ones are dropped and reported |
//! | the id to resume from | 1 KiB |
//! | the body of an error answer | 64 KiB and 2 seconds |
//! | nesting of a JSON payload | 128 levels |
//! | actions that wait | one of each kind |
//!
//! Comments and fields of any length are skipped unstored, and buffers shrink after a large event.
//!
//! ## Errors
//!
//! [`ConfigError`] when something is built. [`RetryCause`] when an attempt failed and the watch goes on.
//! [`Failure`] when the watch failed. Calls in the wrong order are ignored; nothing
//! that a peer sends can panic.
//!
//! ## Secrets
//!
//! The [`ApiKey`] never appears in a `Debug`, an error or an event: where a server
//! sends it back it is redacted, in the forms that [`Redactor`] lists. Show server text through [`printable`].
//!
//! ## Features
//!
//! None. Building needs `alloc`; there is no `std` feature, since there is nothing it would add.
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
mod malformed;
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
pub use event::{Complete, Event, ServerError, ServerTimeout};
pub use fleet::{Fleet, MemberId, Until};
pub use header::Header;
pub use input::{AttemptId, Input};
pub use malformed::MalformedReason;
pub use policy::{Backoff, FailEarly, Mode, Policy, PolicyBuilder};
pub use redact::Redactor;
pub use request::Request;
pub use response::{ResponseHead, server_message};
pub use state::Phase;
pub use text::printable;
pub use time::{Timestamp, UnixSeconds};
pub use timer::{Wake, WakeReason};
pub use watch::Watch;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
