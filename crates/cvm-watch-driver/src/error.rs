//! How a watch ends without its target.

use core::fmt;
use std::error::Error;

use cvm_watch_core::{ConfigError, Failure};

use crate::transport::TransportError;

/// Why a watch did not reach its target.
///
/// Its message is the failure's. What the socket said, if anything, is its [`source`].
///
/// [`source`]: Error::source
#[derive(Debug)]
#[non_exhaustive]
pub enum WatchError {
    /// A parameter was refused; no request was made.
    Config(ConfigError),
    /// The watch ended.
    Failed {
        /// How.
        failure: Box<Failure>,
        /// The transport's own error of the last attempt, if that was lost to one.
        source: Option<TransportError>,
    },
    /// The caller's event callback stopped the watch with an error of its own.
    Stopped(Box<dyn Error + Send + Sync>),
}

impl WatchError {
    /// The failure, if the watch got to run and nobody's callback stopped it.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } => Some(failure),
            Self::Config(_) | Self::Stopped(_) => None,
        }
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Failed { failure, .. } => failure.fmt(f),
            Self::Stopped(error) => write!(f, "the event callback stopped the watch: {error}"),
        }
    }
}

impl Error for WatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Failed { source, .. } => source.as_ref().and_then(Error::source),
            Self::Stopped(error) => Some(&**error),
        }
    }
}

impl From<ConfigError> for WatchError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}
