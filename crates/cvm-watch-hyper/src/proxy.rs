//! Whether a proxy stands between, and how it is asked.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cvm_watch_driver::BaseUrl;
use cvm_watch_driver::core::ConfigError;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Where the proxy's address comes from.
#[derive(Clone, Default)]
pub(crate) enum ProxyChoice {
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl reads them.
    #[default]
    Environment,
    /// This one.
    Given(String),
    /// None.
    Direct,
}

/// The address may hold a password.
impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Given(_) => "Given(***)",
            Self::Direct => "Direct",
        })
    }
}

/// A proxy to go through.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) uri: Uri,
    pub(crate) kind: Kind,
}

#[derive(Clone)]
pub(crate) enum Kind {
    /// `CONNECT`, for plain http as well: the proxy never sees the key.
    Http { auth: Option<HeaderValue> },
    /// SOCKS 5, with the name looked up by the proxy.
    Socks5 { auth: Option<(String, String)> },
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.uri.host())
    }
}

impl ProxyChoice {
    /// The proxy for this base URL, with what must never be shown of it.
    pub(crate) fn resolve(&self, base: &BaseUrl) -> Result<(Option<Proxy>, Vec<String>), ConfigError> {
        if base.is_loopback() {
            return Ok((None, Vec::new()));
        }
        let matcher = match self {
            Self::Environment => Matcher::from_env(),
            Self::Given(url) => Matcher::builder().all(url.clone()).build(),
            Self::Direct => return Ok((None, Vec::new())),
        };
        let destination = destination(base)?;
        match (matcher.intercept(&destination), self) {
            (Some(intercept), _) => Proxy::new(&intercept).map(|(proxy, secrets)| (Some(proxy), secrets)),
            (None, Self::Given(_)) => Err(unusable()),
            (None, _) => Ok((None, Vec::new())),
        }
    }
}

impl Proxy {
    fn new(intercept: &Intercept) -> Result<(Self, Vec<String>), ConfigError> {
        let uri = intercept.uri().clone();
        let mut secrets = Vec::new();
        let kind = match uri.scheme_str() {
            Some("http") => {
                let auth = intercept.basic_auth().cloned();
                if let Some(token) = auth.as_ref().and_then(|auth| auth.to_str().ok()) {
                    secrets.extend(of_basic_auth(token));
                }
                Kind::Http { auth }
            }
            Some("socks5" | "socks5h") => {
                let auth = intercept.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()));
                secrets.extend(auth.iter().map(|(_, password)| password.clone()));
                Kind::Socks5 { auth }
            }
            _ => return Err(unusable()),
        };
        secrets.retain(|secret| !secret.is_empty());
        Ok((Self { uri, kind }, secrets))
    }
}

/// The token of `Basic …`, and the password in it.
fn of_basic_auth(value: &str) -> Vec<String> {
    let token = value.strip_prefix("Basic ").unwrap_or(value);
    let mut secrets = vec![token.to_owned()];
    if let Ok(decoded) = STANDARD.decode(token)
        && let Some((_, password)) = String::from_utf8_lossy(&decoded).split_once(':')
    {
        secrets.push(password.to_owned());
    }
    secrets
}

/// The base URL's origin with its port written out: proxies and resolvers take it from there.
pub(crate) fn destination(base: &BaseUrl) -> Result<Uri, ConfigError> {
    let scheme = if base.is_https() { "https" } else { "http" };
    let host = if base.host().contains(':') { format!("[{}]", base.host()) } else { base.host().to_owned() };
    format!("{scheme}://{host}:{}/", base.port())
        .parse()
        .map_err(|error| ConfigError::new("base url", &base.to_string(), format!("cannot be used over HTTP: {error}")))
}

fn unusable() -> ConfigError {
    // Its value may hold a password.
    let problem = "cannot be used; give http://host:port or socks5://host:port (from the proxy option, or HTTPS_PROXY and its kin)";
    ConfigError::new("proxy", "", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(proxy: &str, base: &str) -> Result<(Option<Proxy>, Vec<String>), ConfigError> {
        ProxyChoice::Given(proxy.to_owned()).resolve(&BaseUrl::parse(base).unwrap())
    }

    #[test]
    fn a_base_url_on_this_machine_goes_through_no_proxy() {
        for base in ["http://127.0.0.1:1", "https://localhost", "http://[::1]:2"] {
            assert!(resolve("http://proxy.example:3128", base).unwrap().0.is_none(), "{base}");
        }
        assert!(resolve("http://proxy.example:3128", "https://cloud.example").unwrap().0.is_some());
    }

    #[test]
    fn the_password_and_its_token_are_secrets_and_debug_shows_neither() {
        let (proxy, secrets) = resolve("http://me:hunter2@proxy.example:3128", "https://cloud.example").unwrap();
        assert_eq!(secrets, ["bWU6aHVudGVyMg==", "hunter2"]);
        let (socks, also) = resolve("socks5://me:hunter2@proxy.example:1080", "https://cloud.example").unwrap();
        assert_eq!(also, ["hunter2"]);
        let choice = ProxyChoice::Given("http://me:hunter2@proxy.example".to_owned());
        let shown = format!("{proxy:?} {socks:?} {choice:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("bWU6"), "{shown}");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused_without_being_shown() {
        for proxy in ["ftp://me:hunter2@proxy.example", "https://me:hunter2@proxy.example", "http://me:hunter2@", ""] {
            let error = resolve(proxy, "https://cloud.example").unwrap_err();
            assert!(error.field() == "proxy" && !error.to_string().contains("hunter2"), "{proxy}: {error}");
        }
    }
}
