//! How a watch learns of the status.

use serde::{Deserialize, Serialize};

/// How a watch learns of the status: from event streams, or by asking again and again.
///
/// ```
/// use cvm_watch_core::{Mode, Policy};
///
/// let policy = Policy::builder("running").mode(Mode::Auto).build()?;
/// assert_eq!(policy.mode(), Mode::Auto);
/// assert_eq!(Mode::default(), Mode::Stream);
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// From event streams.
    #[default]
    Stream,
    /// By one request each interval, whose answer is one JSON object. It works behind proxies that hold back streams.
    Poll,
    /// From event streams at first. After three attempts in a row whose stream ended without a single event, although
    /// the server had answered, by polling.
    Auto,
}
