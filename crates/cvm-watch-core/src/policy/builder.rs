//! The builder of a policy, which validates all parameters at once.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Backoff, FailEarly, Mode, Policy, Predicate};
use crate::credential::Credential;
use crate::cvm_state::{CvmState, RUNNING};
use crate::error::{ConfigError, ConfigErrorKind as Kind};
use crate::header::{Header, control_byte};
use crate::redact::Redactor;
use crate::url::check_length;

/// The version of the API whose answers this crate was written for.
const API_VERSION: &str = "2026-06-23";

/// Builds a [`Policy`]. Setters accept any value; [`build`](Self::build) validates.
///
/// ```
/// use core::time::Duration;
/// use cvm_watch_core::Policy;
///
/// let policy = Policy::builder("running")
///     .interval(Duration::from_secs(10))
///     .deadline(Duration::from_secs(900))
///     .max_retries(20)
///     .build()?;
/// assert_eq!(policy.deadline(), Some(Duration::from_secs(900)));
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PolicyBuilder(Policy);

impl PolicyBuilder {
    pub(super) fn new(target: String) -> Self {
        Self(Policy {
            target,
            other_targets: Vec::new(),
            predicate: None,
            credential: None,
            credential_per_attempt: false,
            workspace: None,
            api_version: Some(API_VERSION.to_owned()),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(300),
            max_retries: None,
            retry_delay: None,
            backoff: None,
            connect_timeout: Duration::from_secs(30),
            idle_timeout: None,
            deadline: None,
            complete_grace: Duration::from_secs(2),
            fail_early: None,
            ready: false,
            after_change: None,
            wait_for_create: None,
            stable_for: None,
            stall_timeout: None,
            mode: Mode::Stream,
            max_event_bytes: 4 << 20,
            keep_raw: false,
            headers: Vec::new(),
            redactor: Redactor::default(),
        })
    }

    /// Starts from a policy that was not validated yet.
    pub(super) fn from(policy: Policy) -> Self {
        Self(policy)
    }

    pub(super) fn into(self) -> Policy {
        self.0
    }

    /// The credential of every request: an [`ApiKey`](crate::ApiKey), sent as `X-API-Key`, or a
    /// [`BearerToken`](crate::BearerToken), sent as `Authorization: Bearer`. None by default.
    pub fn credential(mut self, credential: impl Into<Credential>) -> Self {
        self.0.credential = Some(credential.into());
        self
    }

    /// Whether each attempt asks for its credential with [`Action::AskCredential`](crate::Action::AskCredential), for
    /// credentials that expire. After an HTTP 401 the watch asks once more, which does not count as a retry: with a
    /// different credential it makes one more attempt, with the same one it ends as
    /// [`Rejected`](crate::Failure::Rejected). Off by default.
    ///
    /// ```
    /// use cvm_watch_core::{Action, BearerToken, Input, Policy, Timestamp, Watch};
    ///
    /// let policy = Policy::builder("running").credential_per_attempt(true).build()?;
    /// let now = Timestamp::ZERO;
    /// let mut watch = Watch::new(policy.into(), "my-cvm".parse()?, 1, now);
    /// let Some(Action::AskCredential { attempt }) = watch.poll_action() else { panic!("no question") };
    /// let credential = BearerToken::new("eyJhbGciOi")?.into();
    /// watch.handle(now, Input::Credential { attempt, credential });
    /// let Some(Action::Connect { request, .. }) = watch.poll_action() else { panic!("no attempt") };
    /// assert_eq!(request.headers().last().unwrap().value(), "Bearer eyJhbGciOi");
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn credential_per_attempt(mut self, per_attempt: bool) -> Self {
        self.0.credential_per_attempt = per_attempt;
        self
    }

    /// The slug of the workspace that the requests are for, sent as `X-Phala-Workspace`. None by default,
    /// for the account's own.
    pub fn workspace(mut self, slug: impl Into<String>) -> Self {
        self.0.workspace = Some(slug.into());
        self
    }

    /// The version of the API, sent as `X-Phala-Version`: a date, `2026-06-23` by default. `None` leaves the
    /// header out.
    ///
    /// ```
    /// use cvm_watch_core::Policy;
    ///
    /// assert_eq!(Policy::builder("running").build()?.api_version(), Some("2026-06-23"));
    /// assert_eq!(Policy::builder("running").api_version(None).build()?.api_version(), None);
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn api_version(mut self, version: Option<&str>) -> Self {
        self.0.api_version = version.map(ToOwned::to_owned);
        self
    }

    /// How often the server checks the CVM: whole seconds, 5 to 30; 5 by default (the endpoint's
    /// own range and default).
    pub fn interval(mut self, interval: Duration) -> Self {
        self.0.interval = interval;
        self
    }

    /// The time limit of one attempt, after which the server ends the stream with a `timeout` event and the watch
    /// reconnects: whole seconds, 10 to 600; 300 by default (the endpoint's own range and default). The limit of the
    /// whole watch is [`deadline`](Self::deadline).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// How many retries may follow the first attempt: any number, 0 for none. No limit by default.
    pub fn max_retries(mut self, retries: u64) -> Self {
        self.0.max_retries = Some(retries);
        self
    }

    /// The exact delay before each retry: any value, zero included. With [`backoff`](Self::backoff), the delay it
    /// starts from. By default 5 seconds or the stream's `retry:` field (limited to 1 to 30 seconds), plus up to 20 %
    /// of random jitter, so that many watches do not reconnect at the same moment.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.0.retry_delay = Some(delay);
        self
    }

    /// Makes the delay grow with each failure in a row. Off by default.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.0.backoff = Some(backoff);
        self
    }

    /// The time limit for connecting, from the name lookup to the response head, proxy and TLS included: more than
    /// zero; 30 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.0.connect_timeout = timeout;
        self
    }

    /// How long a stream may be silent before the attempt fails: more than zero. Off by default, since it is not
    /// documented how often the server sends something.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.0.idle_timeout = Some(timeout);
        self
    }

    /// The time limit of the whole watch, retries included: more than zero. Off by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.0.deadline = Some(deadline);
        self
    }

    /// How long the watch waits for `complete` after a state at the target: any value; 2 seconds by default. In a
    /// [`Fleet`](crate::Fleet) it does not wait if another member needs the slot.
    pub fn complete_grace(mut self, grace: Duration) -> Self {
        self.0.complete_grace = grace;
        self
    }

    /// Fails the watch with [`TargetUnreachable`](crate::Failure::TargetUnreachable) as soon as two states in a row
    /// report that the CVM cannot reach the target. Off by default, as in the SDKs.
    pub fn fail_early(mut self, early: FailEarly) -> Self {
        self.0.fail_early = Some(early);
        self
    }

    /// Whether the CVM must also be ready: its boot progress is `done` or not reported, and there is no boot error.
    /// If the server completes before that, the watch checks again each [`interval`](Self::interval), which does not
    /// count as a retry. A `complete` without a state in its attempt is judged by the last state before it; the
    /// second one in a row counts, since such a server does not report progress. Off by default; for the target
    /// `running` only.
    pub fn ready(mut self, ready: bool) -> Self {
        self.0.ready = ready;
        self
    }

    /// Requires another status before the target counts, for a wait after a restart or an update that was just
    /// requested. The value, more than zero, is the time after which a steady target counts anyway
    /// ([`Action::SteadyTarget`]). Off by default.
    ///
    /// [`Action::SteadyTarget`]: crate::Action::SteadyTarget
    pub fn after_change(mut self, steady: Duration) -> Self {
        self.0.after_change = Some(steady);
        self
    }

    /// Adds a status that counts as the target too. The request names the first one, so that the server completes
    /// there; the watch recognizes the others by their `state`. Of the outcome, the status says which was reached.
    ///
    /// ```
    /// use cvm_watch_core::Policy;
    ///
    /// let policy = Policy::builder("running").or_target("stopped").build()?;
    /// assert!(policy.targets().eq(["running", "stopped"]));
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn or_target(mut self, target: impl Into<String>) -> Self {
        self.0.other_targets.push(target.into());
        self
    }

    /// Lets `holds` decide which state counts as the target, instead of the status alone. While the server completes
    /// at a target for which it does not hold, the watch checks again every [`interval`](Self::interval), which is no
    /// retry. It is called once for each `state`, as the server sent it, and once for each `complete`, with the last
    /// state and the completed status.
    ///
    /// A serialized policy, and so a recording, does not contain it.
    ///
    /// ```
    /// use cvm_watch_core::Policy;
    ///
    /// let policy = Policy::builder("running").target_when(|state| state.is("running") && state.uptime.is_some()).build()?;
    /// assert_eq!(policy.target(), "running");
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn target_when(mut self, holds: impl Fn(&CvmState) -> bool + Send + Sync + 'static) -> Self {
        self.0.predicate = Some(Predicate::new(holds));
        self
    }

    /// How long a CVM may be missing, counted from the start of the watch: more than zero. Until then HTTP 404, with
    /// `ERR-03-001` or without a code, is retried and does not count as a retry. Off by default: the first 404 ends the
    /// watch.
    pub fn wait_for_create(mut self, time: Duration) -> Self {
        self.0.wait_for_create = Some(time);
        self
    }

    /// How long the target must be seen without another status before it counts: more than zero. While the server
    /// completes before that, the watch checks again every [`interval`](Self::interval), which is no retry. Off by
    /// default.
    pub fn stable_for(mut self, time: Duration) -> Self {
        self.0.stable_for = Some(time);
        self
    }

    /// Ends the watch as [`Stalled`](crate::Failure::Stalled) when the server reports a state whose status and boot
    /// progress have not changed for this long: more than zero. A server that reports nothing does not end it, and
    /// nor does a state at the target. Off by default.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.0.stall_timeout = Some(timeout);
        self
    }

    /// How the watch learns of the status; from event streams by default.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.0.mode = mode;
        self
    }

    /// Checks once, in immediate mode, and ends with the state that the server returns. Options that wait for something,
    /// such as [`ready`](Self::ready), are switched off. A failed attempt is not retried unless
    /// [`max_retries`](Self::max_retries) is set afterwards.
    ///
    /// ```
    /// use cvm_watch_core::{Action, Policy, Timestamp, Watch};
    ///
    /// let policy = Policy::builder("running").single_check().build()?;
    /// let mut watch = Watch::new(policy.into(), "my-cvm".parse()?, 1, Timestamp::ZERO);
    /// let Some(Action::Connect { request, .. }) = watch.poll_action() else { panic!("no attempt") };
    /// assert_eq!(request.path_and_query(), "/cvms/my-cvm/state");
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn single_check(mut self) -> Self {
        self.0.ready = false;
        self.0.fail_early = None;
        self.0.after_change = None;
        self.0.wait_for_create = None;
        self.0.stable_for = None;
        self.0.stall_timeout = None;
        self.target_when(|_| true).mode(Mode::Poll).max_retries(0)
    }

    /// The size limit of one event (its type, id and data), in bytes: 1 to 1 GiB; 4 MiB by default. A larger event is
    /// dropped and reported.
    pub fn max_event_bytes(mut self, bytes: usize) -> Self {
        self.0.max_event_bytes = bytes;
        self
    }

    /// Whether events keep the server's JSON text, unknown fields included. Off by default.
    pub fn keep_raw(mut self, keep: bool) -> Self {
        self.0.keep_raw = keep;
        self
    }

    /// Adds a request header; `User-Agent` replaces the default one. The value counts as a secret: it is never shown,
    /// and redacted where the server repeats it, if it has six bytes or more.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push(Header::secret(name.into(), value.into()));
        self
    }

    /// Adds a secret that the core does not send but that a server could repeat, such as a proxy's password. It is
    /// redacted in everything that the server sends.
    pub fn redact(mut self, secret: &str) -> Self {
        self.0.redactor.add(secret);
        self
    }

    /// Validates all parameters.
    ///
    /// # Errors
    ///
    /// Fails with the first invalid value: its field, the value and what is allowed.
    pub fn build(self) -> Result<Policy, ConfigError> {
        let Self(mut policy) = self;
        for target in policy.targets() {
            if target.trim().is_empty() {
                let problem = "must not be blank; give a status such as running or stopped";
                return Err(ConfigError::new("target", target, problem).with_kind(Kind::Missing));
            }
            check_length("target", target)?;
        }
        whole_seconds("interval", policy.interval, 5, 30)?;
        whole_seconds("timeout", policy.timeout, 10, 600)?;
        more_than_zero("connect timeout", Some(policy.connect_timeout))?;
        more_than_zero("idle timeout", policy.idle_timeout)?;
        more_than_zero("deadline", policy.deadline)?;
        more_than_zero("after change", policy.after_change)?;
        more_than_zero("wait for create", policy.wait_for_create)?;
        more_than_zero("stable for", policy.stable_for)?;
        more_than_zero("stall timeout", policy.stall_timeout)?;
        if policy.ready && !policy.targets().any(|target| target.eq_ignore_ascii_case(RUNNING)) {
            let problem = "is no status to be ready at; readiness goes with the target running only";
            return Err(ConfigError::new("target", &policy.target, problem).with_kind(Kind::Conflict));
        }
        if let Some(early) = &policy.fail_early {
            policy.targets().try_for_each(|target| early.check(target))?;
        }
        if let (Some(backoff), Some(delay)) = (policy.backoff, policy.retry_delay)
            && backoff.max_delay() < delay
        {
            let problem = format!("must be at least the retry delay, {delay:?}");
            let value = format!("{:?}", backoff.max_delay());
            return Err(ConfigError::new("backoff max", &value, problem).with_kind(Kind::Conflict));
        }
        if !(1..=1 << 30).contains(&policy.max_event_bytes) {
            let value = format!("{}", policy.max_event_bytes);
            let problem = "must be 1 to 1073741824 (1 GiB)";
            return Err(ConfigError::new("max event bytes", &value, problem).with_kind(Kind::OutOfRange));
        }
        if let Some(credential) = &policy.credential {
            if policy.credential_per_attempt {
                let problem = "is given, and asked for before each attempt; leave out one of them";
                return Err(ConfigError::new("credential", "", problem).with_kind(Kind::Conflict));
            }
            policy.redactor.add(credential.expose());
        }
        sendable("workspace", policy.workspace.as_deref())?;
        sendable("api version", policy.api_version.as_deref())?;
        for header in &policy.headers {
            header.check()?;
            let is_authorization = header.name().eq_ignore_ascii_case("authorization");
            let may_be_token = matches!(policy.credential, Some(Credential::BearerToken(_)));
            if is_authorization && (may_be_token || policy.credential_per_attempt) {
                let problem = "is set by the bearer token; leave out one of them";
                return Err(ConfigError::new("header name", header.name(), problem).with_kind(Kind::Conflict));
            }
            policy.redactor.add_header_value(header.value());
        }
        Ok(policy)
    }
}

fn whole_seconds(field: &'static str, value: Duration, least: u64, most: u64) -> Result<(), ConfigError> {
    if value.subsec_nanos() == 0 && (least..=most).contains(&value.as_secs()) {
        return Ok(());
    }
    let problem = format!("must be whole seconds from {least}s to {most}s");
    Err(ConfigError::new(field, &format!("{value:?}"), problem).with_kind(Kind::OutOfRange))
}

/// Checks a text that is sent as a header, if there is one.
fn sendable(field: &'static str, value: Option<&str>) -> Result<(), ConfigError> {
    let Some(value) = value else { return Ok(()) };
    if value.trim().is_empty() {
        return Err(ConfigError::new(field, value, "must not be blank; leave it out").with_kind(Kind::Missing));
    }
    match control_byte(value) {
        Some((at, byte)) => {
            let problem = format!("has the control byte 0x{byte:02x} at position {at}; remove it");
            Err(ConfigError::new(field, value, problem))
        }
        None => Ok(()),
    }
}

fn more_than_zero(field: &'static str, value: Option<Duration>) -> Result<(), ConfigError> {
    match value {
        Some(Duration::ZERO) => {
            let problem = "must be more than zero; leave it out for the default";
            Err(ConfigError::new(field, "0s", problem).with_kind(Kind::OutOfRange))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn refused(set: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> String {
        set(Policy::builder("running")).build().unwrap_err().to_string()
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn each_refusal_names_field_value_and_range() {
        let cases = [
            (refused(|c| c.interval(millis(4000))), r#"interval "4s" must be whole seconds from 5s to 30s"#),
            (refused(|c| c.interval(millis(31_000))), r#"interval "31s" must be whole seconds from 5s to 30s"#),
            (refused(|c| c.interval(millis(5500))), r#"interval "5.5s" must be whole seconds from 5s to 30s"#),
            (refused(|c| c.timeout(millis(9000))), r#"timeout "9s" must be whole seconds from 10s to 600s"#),
            (refused(|c| c.timeout(millis(600_001))), r#"timeout "600.001s" must be whole seconds from 10s to 600s"#),
            (
                refused(|c| c.deadline(millis(0))),
                r#"deadline "0s" must be more than zero; leave it out for the default"#,
            ),
            (
                refused(|c| c.idle_timeout(millis(0))),
                r#"idle timeout "0s" must be more than zero; leave it out for the default"#,
            ),
            (refused(|c| c.max_event_bytes(0)), r#"max event bytes "0" must be 1 to 1073741824 (1 GiB)"#),
            (
                refused(|c| c.retry_delay(millis(60_000)).backoff(Backoff::default())),
                r#"backoff max "30s" must be at least the retry delay, 60s"#,
            ),
            (
                refused(|c| c.header("a b", "x")),
                r#"header name "a b" must be letters, digits or any of !#$%&'*+-.^_`|~"#,
            ),
            (
                refused(|c| c.header("X-API-Key", "x")),
                r#"header name "X-API-Key" is set by the watch or the connection; leave it out"#,
            ),
            (
                refused(|c| c.header("x-trace", "hunter2\r\nEvil: yes")),
                "header x-trace has the control byte 0x0d at position 7; remove it",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_target_that_does_not_fit_into_a_url_is_refused() {
        // Each of these takes three bytes once it is percent-encoded.
        let fits = "\u{7f}".repeat(5461);
        assert!(Policy::builder(fits.as_str()).build().is_ok());
        let error = Policy::builder(fits + "ab").build().unwrap_err();
        assert_eq!(error.field(), "target");
        let problem = "takes 16385 bytes in the URL, which are at most 16384 (16 KiB); give a shorter one";
        assert!(error.to_string().ends_with(problem), "{error}");
    }

    #[test]
    fn each_refusal_has_its_kind() {
        let kind = |target: &str, set: fn(PolicyBuilder) -> PolicyBuilder| {
            set(Policy::builder(target)).build().unwrap_err().kind()
        };
        assert_eq!(kind(" ", |c| c), Kind::Missing);
        assert_eq!(kind("running", |c| c.interval(millis(4000))), Kind::OutOfRange);
        assert_eq!(kind("running", |c| c.deadline(millis(0))), Kind::OutOfRange);
        assert_eq!(kind("stopped", |c| c.ready(true)), Kind::Conflict);
        assert_eq!(kind("running", |c| c.header("a b", "x")), Kind::Invalid);
    }

    #[test]
    fn a_blank_target_is_refused() {
        for target in ["", "   ", "\t"] {
            let error = Policy::builder(target).build().unwrap_err();
            assert_eq!(error.field(), "target");
        }
    }

    #[test]
    fn the_edges_of_the_ranges_are_in() {
        for (interval, timeout) in [(5, 10), (30, 600)] {
            Policy::builder("running")
                .interval(Duration::from_secs(interval))
                .timeout(Duration::from_secs(timeout))
                .retry_delay(Duration::ZERO)
                .build()
                .unwrap();
        }
    }

    #[test]
    fn a_workspace_or_version_that_cannot_be_sent_is_refused() {
        let blank = r#"workspace "  " must not be blank; leave it out"#;
        assert_eq!(refused(|c| c.workspace("  ")), blank);
        let control = r#"api version "2026\n" has the control byte 0x0a at position 4; remove it"#;
        assert_eq!(refused(|c| c.api_version(Some("2026\n"))), control);
        assert!(refused(|c| c.header("x-phala-version", "1")).contains("is set by the watch"));
        let token = crate::BearerToken::new("hunter22").unwrap();
        let both = refused(|c| c.credential(token).header("AUTHORIZATION", "Basic hunter33"));
        assert_eq!(both, r#"header name "AUTHORIZATION" is set by the bearer token; leave out one of them"#);
    }

    #[test]
    fn debug_shows_no_secret() {
        let policy = Policy::builder("running")
            .credential(crate::ApiKey::new("hunter22").unwrap())
            .header("x-trace", "hunter33")
            .redact("hunter44")
            .build()
            .unwrap();
        let shown = format!("{policy:?}");
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
