#![doc = include_str!("../README.md")]

mod body;
mod bridge;
mod client;
mod fault;
mod guard;
mod head;
mod proxy;
mod timer;
mod tls;
mod transport;

pub use cvm_watch_driver as driver;
pub use cvm_watch_driver::core;
pub use surf;

pub use cvm_watch_driver::core::{
    Backoff, CloseCause, Complete, ConfigError, CvmState, Event, FailEarly, Failure, MalformedReason, RejectCause,
    Rejection, RetryCause, ServerError, ServerTimeout, TlsFault, Until,
};
pub use cvm_watch_driver::{MemberUpdate, Update, WatchError};

pub use body::SurfBody;
pub use bridge::Bridge;
pub use client::{Client, ClientBuilder, Watching, WatchingAll};
pub use timer::AsyncStdTimer;
pub use transport::{SurfTransport, TransportBuilder};
