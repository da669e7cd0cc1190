//! Why a watch ended without reaching its target.

use core::fmt;
use std::error::Error;
use std::sync::Arc;

use cvm_watch_core::{ConfigError, Failure, Rejection};

use crate::transport::TransportError;

/// Why a watch did not reach its target.
///
/// Its message is that of the failure; the transport's own error, if there is one, is its
/// [`source`](Error::source).
///
/// ```
/// use cvm_watch_core::Failure;
/// use cvm_watch_driver::WatchError;
///
/// let error = WatchError::from(Failure::Aborted);
/// assert!(error.is_aborted() && !error.is_deadline());
/// assert_eq!(error.error_code(), None);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchError {
    /// A parameter was refused. No request was made.
    Config(ConfigError),
    /// The watch failed.
    #[non_exhaustive]
    Failed {
        /// Why it failed.
        failure: Box<Failure>,
        /// The transport's error, if that ended the last attempt.
        source: Option<Arc<TransportError>>,
    },
    /// The caller's event callback stopped the watch with this error.
    Stopped(Arc<dyn Error + Send + Sync>),
    /// The driver of the watch's [`Pool`](crate::Pool) was dropped before the watch had ended.
    DriverDropped,
}

impl WatchError {
    /// The failure, unless the watch was refused or stopped.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } => Some(failure),
            Self::Config(_) | Self::Stopped(_) | Self::DriverDropped => None,
        }
    }

    /// The response that ended the watch, if the server rejected it.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self.failure()? {
            Failure::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// The `error_code` of a rejection, such as `ERR-03-001`.
    pub fn error_code(&self) -> Option<&str> {
        self.rejection()?.error_code.as_deref()
    }

    /// Whether the caller aborted the watch.
    pub fn is_aborted(&self) -> bool {
        matches!(self.failure(), Some(Failure::Aborted))
    }

    /// Whether the overall deadline passed.
    pub fn is_deadline(&self) -> bool {
        matches!(self.failure(), Some(Failure::DeadlineExceeded { .. }))
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Failed { failure, .. } => failure.fmt(f),
            Self::Stopped(_) => f.write_str("the event callback stopped the watch"),
            Self::DriverDropped => f.write_str("the driver of the pool was dropped before the watch had ended"),
        }
    }
}

impl Error for WatchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The message is the same.
            Self::Config(error) => error.source(),
            Self::Failed { source, .. } => source.as_ref().and_then(|source| source.source()),
            Self::Stopped(error) => Some(&**error),
            Self::DriverDropped => None,
        }
    }
}

impl From<ConfigError> for WatchError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<Failure> for WatchError {
    fn from(failure: Failure) -> Self {
        Self::Failed { failure: Box::new(failure), source: None }
    }
}
