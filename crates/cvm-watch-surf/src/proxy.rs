//! Whether a proxy stands between, and how it is asked.

use std::env;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cvm_watch_driver::BaseUrl;
use cvm_watch_driver::core::ConfigError;
use hyper::Uri;
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

impl ProxyChoice {
    /// The proxies that this comes to; the environment is read now.
    pub(crate) fn proxies(self) -> Proxies {
        let variables = match &self {
            Self::Environment => VARIABLES.iter().filter_map(|name| Some((*name, env::var(name).ok()?))).collect(),
            Self::Given(_) | Self::Direct => Vec::new(),
        };
        Proxies { choice: self, variables }
    }
}

const VARIABLES: [&str; 9] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUEST_METHOD",
];

/// Decides, for each destination, which proxy to go through.
pub(crate) struct Proxies {
    choice: ProxyChoice,
    variables: Vec<(&'static str, String)>,
}

impl Proxies {
    /// The proxy for this destination, if there is one.
    pub(crate) fn to(&self, destination: &BaseUrl) -> Result<Option<Proxy>, ConfigError> {
        let named = match &self.choice {
            ProxyChoice::Environment => self.named_for(destination),
            ProxyChoice::Given(url) => Some(Named { by: "proxy", url, except: "" }),
            ProxyChoice::Direct => None,
        };
        match named {
            Some(named) if !destination.is_loopback() => named.resolve(destination),
            _ => Ok(None),
        }
    }

    /// What the environment names for this destination, by the rules of the matcher, which takes
    /// what it cannot read for nothing.
    fn named_for(&self, destination: &BaseUrl) -> Option<Named<'_>> {
        // A CGI server puts its client's `Proxy` header into `HTTP_PROXY`.
        if self.variable("REQUEST_METHOD").is_some() {
            return None;
        }
        let names = if destination.is_https() {
            ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        } else {
            ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        };
        let except = self.variable("NO_PROXY").or_else(|| self.variable("no_proxy")).unwrap_or_default();
        let set = |name| self.variable(name).map(|url| (name, url.trim())).filter(|(_, url)| !url.is_empty());
        let (by, url) = names.into_iter().find_map(set)?;
        Some(Named { by, url, except })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// A proxy that somebody named, before it is known to be of use.
struct Named<'a> {
    /// The option or the variable that named it.
    by: &'static str,
    url: &'a str,
    /// What is reached without it, as `NO_PROXY` lists it.
    except: &'a str,
}

impl Named<'_> {
    fn resolve(&self, destination: &BaseUrl) -> Result<Option<Proxy>, ConfigError> {
        let destination = uri(destination)?;
        let any = Matcher::builder().all("http://proxy.invalid").no(self.except).build();
        if any.intercept(&destination).is_none() {
            return Ok(None);
        }
        // A proxy that cannot be used is told: to go around it in silence may be what it is there
        // to prevent.
        let intercept = Matcher::builder().all(self.url).build().intercept(&destination);
        let proxy = intercept.and_then(|found| Proxy::new(&found)).ok_or_else(|| {
            // Its value may hold a password.
            ConfigError::new(self.by, "", "cannot be used as a proxy; give http://host:port or socks5://host:port")
        })?;
        Ok(Some(proxy))
    }
}

/// A proxy to go through.
pub(crate) struct Proxy {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// `CONNECT`, for plain http as well: the proxy neither rewrites the request nor holds events back.
    /// Has the value of `Proxy-Authorization`.
    Http { auth: Option<String> },
    /// SOCKS 5, with the name looked up by the proxy. Has the user name and the password.
    Socks5 { auth: Option<(String, String)> },
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.host)
    }
}

impl Proxy {
    fn new(intercept: &Intercept) -> Option<Self> {
        let uri = intercept.uri();
        let (kind, usual_port) = match uri.scheme_str() {
            Some("http") => {
                let auth = intercept.basic_auth().and_then(|auth| auth.to_str().ok()).map(str::to_owned);
                (Kind::Http { auth }, 80)
            }
            Some("socks5" | "socks5h") => {
                let auth = intercept.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()));
                (Kind::Socks5 { auth }, 1080)
            }
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return None;
        }
        Some(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(usual_port), kind })
    }

    /// What must never be shown of it.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = match &self.kind {
            Kind::Http { auth } => auth.as_deref().map(of_basic_auth).unwrap_or_default(),
            Kind::Socks5 { auth } => auth.iter().map(|(_, password)| password.clone()).collect(),
        };
        secrets.retain(|secret| !secret.is_empty());
        secrets
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

/// The origin with its port written out, for the matcher.
fn uri(destination: &BaseUrl) -> Result<Uri, ConfigError> {
    let scheme = if destination.is_https() { "https" } else { "http" };
    let host = destination.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{host}:{}/", destination.port()).parse().map_err(|error| {
        ConfigError::new("base url", &destination.to_string(), format!("cannot be used over HTTP: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(proxy: &str) -> ProxyChoice {
        ProxyChoice::Given(proxy.to_owned())
    }

    fn resolve(proxy: &str, base: &str) -> Result<Option<Proxy>, ConfigError> {
        given(proxy).proxies().to(&BaseUrl::parse(base).unwrap())
    }

    #[test]
    fn a_base_url_on_this_machine_goes_through_no_proxy() {
        for base in ["http://127.0.0.1:1", "https://localhost", "http://[::1]:2"] {
            assert!(resolve("http://proxy.example:3128", base).unwrap().is_none(), "{base}");
        }
        assert!(resolve("http://proxy.example:3128", "https://cloud.example").unwrap().is_some());
    }

    fn from_env(variables: &[(&'static str, &str)]) -> Proxies {
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Proxies { choice: ProxyChoice::Environment, variables }
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
            let proxies = from_env(variables);
            let named = proxies.named_for(&BaseUrl::parse(base).unwrap());
            let shown = named.map(|named| format!("{} {} except {}", named.by, named.url, named.except));
            assert_eq!(shown.as_deref().unwrap_or("none"), expected, "{variables:?} {base}");
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
            let to = |url| from_env(&[("HTTPS_PROXY", url), ("NO_PROXY", except)]).to(&base);
            assert_eq!(to("http://p.example").unwrap().is_none(), direct, "{except}");
            match to("gopher://me:hunter2@p.example") {
                Ok(proxy) => assert!(proxy.is_none() && direct, "{except}"),
                Err(error) => assert!(!direct && error.field() == "HTTPS_PROXY", "{except}: {error}"),
            }
        }
    }

    #[test]
    fn host_and_port_are_those_of_the_proxy() {
        for (proxy, expected) in [
            ("http://p.example:3128", ("p.example", 3128)),
            ("p.example:3128", ("p.example", 3128)),
            ("http://p.example", ("p.example", 80)),
            ("http://[::1]:8080", ("::1", 8080)),
            ("socks5://p.example", ("p.example", 1080)),
            ("socks5h://me:word@[2001:db8::1]", ("2001:db8::1", 1080)),
        ] {
            let found = resolve(proxy, "https://cloud.example").unwrap().unwrap();
            assert_eq!((found.host.as_str(), found.port), expected, "{proxy}");
        }
    }

    #[test]
    fn the_password_and_its_token_are_secrets_and_debug_shows_neither() {
        let proxy = resolve("http://me:hunter2@proxy.example:3128", "https://cloud.example").unwrap().unwrap();
        assert_eq!(proxy.secrets(), ["bWU6aHVudGVyMg==", "hunter2"]);
        let socks = resolve("socks5://me:hunter2@proxy.example:1080", "https://cloud.example").unwrap().unwrap();
        assert_eq!(socks.secrets(), ["hunter2"]);
        let shown = format!("{proxy:?} {socks:?} {:?}", given("http://me:hunter2@proxy.example"));
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
