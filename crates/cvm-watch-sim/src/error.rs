//! Errors of starting a simulator and of waiting for what it sees.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a [`Sim`](crate::Sim) could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The address can't be listened on: in use, not this machine's, or not allowed.
    #[error("can't listen on {addr}; port 0 takes any free port")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The system refused a thread or an event queue.
    #[error("can't start the server's thread")]
    Thread(#[source] io::Error),
    /// The speed is not a positive, finite number.
    #[error("speed must be a positive, finite number, not {0}")]
    Speed(f64),
    /// The origin of [`Builder::cors`](crate::Builder::cors) can't stand in a header.
    #[error("origin {0:?} must be one word, such as http://localhost:8000 or *")]
    Origin(String),
    /// The certificate chain or key can't be read, or they don't belong together.
    #[error("bad certificate chain or key: {0}")]
    Tls(String),
}

/// What was waited for did not happen in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not happen within {timeout:?}; {seen}")]
#[non_exhaustive]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// How long was waited.
    pub timeout: Duration,
    /// How far it came.
    pub seen: String,
}
