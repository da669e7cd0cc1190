#![doc = include_str!("../README.md")]
#![allow(clippy::doc_markdown, reason = "the table has the descriptions as the program prints them")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod connection;
mod endpoint;
mod error;
mod head;
mod http;
mod log;
mod play;
mod refused;
mod request;
mod scenario;
mod script;
mod server;
mod sim;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "virtual-time")]
#[cfg_attr(docsrs, doc(cfg(feature = "virtual-time")))]
pub mod virtual_time;
pub mod wire;

pub use error::{SimError, WaitError};
pub use head::{Framing, Head};
pub use log::{Connection, End, Log, RefusedRequest, Request};
pub use refused::RefusedPort;
pub use scenario::{Scenario, StateRequest, scenario_for, scenarios};
pub use script::{Attempt, Ending, Move, Payload, Playback, Script, Split, Step};
pub use sim::{Builder, Sim};
