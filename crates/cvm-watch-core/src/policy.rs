//! The policy of a watch: every parameter but the CVM's id, checked before anything happens.

mod builder;
mod fail_early;

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use builder::PolicyBuilder;
pub use fail_early::FailEarly;

use crate::api_key::ApiKey;
use crate::header::Header;
use crate::redact::{PLACEHOLDER, Redactor};

/// What a watch waits for, and by which rules. Made by [`Policy::builder`]; watches of different
/// CVMs share one behind an [`Arc`].
///
/// ```
/// use core::time::Duration;
/// use cvm_watch_core::Policy;
///
/// let policy = Policy::builder("running").timeout(Duration::from_secs(60)).build()?;
/// assert_eq!(policy.timeout(), Duration::from_secs(60));
/// assert_eq!(policy.max_retries(), None);
///
/// let refused = Policy::builder("running").interval(Duration::from_secs(4)).build();
/// assert_eq!(refused.unwrap_err().field(), "interval");
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
///
/// Serialized, it is an object of its parameters, in which `***` stands for the key and for the values
/// of the caller's headers; what [`PolicyBuilder::mask`] was given is left out. Read back, it is
/// checked as by [`PolicyBuilder::build`]: a parameter that is missing has its default, an unknown one
/// is refused.
///
/// [`Arc`]: alloc::sync::Arc
#[derive(Clone, Debug, Serialize, Deserialize)]
// With "Self" the derived functions are inherent: they take the fields as they are, unchecked.
#[serde(remote = "Self", deny_unknown_fields, default = "defaults")]
pub struct Policy {
    target: String,
    #[serde(serialize_with = "placeholder", deserialize_with = "any_key")]
    api_key: Option<ApiKey>,
    interval: Duration,
    timeout: Duration,
    max_retries: Option<u64>,
    retry_delay: Option<Duration>,
    backoff: Option<Backoff>,
    connect_timeout: Duration,
    idle_timeout: Option<Duration>,
    deadline: Option<Duration>,
    complete_grace: Duration,
    fail_early: Option<FailEarly>,
    ready: bool,
    after_change: Option<Duration>,
    max_event_bytes: usize,
    keep_raw: bool,
    headers: Vec<Header>,
    #[serde(skip)]
    redactor: Redactor,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PolicyBuilder::from(Self::deserialize(deserializer)?).build().map_err(D::Error::custom)
    }
}

/// A policy without a target, which [`PolicyBuilder::build`] refuses.
fn defaults() -> Policy {
    PolicyBuilder::new(String::new()).into()
}

fn placeholder<S: Serializer>(key: &Option<ApiKey>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(|_| PLACEHOLDER).serialize(serializer)
}

fn any_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ApiKey>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(ApiKey::new).transpose().map_err(D::Error::custom)
}

/// Exponential backoff: the delay doubles with each failure in a row, from the retry delay up to a
/// cap, half of it by chance ("equal jitter"). It starts again from its base after an attempt that
/// lived 60 seconds or that the server ended by a `timeout` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    max_delay: Duration,
}

impl Backoff {
    /// Backoff up to `max_delay`, at least the retry delay.
    pub const fn up_to(max_delay: Duration) -> Self {
        Self { max_delay }
    }

    /// The cap of the delay.
    pub const fn max_delay(self) -> Duration {
        self.max_delay
    }
}

impl Default for Backoff {
    /// Up to 30 seconds.
    fn default() -> Self {
        Self::up_to(Duration::from_secs(30))
    }
}

impl Policy {
    /// Starts from the status to wait for.
    pub fn builder(target: impl Into<String>) -> PolicyBuilder {
        PolicyBuilder::new(target.into())
    }

    /// The status to wait for.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The API key, if there is one.
    pub fn api_key(&self) -> Option<&ApiKey> {
        self.api_key.as_ref()
    }

    /// How often the server checks the CVM.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// After how long the server ends one stream.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many retries follow the first attempt; `None` is no limit.
    pub fn max_retries(&self) -> Option<u64> {
        self.max_retries
    }

    /// The exact delay before a retry, if one was given.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_delay
    }

    /// Exponential backoff, if it was asked for.
    pub fn backoff(&self) -> Option<Backoff> {
        self.backoff
    }

    /// How long an attempt may take until its response head is there.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// How long a stream may be silent, if that is limited.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// How long the whole watch may take, if that is limited.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// How long a stream at its target is waited on for its `complete`.
    pub fn complete_grace(&self) -> Duration {
        self.complete_grace
    }

    /// What ends the watch before its time, if anything does.
    pub fn fail_early(&self) -> Option<&FailEarly> {
        self.fail_early.as_ref()
    }

    /// Whether the CVM must be ready, not only at its target.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Whether another status must be seen first, and how long a steady target is mistrusted.
    pub fn after_change(&self) -> Option<Duration> {
        self.after_change
    }

    /// The most bytes that one event may hold.
    pub fn max_event_bytes(&self) -> usize {
        self.max_event_bytes
    }

    /// Whether events carry the server's JSON text.
    pub fn keep_raw(&self) -> bool {
        self.keep_raw
    }

    /// The user's own request headers. Their values are secrets.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Redacts the secrets of this policy: the key, the values of the headers, and what
    /// [`PolicyBuilder::mask`] was given. For those who keep or show what a server sent.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}
