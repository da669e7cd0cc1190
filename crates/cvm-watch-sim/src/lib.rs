#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod error;
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
pub mod wire;
mod world;

pub use error::{SimError, WaitError};
pub use log::{Connection, End, Log, Request};
pub use refused::RefusedPort;
pub use scenario::{Scenario, Visit, scenario_for, scenarios};
pub use script::{Attempt, Framing, Head, Move, Payload, Script, Split, Step};
pub use sim::{Builder, Sim};
