//! The request of one attempt: path, query and headers.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use percent_encoding::utf8_percent_encode;

use crate::credential::Credential;
use crate::cvm_id::CvmId;
use crate::error::ConfigError;
use crate::header::{Header, control_byte};
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::url::NOT_UNRESERVED;

const USER_AGENT: &str = concat!("cvm-watch/", env!("CARGO_PKG_VERSION"));
/// The longest `id:` that is kept for `Last-Event-ID`, in bytes.
pub(crate) const MAX_LAST_EVENT_ID: usize = 1024;

/// The request of an attempt. A transport sends it as `GET` to its base URL with [`path_and_query`] appended.
///
/// [`path_and_query`]: Request::path_and_query
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    path_and_query: String,
    headers: Vec<Header>,
}

impl Request {
    /// Returns the path and query, percent-encoded, with a leading slash: `/cvms/my-cvm/state?target=running&…`.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }

    /// Returns every header but `Host`, which follows from the base URL.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Sets a header, replacing any of the same name. The value of a `sensitive` one stays out of `Debug`.
    ///
    /// # Errors
    ///
    /// Fails if the name is not an HTTP token or the value has a control byte.
    pub fn set_header(&mut self, name: &str, value: &str, sensitive: bool) -> Result<(), ConfigError> {
        let header = Header::secret(name.to_string(), value.to_string()).with_sensitive(sensitive);
        header.check_syntax()?;
        self.headers.retain(|other| !other.name().eq_ignore_ascii_case(name));
        self.headers.push(header);
        Ok(())
    }
}

/// Returns the timeout to send: as configured, but not longer than the time left until the deadline (rounded up to
/// whole seconds), and at least the endpoint's minimum.
pub(crate) fn timeout_to_send(policy: &Policy, left: Option<Duration>) -> Duration {
    let left = left.map_or(u64::MAX, |left| left.as_secs() + u64::from(left.subsec_nanos() > 0));
    policy.timeout().min(Duration::from_secs(left.max(10)))
}

/// Makes the request of one attempt, for a stream that the server ends after `timeout`.
pub(crate) fn build(
    policy: &Policy,
    id: &CvmId,
    timeout: Duration,
    credential: Option<&Credential>,
    redactor: &Redactor,
    last_event_id: &str,
) -> Request {
    let path_and_query = format!(
        "/cvms/{}/state?target={}&interval={}&timeout={}",
        id.path_segment(),
        utf8_percent_encode(policy.target(), NOT_UNRESERVED),
        policy.interval().as_secs(),
        timeout.as_secs(),
    );
    let mut request = with_headers(policy, path_and_query, "text/event-stream", credential);
    if can_be_sent(last_event_id) {
        // The id is sent back unredacted. If it holds a secret it is marked sensitive.
        let sensitive = matches!(redactor.redact(last_event_id), Cow::Owned(_));
        request.headers.push(Header::plain("Last-Event-ID", last_event_id.to_string()).with_sensitive(sensitive));
    }
    request.headers.extend_from_slice(policy.headers());
    request
}

/// Makes the request of one attempt in immediate mode.
pub(crate) fn immediate(policy: &Policy, id: &CvmId, credential: Option<&Credential>) -> Request {
    let mut request =
        with_headers(policy, format!("/cvms/{}/state", id.path_segment()), "application/json", credential);
    request.headers.extend_from_slice(policy.headers());
    request
}

/// The headers that every request has, but for the caller's own.
fn with_headers(
    policy: &Policy,
    path_and_query: String,
    accept: &'static str,
    credential: Option<&Credential>,
) -> Request {
    let mut headers = Vec::with_capacity(8 + policy.headers().len());
    headers.push(Header::plain("Accept", accept));
    headers.push(Header::plain("Cache-Control", "no-cache"));
    headers.push(Header::plain("Accept-Encoding", "identity"));
    if !policy.headers().iter().any(|header| header.name().eq_ignore_ascii_case("user-agent")) {
        headers.push(Header::plain("User-Agent", USER_AGENT));
    }
    if let Some(version) = policy.api_version() {
        headers.push(Header::plain("X-Phala-Version", version.to_string()));
    }
    if let Some(workspace) = policy.workspace() {
        headers.push(Header::plain("X-Phala-Workspace", workspace.to_string()));
    }
    headers.extend(credential.map(Credential::header));
    Request { path_and_query, headers }
}

/// Returns whether a header can hold this last event id unchanged.
fn can_be_sent(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_LAST_EVENT_ID && control_byte(id).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{ApiKey, BearerToken};

    fn build(policy: &Policy, id: &CvmId, timeout: Duration, last_event_id: &str) -> Request {
        super::build(policy, id, timeout, policy.credential(), policy.redactor(), last_event_id)
    }

    fn policy() -> crate::PolicyBuilder {
        Policy::builder("run&ning")
    }

    fn my_cvm() -> CvmId {
        CvmId::new("my cvm").unwrap()
    }

    fn shown(request: &Request) -> String {
        let headers: Vec<_> = request.headers().iter().map(|header| format!("{header:?}")).collect();
        format!("{}\n{}", request.path_and_query(), headers.join("\n"))
    }

    #[test]
    fn the_request_has_the_endpoints_shape() {
        let key = ApiKey::new("phak_1").unwrap();
        let policy = policy().credential(key).header("X-Trace", "abc").build().unwrap();
        let request = build(&policy, &my_cvm(), Duration::from_secs(42), "");
        assert_eq!(
            shown(&request),
            "/cvms/my%20cvm/state?target=run%26ning&interval=5&timeout=42\n\
             Accept: text/event-stream\nCache-Control: no-cache\nAccept-Encoding: identity\n\
             User-Agent: cvm-watch/0.1.0\nX-Phala-Version: 2026-06-23\nX-API-Key: ***\nX-Trace: ***"
        );
        assert_eq!(request.headers()[5].value(), "phak_1");
    }

    #[test]
    fn a_token_a_workspace_and_another_version_are_sent_and_the_token_is_not_shown() {
        let token = BearerToken::new("hunter2").unwrap();
        let policy = policy().credential(token).workspace("my-team").api_version(Some("2025-10-28")).build().unwrap();
        let request = build(&policy, &my_cvm(), Duration::from_secs(10), "");
        let expected = "X-Phala-Version: 2025-10-28\nX-Phala-Workspace: my-team\nAuthorization: ***";
        assert!(shown(&request).ends_with(expected), "{request:?}");
        assert_eq!(request.headers().last().unwrap().value(), "Bearer hunter2");
    }

    #[test]
    fn the_version_can_be_left_out() {
        let request = build(&policy().api_version(None).build().unwrap(), &my_cvm(), Duration::from_secs(10), "");
        assert!(!shown(&request).contains("X-Phala"), "{request:?}");
    }

    #[test]
    fn without_a_key_its_header_is_left_out_and_the_users_agent_replaces_ours() {
        let policy = policy().header("user-agent", "mine/1").build().unwrap();
        let request = build(&policy, &my_cvm(), Duration::from_secs(10), "");
        assert!(!shown(&request).contains("X-API-Key"));
        let agents: Vec<_> =
            request.headers().iter().filter(|header| header.name().eq_ignore_ascii_case("user-agent")).collect();
        assert_eq!(agents.len(), 1);
        assert_eq!(agents[0].value(), "mine/1");
    }

    #[test]
    fn a_last_event_id_is_sent_as_it_is_or_not_at_all() {
        let policy = policy().build().unwrap();
        let sent = |id: &str| {
            build(&policy, &my_cvm(), Duration::from_secs(10), id)
                .headers()
                .iter()
                .find(|header| header.name() == "Last-Event-ID")
                .map(|header| header.value().to_string())
        };
        for id in ["7", "ünï→", "a b", &"x".repeat(1024)] {
            assert_eq!(sent(id).as_deref(), Some(id));
        }
        for id in ["", "a\u{1}", "\u{7f}", &"x".repeat(1025)] {
            assert_eq!(sent(id), None, "{id:?}");
        }
    }

    #[test]
    fn a_last_event_id_that_contains_the_key_is_sent_but_not_shown() {
        let policy = policy().credential(ApiKey::new("phak_1").unwrap()).build().unwrap();
        for (id, shown_as) in [("7", "Last-Event-ID: 7"), ("a-phak_1", "Last-Event-ID: ***")] {
            let request = build(&policy, &my_cvm(), Duration::from_secs(10), id);
            assert!(shown(&request).ends_with(shown_as), "{request:?}");
            assert_eq!(request.headers().last().unwrap().value(), id);
        }
    }

    #[test]
    fn a_header_is_set_or_replaced_and_one_that_cannot_be_sent_is_refused() {
        let mut request = build(&policy().build().unwrap(), &my_cvm(), Duration::from_secs(10), "");
        let before = request.headers().len();
        request.set_header("X-API-Key", "hunter2", true).unwrap();
        request.set_header("x-api-key", "hunter3", true).unwrap();
        assert_eq!(request.headers().len(), before + 1);
        assert_eq!(request.headers().last().unwrap().value(), "hunter3");
        assert!(!format!("{request:?}").contains("hunter"));
        request.set_header("a b", "x", false).unwrap_err();
        let refused = request.set_header("x-a", "hunter\n2", true).unwrap_err().to_string();
        assert!(refused.contains("x-a") && !refused.contains("hunter"), "{refused}");
        assert_eq!(request.headers().len(), before + 1);
    }

    #[test]
    fn the_timeout_shrinks_to_the_time_left_but_not_below_ten_seconds() {
        let policy = policy().timeout(Duration::from_secs(60)).build().unwrap();
        for (left_millis, expected) in [(100_000, 60), (60_000, 60), (30_001, 31), (30_000, 30), (9_000, 10), (0, 10)] {
            let timeout = timeout_to_send(&policy, Some(Duration::from_millis(left_millis)));
            assert_eq!(timeout, Duration::from_secs(expected), "{left_millis} ms left");
        }
        assert_eq!(timeout_to_send(&policy, None), Duration::from_secs(60));
    }
}
