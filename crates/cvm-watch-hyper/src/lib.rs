#![doc = include_str!("../README.md")]

mod body;
mod client;
mod connect;
mod exchange;
mod fair;
mod fault;
mod proxy;
mod timer;
mod tls;
mod transport;

pub use cvm_watch_driver as driver;
pub use cvm_watch_driver::core;

pub use cvm_watch_driver::core::{
    Backoff, CloseCause, Complete, ConfigError, CvmState, Event, FailEarly, Failure, MalformedReason, RejectCause,
    Rejection, RetryCause, ServerError, ServerTimeout, TlsFault, Until,
};
pub use cvm_watch_driver::{MemberUpdate, Update, WatchError};

pub use body::HyperBody;
pub use client::{Client, ClientBuilder, Watching, WatchingAll};
pub use timer::TokioTimer;
pub use transport::{HyperTransport, TransportBuilder};
