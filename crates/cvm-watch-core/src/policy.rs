//! The policy of a watch: every parameter except the CVM's id, validated when it is built.

mod builder;
mod fail_early;
mod mode;
mod predicate;

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use builder::PolicyBuilder;
pub use fail_early::FailEarly;
pub use mode::Mode;
pub(crate) use predicate::Predicate;

use crate::credential::{ApiKey, BearerToken, Credential};
use crate::header::Header;
use crate::redact::{PLACEHOLDER, Redactor};

/// The parameters of a watch: its target, timeouts, retries and so on. Made by [`Policy::builder`]; watches of
/// different CVMs share one behind an [`Arc`].
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
/// Serialized, it is an object of its parameters, with `***` for the credential and the values of the caller's headers, and
/// without the secrets given to [`PolicyBuilder::redact`]. Deserializing validates as [`PolicyBuilder::build`] does: a
/// missing parameter has its default, an unknown one is refused.
///
/// [`Arc`]: alloc::sync::Arc
#[derive(Clone, Debug, Serialize, Deserialize)]
// With "Self" the derived functions are inherent and skip validation; the trait impls validate.
#[serde(remote = "Self", deny_unknown_fields, default = "defaults")]
pub struct Policy {
    target: String,
    other_targets: Vec<String>,
    #[serde(skip)]
    predicate: Option<Predicate>,
    #[serde(alias = "api_key", serialize_with = "placeholder", deserialize_with = "any_credential")]
    credential: Option<Credential>,
    credential_per_attempt: bool,
    workspace: Option<String>,
    api_version: Option<String>,
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
    wait_for_create: Option<Duration>,
    stable_for: Option<Duration>,
    stall_timeout: Option<Duration>,
    mode: Mode,
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

/// The defaults without a target, which [`PolicyBuilder::build`] refuses.
fn defaults() -> Policy {
    PolicyBuilder::new(String::new()).into()
}

/// A credential in JSON, with a placeholder for the secret.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    ApiKey(String),
    BearerToken(String),
}

fn placeholder<S: Serializer>(credential: &Option<Credential>, serializer: S) -> Result<S::Ok, S::Error> {
    let written = credential.as_ref().map(|credential| match credential {
        Credential::ApiKey(_) => Written::ApiKey(PLACEHOLDER.into()),
        Credential::BearerToken(_) => Written::BearerToken(PLACEHOLDER.into()),
    });
    written.serialize(serializer)
}

fn any_credential<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Credential>, D::Error> {
    /// The text alone is an API key, as when there was nothing else.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Key(String),
        Written(Written),
    }
    let credential = match Option::<Any>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Any::Key(key) | Any::Written(Written::ApiKey(key))) => ApiKey::new(key).map(Credential::from),
        Some(Any::Written(Written::BearerToken(token))) => BearerToken::new(token).map(Credential::from),
    };
    credential.map(Some).map_err(D::Error::custom)
}

/// Exponential backoff: the delay doubles with each failure in a row, from the retry delay up to a cap, and half of
/// it is random ("equal jitter"). It restarts from its base after an attempt that lasted 60 seconds or that the
/// server ended by a `timeout` event.
///
/// ```
/// use core::time::Duration;
/// use cvm_watch_core::{Backoff, Policy};
///
/// let policy = Policy::builder("running").backoff(Backoff::up_to(Duration::from_secs(60))).build()?;
/// assert_eq!(policy.backoff().unwrap().max_delay(), Duration::from_secs(60));
/// assert_eq!(Backoff::default().max_delay(), Duration::from_secs(30));
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    max_delay: Duration,
}

impl Backoff {
    /// Backoff up to `max_delay`, which must be at least the retry delay.
    pub const fn up_to(max_delay: Duration) -> Self {
        Self { max_delay }
    }

    /// Returns the cap of the delay.
    pub const fn max_delay(self) -> Duration {
        self.max_delay
    }
}

impl Default for Backoff {
    /// A cap of 30 seconds.
    fn default() -> Self {
        Self::up_to(Duration::from_secs(30))
    }
}

impl Policy {
    /// Makes a builder for this target, with every other parameter at its default.
    pub fn builder(target: impl Into<String>) -> PolicyBuilder {
        PolicyBuilder::new(target.into())
    }

    /// Returns the status to wait for.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns every target status, the first one included.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        core::iter::once(self.target.as_str()).chain(self.other_targets.iter().map(String::as_str))
    }

    /// Returns the caller's own idea of the target, if there is one.
    pub(crate) fn predicate(&self) -> Option<&Predicate> {
        self.predicate.as_ref()
    }

    /// The credential of every request, if there is one.
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Whether each attempt asks the driver for its credential.
    pub fn credential_per_attempt(&self) -> bool {
        self.credential_per_attempt
    }

    /// The workspace that the requests are for, if it is named.
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// The version of the API that is asked for, if any is.
    pub fn api_version(&self) -> Option<&str> {
        self.api_version.as_deref()
    }

    /// Returns how often the server checks the CVM.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Returns after how long the server ends one stream.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns how many retries may follow the first attempt; `None` is no limit.
    pub fn max_retries(&self) -> Option<u64> {
        self.max_retries
    }

    /// Returns the exact delay before a retry, if one was given.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_delay
    }

    /// Returns the exponential backoff, if it is on.
    pub fn backoff(&self) -> Option<Backoff> {
        self.backoff
    }

    /// Returns how long an attempt may take until its response head has arrived.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Returns how long a stream may be silent, if that is limited.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Returns how long the whole watch may take, if that is limited.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns how long a watch at its target waits for `complete`.
    pub fn complete_grace(&self) -> Duration {
        self.complete_grace
    }

    /// Returns the states that end the watch early, if any.
    pub fn fail_early(&self) -> Option<&FailEarly> {
        self.fail_early.as_ref()
    }

    /// Returns whether the CVM must be ready, not only at its target.
    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Returns whether another status must be seen first, and after how long a steady target counts anyway.
    pub fn after_change(&self) -> Option<Duration> {
        self.after_change
    }

    /// Returns how long a CVM that does not exist is waited for, if it is.
    pub fn wait_for_create(&self) -> Option<Duration> {
        self.wait_for_create
    }

    /// Returns how long the target must be seen without another status before it counts, if it must.
    pub fn stable_for(&self) -> Option<Duration> {
        self.stable_for
    }

    /// Returns after how long without a change the watch gives up, if it does.
    pub fn stall_timeout(&self) -> Option<Duration> {
        self.stall_timeout
    }

    /// Returns how the watch learns of the status.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the size limit of one event, in bytes.
    pub fn max_event_bytes(&self) -> usize {
        self.max_event_bytes
    }

    /// Returns whether events keep the server's JSON text.
    pub fn keep_raw(&self) -> bool {
        self.keep_raw
    }

    /// Returns the caller's request headers. Their values count as secrets.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Returns a redactor for the secrets of this policy: the credential, the values of the caller's headers, and what
    /// [`PolicyBuilder::redact`] was given. Use it on server text that is stored or shown.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}
