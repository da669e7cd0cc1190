//! What a driver needs from a runtime: an HTTP transport and a timer.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::error::Error;
use std::sync::Arc;

use cvm_watch_core::{AttemptId, CloseCause, ConfigError, Header, Redactor, Timestamp, UnixSeconds};

use crate::account::BaseUrl;

/// An HTTP stack. Implement it to run watches on another one.
///
/// The core relies on these rules:
///
/// - Each [`open`](Self::open) makes a new connection and sends one `GET`; it follows no redirect
///   and retries nothing.
/// - The connection is owned by the future, then by the body. Dropping either closes the socket at once, in any state.
/// - A chunk is passed on when its bytes arrive. Nothing is collected, decoded or decompressed.
/// - A body that ends before its framing says so is an error, never an end.
/// - A transport sets no time limits: deadlines are judged by the core. [`Request::connect_timeout`] is only for
///   dividing
///   the time between several addresses of one host.
/// - A retry, by [`Request::attempt`], starts with the next address of the host name.
///
/// Nothing has to be `Send`: a watch over a transport whose parts are `Send` is `Send` itself.
pub trait Transport {
    /// The response body.
    type Body: Body;
    /// Completes with the response head, or with an error if none will arrive.
    type Open: Future<Output = Result<(Head, Self::Body), TransportError>>;

    /// Opens a connection and sends the request.
    fn open(&self, request: Request) -> Self::Open;
}

/// A response body.
pub trait Body {
    /// A chunk of bytes, possibly empty.
    type Chunk: AsRef<[u8]>;

    /// Polls for the next chunk; `None` at the clean end of the body. It is not polled again after the end or an
    /// error.
    fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Self::Chunk, TransportError>>>;
}

/// The clock and the sleeps of a runtime.
pub trait Timer {
    /// A sleep. It should not end early; if it does, the watch reads [`now`](Self::now) and sleeps again.
    type Sleep: Future<Output = ()>;

    /// Returns the current time, which never goes back. It should include the time during which the machine was
    /// suspended, as that of [`BootClock`](crate::BootClock) does.
    fn now(&self) -> Timestamp;

    /// Returns the wall-clock time in seconds since 1970, to read an HTTP date in `Retry-After`; `None` if unknown.
    /// By default that of the operating system, and `None` on `wasm32-unknown-unknown`.
    fn wall(&self) -> Option<UnixSeconds> {
        #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
        {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            since.ok().map(|since| UnixSeconds(since.as_secs()))
        }
        #[cfg(all(target_family = "wasm", target_os = "unknown"))]
        None
    }

    /// Returns for how long the machine has been suspended, in total; a watch reconnects when it grows. Zero by
    /// default, and where it is unknown. [`BootClock`](crate::BootClock) knows it on Linux.
    fn suspended(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns the longest time that a watch may sleep before it reads the clock: 30 seconds by default. Return less
    /// if sleeps pause while the machine is suspended, as those of most runtimes do, since a watch notices a resume
    /// only when a sleep ends.
    fn longest_sleep(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Returns a future that completes at a time of [`now`](Self::now)'s clock.
    fn sleep_until(&self, at: Timestamp) -> Self::Sleep;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    type Body = T::Body;
    type Open = T::Open;

    fn open(&self, request: Request) -> Self::Open {
        (**self).open(request)
    }
}

impl<T: Timer + ?Sized> Timer for Arc<T> {
    type Sleep = T::Sleep;

    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn wall(&self) -> Option<UnixSeconds> {
        (**self).wall()
    }

    fn suspended(&self) -> Duration {
        (**self).suspended()
    }

    fn longest_sleep(&self) -> Duration {
        (**self).longest_sleep()
    }

    fn sleep_until(&self, at: Timestamp) -> Self::Sleep {
        (**self).sleep_until(at)
    }
}

/// The request that a transport sends: a `GET` over HTTP/1.1 without a body.
#[derive(Clone, Debug)]
pub struct Request {
    base: Arc<BaseUrl>,
    inner: cvm_watch_core::Request,
    connect_timeout: Duration,
    attempt: AttemptId,
}

impl Request {
    /// Makes the request of the first attempt, for drivers other than this crate's loop and for tests of a transport.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cvm_watch_core::{Action, Policy, Timestamp, Watch};
    /// use cvm_watch_driver::{BaseUrl, Request};
    ///
    /// let policy = Arc::new(Policy::builder("running").build()?);
    /// let mut watch = Watch::new(Arc::clone(&policy), "my-cvm".parse()?, 1, Timestamp::ZERO);
    /// let Some(Action::Connect { request, .. }) = watch.poll_action() else { panic!("no attempt") };
    /// let base: BaseUrl = "http://127.0.0.1:8080/api/v1".parse()?;
    /// let mut request = Request::new(base.into(), request, policy.connect_timeout());
    /// assert!(request.target().starts_with("/api/v1/cvms/my-cvm/state?"));
    ///
    /// request.set_header("X-Trace", "7f", false)?;
    /// assert_eq!(request.headers().last().unwrap().value(), "7f");
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn new(base: Arc<BaseUrl>, inner: cvm_watch_core::Request, connect_timeout: Duration) -> Self {
        Self { base, inner, connect_timeout, attempt: AttemptId::from_number(1) }
    }

    /// The same request for another attempt.
    pub fn with_attempt(self, attempt: AttemptId) -> Self {
        Self { attempt, ..self }
    }

    /// Sets a header, replacing any of the same name. The value of a `sensitive` one stays out of logs. It is
    /// redacted in server text only if the policy knows it too.
    ///
    /// # Errors
    ///
    /// Fails if the name is not an HTTP token or the value has a control byte.
    pub fn set_header(&mut self, name: &str, value: &str, sensitive: bool) -> Result<(), ConfigError> {
        self.inner.set_header(name, value, sensitive)
    }

    /// Returns the base URL, which determines the address, the TLS name and `Host`.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Returns the request target: path and query, percent-encoded.
    pub fn target(&self) -> String {
        format!("{}{}", self.base.path(), self.inner.path_and_query())
    }

    /// Returns every header but `Host`, which is [`BaseUrl::authority`]. Values are UTF-8, possibly outside ASCII,
    /// and are sent unchanged; sensitive ones stay out of logs.
    pub fn headers(&self) -> &[Header] {
        self.inner.headers()
    }

    /// The attempt that this request belongs to. A retry starts with the next address of the host name, so that an
    /// address that accepts connections and never answers is not tried for ever.
    pub fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Returns how long the core waits for the response head: the time for all addresses together.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }
}

/// A response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Every header, in order. Names are case-insensitive; values may be any bytes.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// An error of a transport: the close cause, by which the core decides, and the error itself for people.
#[derive(Debug)]
pub struct TransportError {
    cause: CloseCause,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// Makes an error from a close cause and its source.
    pub fn new(cause: CloseCause, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause, source: Some(source.into()) }
    }

    /// Returns the close cause.
    pub fn cause(&self) -> CloseCause {
        self.cause
    }

    /// Returns the same error without secrets that a peer may have put into its text, such as a proxy in its message
    /// or a server in its certificate.
    pub(crate) fn redacted(self, redactor: &Redactor) -> Self {
        let texts: Vec<String> =
            core::iter::successors(self.source(), |error| (*error).source()).map(ToString::to_string).collect();
        if texts.iter().all(|text| redactor.redact(text) == *text) {
            return self;
        }
        // The original errors hold the secret, so only the redacted messages are kept.
        let chain = texts.iter().rev().fold(None, |source, text| {
            let text = redactor.redact(text).into_owned();
            Some(Box::new(RedactedError { text, source }))
        });
        Self { cause: self.cause, source: chain.map(|error| error as _) }
    }
}

/// The redacted message of an error that held a secret.
#[derive(Debug)]
struct RedactedError {
    text: String,
    source: Option<Box<Self>>,
}

impl fmt::Display for RedactedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for RedactedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<CloseCause> for TransportError {
    fn from(cause: CloseCause) -> Self {
        Self { cause, source: None }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

#[cfg(test)]
mod tests {
    use cvm_watch_core::{ApiKey, Policy};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer phak_secret_1")]
    struct Outer(#[source] std::io::Error);

    fn chain(error: &TransportError) -> Vec<String> {
        core::iter::successors(error.source(), |error| (*error).source()).map(ToString::to_string).collect()
    }

    #[test]
    fn a_secret_in_any_error_of_the_chain_is_redacted_and_the_rest_is_kept() {
        let key = ApiKey::new("phak_secret_1").unwrap();
        let policy = Policy::builder("running").credential(key).build().unwrap();
        let error = || TransportError::new(CloseCause::Proxy, Outer(std::io::Error::other("inner phak_secret_1")));
        assert_eq!(chain(&error()), ["outer phak_secret_1", "inner phak_secret_1"]);
        let redacted = error().redacted(policy.redactor());
        assert_eq!(chain(&redacted), ["outer ***", "inner ***"]);
        assert_eq!(redacted.cause(), CloseCause::Proxy);
        assert!(!format!("{redacted:?}").contains("secret"));
    }

    #[test]
    fn an_error_without_a_secret_stays_as_it_is() {
        let policy = Policy::builder("running").build().unwrap();
        let error = TransportError::new(CloseCause::Other, std::io::Error::other("plain"));
        let kept = error.redacted(policy.redactor());
        assert!(matches!(kept.source(), Some(source) if source.is::<std::io::Error>()));
        assert!(TransportError::from(CloseCause::Dns).redacted(policy.redactor()).source().is_none());
    }
}
