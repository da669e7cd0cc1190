//! Whether a proxy stands between, and how it is asked.

use std::env;
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
    /// `CONNECT`, for plain http as well: the proxy neither rewrites the request nor holds events back.
    Http { auth: Option<HeaderValue> },
    /// SOCKS 5, with the name looked up by the proxy.
    Socks5 { auth: Option<(String, String)> },
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.uri.host())
    }
}

/// A proxy that somebody named, before it is known to be of use.
struct Named {
    /// The option or the variable that named it.
    by: &'static str,
    url: String,
    /// What is reached without it, as `NO_PROXY` lists it.
    except: String,
}

impl ProxyChoice {
    /// The proxy for this base URL, with what must never be shown of it.
    pub(crate) fn resolve(&self, base: &BaseUrl) -> Result<(Option<Proxy>, Vec<String>), ConfigError> {
        let named = match self {
            Self::Environment => named_by(base, |name| env::var(name).ok()),
            Self::Given(url) => Some(Named { by: "proxy", url: url.clone(), except: String::new() }),
            Self::Direct => None,
        };
        match named {
            Some(named) if !base.is_loopback() => named.resolve(base),
            _ => Ok((None, Vec::new())),
        }
    }
}

impl Named {
    fn resolve(&self, base: &BaseUrl) -> Result<(Option<Proxy>, Vec<String>), ConfigError> {
        let destination = destination(base)?;
        let any = Matcher::builder().all("http://proxy.invalid").no(self.except.as_str()).build();
        if any.intercept(&destination).is_none() {
            return Ok((None, Vec::new()));
        }
        // A proxy that cannot be used is told: to go around it in silence may be what it is there
        // to prevent.
        let intercept = Matcher::builder().all(self.url.as_str()).build().intercept(&destination);
        let (proxy, secrets) = intercept.and_then(|found| Proxy::new(&found)).ok_or_else(|| unusable(self.by))?;
        Ok((Some(proxy), secrets))
    }
}

/// What the environment names for this base URL, by the rules of the matcher, which takes what it
/// cannot read for nothing.
fn named_by(base: &BaseUrl, variable: impl Fn(&'static str) -> Option<String>) -> Option<Named> {
    // A CGI server puts its client's `Proxy` header into `HTTP_PROXY`.
    if variable("REQUEST_METHOD").is_some() {
        return None;
    }
    let names = if base.is_https() {
        ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    };
    let except = variable("NO_PROXY").or_else(|| variable("no_proxy")).unwrap_or_default();
    let set = |name| variable(name).map(|url| (name, url.trim().to_owned())).filter(|(_, url)| !url.is_empty());
    let (by, url) = names.into_iter().find_map(set)?;
    Some(Named { by, url, except })
}

impl Proxy {
    fn new(intercept: &Intercept) -> Option<(Self, Vec<String>)> {
        let mut secrets = Vec::new();
        let (kind, port) = match intercept.uri().scheme_str() {
            Some("http") => {
                let auth = intercept.basic_auth().cloned();
                if let Some(token) = auth.as_ref().and_then(|auth| auth.to_str().ok()) {
                    secrets.extend(of_basic_auth(token));
                }
                (Kind::Http { auth }, 80)
            }
            Some("socks5" | "socks5h") => {
                let auth = intercept.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()));
                secrets.extend(auth.iter().map(|(_, password)| password.clone()));
                (Kind::Socks5 { auth }, 1080)
            }
            _ => return None,
        };
        secrets.retain(|secret| !secret.is_empty());
        Some((Self { uri: with_port(intercept.uri(), port)?, kind }, secrets))
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

/// A proxy's address with its port written out: the connector knows only the port of `http`.
fn with_port(proxy: &Uri, usual: u16) -> Option<Uri> {
    let host = proxy.host().filter(|host| !host.is_empty())?;
    format!("http://{host}:{}/", proxy.port_u16().unwrap_or(usual)).parse().ok()
}

fn unusable(named_by: &'static str) -> ConfigError {
    // Its value may hold a password.
    ConfigError::new(named_by, "", "cannot be used as a proxy; give http://host:port or socks5://host:port")
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

    fn from_env(variables: &[(&'static str, &str)], base: &str) -> String {
        let base = BaseUrl::parse(base).unwrap();
        let named = named_by(&base, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        named.map_or_else(|| "none".to_owned(), |named| format!("{} {} except {}", named.by, named.url, named.except))
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme_and_blank_counts_as_unset() {
        let (http, https, all) = (("HTTP_PROXY", "http://h"), ("HTTPS_PROXY", "http://s"), ("ALL_PROXY", "http://a"));
        for (variables, base, expected) in [
            (&[][..], "https://x.example", "none"),
            (&[http, https, all], "https://x.example", "HTTPS_PROXY http://s except "),
            (&[http, https, all], "http://x.example", "HTTP_PROXY http://h except "),
            (&[http], "https://x.example", "none"),
            (&[http, all], "https://x.example", "ALL_PROXY http://a except "),
            (&[("https_proxy", " http://l "), all], "https://x.example", "https_proxy http://l except "),
            (&[("HTTPS_PROXY", " "), ("all_proxy", "http://l")], "https://x.example", "all_proxy http://l except "),
            (&[https, ("no_proxy", "y.example")], "https://x.example", "HTTPS_PROXY http://s except y.example"),
            (&[https, http, all, ("REQUEST_METHOD", "GET")], "http://x.example", "none"),
        ] {
            assert_eq!(from_env(variables, base), expected, "{variables:?} {base}");
        }
    }

    #[test]
    fn what_no_proxy_lists_is_reached_directly_even_past_a_proxy_that_cannot_be_used() {
        for (except, base, direct) in [
            ("x.example", "https://x.example", true),
            (".example", "https://x.example", true),
            ("y.example, 10.0.0.0/8", "https://10.1.2.3", true),
            ("2001:db8::/32", "https://[2001:db8::1]:9", true),
            ("*", "https://x.example", true),
            ("y.example", "https://x.example", false),
        ] {
            let base = BaseUrl::parse(base).unwrap();
            let named = |url: &str| Named { by: "HTTPS_PROXY", url: url.to_owned(), except: except.to_owned() };
            assert_eq!(named("http://p.example").resolve(&base).unwrap().0.is_none(), direct, "{except}");
            let unusable = named("gopher://me:hunter2@p.example").resolve(&base).map(|(proxy, _)| proxy.is_none());
            match unusable {
                Ok(none) => assert!(none && direct, "{except}"),
                Err(error) => assert!(!direct && error.field() == "HTTPS_PROXY", "{except}: {error}"),
            }
        }
    }

    #[test]
    fn a_proxy_without_a_port_has_that_of_its_kind() {
        for (proxy, expected) in [
            ("http://p.example", "http://p.example:80/"),
            ("p.example:3128", "http://p.example:3128/"),
            ("http://me@p.example:8080/path", "http://p.example:8080/"),
            ("socks5://p.example", "http://p.example:1080/"),
            ("socks5h://me:word@[2001:db8::1]", "http://[2001:db8::1]:1080/"),
        ] {
            let (found, _) = resolve(proxy, "https://cloud.example").unwrap();
            assert_eq!(found.unwrap().uri.to_string(), expected, "{proxy}");
        }
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
