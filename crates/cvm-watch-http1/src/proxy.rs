//! Selects the proxy for a destination.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cvm_watch_driver::cvm_watch_core::{CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, ProxyChoice, TransportError};
use percent_encoding::percent_decode_str;

use crate::{fault, no_proxy};

/// The environment variables of proxies.
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

/// Selects the proxy for each destination.
pub(crate) struct Proxies {
    choice: ProxyChoice,
    variables: Vec<(&'static str, OsString)>,
}

/// A proxy to connect through.
pub(crate) struct Proxy {
    /// The option or the environment variable that named it.
    named_by: &'static str,
    /// Its host and port.
    address: BaseUrl,
    pub(crate) protocol: Protocol,
    pub(crate) login: Option<Login>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `CONNECT`, also for plain http, so that the proxy neither rewrites the request nor buffers events.
    Http,
    /// SOCKS 5, with the name looked up by the proxy.
    Socks5,
}

/// The credentials for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Proxies {
    /// Reads the environment if the choice refers to it.
    pub(crate) fn new(choice: ProxyChoice) -> Self {
        let variables = match &choice {
            ProxyChoice::Environment => VARIABLES.iter().filter_map(|name| Some((*name, env::var_os(name)?))).collect(),
            _ => Vec::new(),
        };
        Self { choice, variables }
    }

    /// The proxy for this destination; `None` if it is reached directly.
    ///
    /// # Errors
    ///
    /// Fails if a proxy is named but cannot be used. Bypassing it silently could violate the policy of the network.
    pub(crate) fn for_destination(&self, destination: &BaseUrl) -> Result<Option<Proxy>, ConfigError> {
        if destination.is_loopback() {
            return Ok(None);
        }
        let proxy = match &self.choice {
            ProxyChoice::Url(url) => Proxy::parse("proxy", url)?,
            ProxyChoice::Environment => match self.named_for(destination) {
                Some((name, value)) => match value.to_str() {
                    Some(url) => Proxy::parse(name, url)?,
                    None => return Err(ConfigError::new(name, "", "is not valid UTF-8; set it again")),
                },
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        if proxy.protocol == Protocol::Socks5 && destination.host().len() > 255 {
            let problem = "has a host of over 255 bytes, which SOCKS 5 cannot carry; use an HTTP proxy";
            return Err(ConfigError::new("base url", &destination.to_string(), problem));
        }
        Ok(Some(proxy))
    }

    /// Returns the variable that names the proxy for this destination, and its value.
    fn named_for(&self, destination: &BaseUrl) -> Option<(&'static str, &OsString)> {
        let names = if destination.is_https() {
            ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        } else {
            ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        };
        let named = names.into_iter().filter(|name| !self.may_be_forged(name)).find_map(|name| self.variable(name))?;
        let list = self.variable("NO_PROXY").or_else(|| self.variable("no_proxy"));
        let except = list.is_some_and(|(_, list)| no_proxy::matches(&list.to_string_lossy(), destination));
        (!except).then_some(named)
    }

    /// A CGI server puts the `Proxy` header of its client into `HTTP_PROXY`. Names of variables are case-insensitive
    /// on Windows.
    fn may_be_forged(&self, name: &str) -> bool {
        let forgeable = name == "HTTP_PROXY" || (cfg!(windows) && name == "http_proxy");
        forgeable && self.variable("REQUEST_METHOD").is_some()
    }

    /// A variable and its value, unless that is blank.
    fn variable(&self, name: &str) -> Option<(&'static str, &OsString)> {
        let (name, value) = self.variables.iter().find(|(known, _)| *known == name)?;
        (!value.to_string_lossy().trim().is_empty()).then_some((*name, value))
    }
}

impl Proxy {
    fn parse(named_by: &'static str, given: &str) -> Result<Self, ConfigError> {
        let given = given.trim();
        let refused = |problem: &str| {
            let problem = format!("{problem}; give http://host:port or socks5://host:port");
            ConfigError::new(named_by, &without_login(given), problem)
        };
        if given.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err(refused("has a blank or a control character in it"));
        }
        let (scheme, rest) = given.split_once("://").unwrap_or(("http", given));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains('@') {
            return Err(refused("has a /, ? or # in its user name or password; write %2F, %3F or %23"));
        }
        if authority.contains('\\') {
            return Err(refused("has a backslash in it; write DOMAIN\\user as DOMAIN%5Cuser"));
        }
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "http" => Protocol::Http,
            "socks5" | "socks5h" => Protocol::Socks5,
            "https" => return Err(refused("is a proxy over https, which is not supported")),
            _ => return Err(refused("has a scheme that is not supported")),
        };
        // A host cannot contain an @, so the last @ ends the password.
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        let address = address(host, if protocol == Protocol::Http { 80 } else { 1080 }).map_err(refused)?;
        let login = login.map(|login| Login::parse(login, protocol)).transpose().map_err(refused)?;
        Ok(Self { named_by, address, protocol, login })
    }

    pub(crate) fn address(&self) -> &BaseUrl {
        &self.address
    }

    /// Returns its secrets.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let secrets = self.login.iter().flat_map(|login| [login.token(), login.password.clone()]);
        secrets.filter(|secret| !secret.is_empty()).collect()
    }
}

/// Shows the proxy without its credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}", host_and_port(&self.address))?;
        if self.named_by == "proxy" { Ok(()) } else { write!(f, " ({})", self.named_by) }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Why a proxy opened no tunnel.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Whether other credentials might help.
    login: bool,
    /// The proxy and the error.
    problem: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// Makes an error from what the proxy did, such as `refused the tunnel`.
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { login: false, problem: problem.into(), source: None }
    }

    /// As [`Self::new`], if other credentials might help.
    pub(crate) fn login(problem: impl Into<String>) -> Self {
        Self { login: true, ..Self::new(problem) }
    }

    /// As [`Self::new`], with the error of the connection.
    pub(crate) fn because(problem: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::new(problem) }
    }

    /// Returns the transport's error, which names the proxy.
    pub(crate) fn of(mut self, proxy: &Proxy, place: &str) -> TransportError {
        let cause = if self.login { CloseCause::ProxyAuthentication } else { CloseCause::Proxy };
        self.problem = format!("{proxy} {}", self.problem);
        fault::at(cause, place, self)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl Login {
    fn parse(given: &str, protocol: Protocol) -> Result<Self, &'static str> {
        let (user, password) = given.split_once(':').unwrap_or((given, ""));
        let decoded = |text| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| "has a user name or password that is not UTF-8")
        };
        let login = Self { user: decoded(user)?, password: decoded(password)? };
        match protocol {
            Protocol::Http if login.user.contains(':') => Err("has a user name with a colon, which cannot be sent"),
            Protocol::Socks5 if login.user.len() > 255 || login.password.len() > 255 => {
                Err("has a user name or password of over 255 bytes, which SOCKS 5 cannot carry")
            }
            _ => Ok(login),
        }
    }

    /// Returns user name and password as `Basic` sends them.
    pub(crate) fn token(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.user, self.password))
    }
}

/// Returns the host and port of a proxy.
fn address(given: &str, default_port: u16) -> Result<BaseUrl, &'static str> {
    let (host, port) = match given.rsplit_once(':') {
        Some((host, port)) if !given.ends_with(']') => (host, port),
        _ => (given, ""),
    };
    if host.contains(':') && !host.starts_with('[') {
        return Err("has an IPv6 address without brackets or several ports");
    }
    if host.is_empty() {
        return Err("has no host");
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("has a port that is not a number");
    }
    let port = match port {
        "" => default_port,
        digits => digits.parse().ok().filter(|port| *port > 0).ok_or("has a port that is not in 1 to 65535")?,
    };
    BaseUrl::parse(&format!("http://{host}:{port}")).map_err(|_| "has a host that is not valid")
}

/// Returns scheme, host and port of the given text, if no part of them may be a password.
fn without_login(given: &str) -> String {
    let (scheme, rest) = given.split_once("://").map_or(("", given), |(scheme, rest)| (scheme, rest));
    let known = ["http", "https", "socks4", "socks4a", "socks5", "socks5h", "ftp"];
    let scheme = known.iter().find(|known| known.eq_ignore_ascii_case(scheme)).map(|known| format!("{known}://"));
    let (login, host) = match rest.rsplit_once('@') {
        Some((_, host)) => ("***@", host),
        None => ("", rest),
    };
    let host = host.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // Text after a colon that is not a port may be a password.
    let host = match host.rsplit_once(':') {
        Some((host, port)) if !port.bytes().all(|byte| byte.is_ascii_digit() || byte == b']') => format!("{host}:***"),
        _ => host.to_owned(),
    };
    format!("{}{login}{host}", scheme.unwrap_or_default())
}

/// Returns the host and the port, for errors and for proxies.
pub(crate) fn host_and_port(of: &BaseUrl) -> String {
    let (host, port) = (of.host(), of.port());
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(proxy: &str, base: &str) -> Result<Option<Proxy>, ConfigError> {
        Proxies::new(ProxyChoice::Url(proxy.to_owned())).for_destination(&BaseUrl::parse(base).unwrap())
    }

    fn from_env(variables: &[(&'static str, &str)], base: &str) -> Result<Option<Proxy>, ConfigError> {
        let variables = variables.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
        let proxies = Proxies { choice: ProxyChoice::Environment, variables };
        proxies.for_destination(&BaseUrl::parse(base).unwrap())
    }

    #[test]
    fn a_base_url_on_this_machine_is_reached_without_a_proxy() {
        for base in ["http://127.0.0.1:1", "https://localhost", "http://[::1]:2"] {
            assert!(given("http://proxy.example:3128", base).unwrap().is_none(), "{base}");
        }
        assert!(given("http://proxy.example:3128", "https://cloud.example").unwrap().is_some());
    }

    #[test]
    fn the_environment_names_a_proxy_for_each_scheme_and_blank_counts_as_unset() {
        let (http, https, all) = (("HTTP_PROXY", "http://h"), ("HTTPS_PROXY", "http://s"), ("ALL_PROXY", "http://a"));
        let cgi = ("REQUEST_METHOD", "GET");
        for (variables, base, expected) in [
            (&[][..], "https://x.example", "none"),
            (&[http, https, all], "https://x.example", "the proxy s:80 (HTTPS_PROXY)"),
            (&[http, https, all], "http://x.example", "the proxy h:80 (HTTP_PROXY)"),
            (&[http], "https://x.example", "none"),
            (&[http, all], "https://x.example", "the proxy a:80 (ALL_PROXY)"),
            (&[("https_proxy", " http://l:81 "), all], "https://x.example", "the proxy l:81 (https_proxy)"),
            (&[("HTTPS_PROXY", " "), ("all_proxy", "l")], "https://x.example", "the proxy l:80 (all_proxy)"),
            (&[https, ("no_proxy", "y.example")], "https://x.example", "the proxy s:80 (HTTPS_PROXY)"),
            (&[https, ("no_proxy", "x.example")], "https://x.example", "none"),
            (&[https, ("NO_PROXY", " "), ("no_proxy", "x.example")], "https://x.example", "none"),
            (
                &[https, ("NO_PROXY", "y.example"), ("no_proxy", "x.example")],
                "https://x.example",
                "the proxy s:80 (HTTPS_PROXY)",
            ),
            // Only HTTP_PROXY can be set by a client of a CGI server.
            (&[http, cgi], "http://x.example", "none"),
            (&[http, all, cgi], "http://x.example", "the proxy a:80 (ALL_PROXY)"),
            (&[https, cgi], "https://x.example", "the proxy s:80 (HTTPS_PROXY)"),
        ] {
            let found = from_env(variables, base).unwrap();
            assert_eq!(
                found.map_or_else(|| "none".to_owned(), |proxy| proxy.to_string()),
                expected,
                "{variables:?} {base}"
            );
        }
    }

    #[test]
    fn no_proxy_bypasses_even_a_proxy_that_cannot_be_used() {
        let unusable = ("HTTPS_PROXY", "gopher://me:hunter2@p.example");
        assert!(from_env(&[unusable, ("NO_PROXY", "x.example")], "https://x.example").unwrap().is_none());
        let error = from_env(&[unusable, ("NO_PROXY", "y.example")], "https://x.example").unwrap_err();
        assert_eq!(error.field(), "HTTPS_PROXY");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf_8_is_an_error_only_if_it_names_the_proxy() {
        use std::os::unix::ffi::OsStringExt;
        let invalid = || OsString::from_vec(b"http://127.0.0.1:1\xff".to_vec());
        let resolve = |variables: &[(&'static str, OsString)], base: &str| {
            let proxies = Proxies { choice: ProxyChoice::Environment, variables: variables.to_vec() };
            proxies.for_destination(&BaseUrl::parse(base).unwrap())
        };
        for name in ["HTTPS_PROXY", "all_proxy"] {
            let error = resolve(&[(name, invalid())], "https://x.example").unwrap_err();
            assert_eq!(error.to_string(), format!("{name} is not valid UTF-8; set it again"));
        }
        assert!(resolve(&[("HTTP_PROXY", invalid())], "https://x.example").unwrap().is_none());
        let listed = [("HTTPS_PROXY", OsString::from("p")), ("NO_PROXY", invalid())];
        assert!(resolve(&listed, "https://x.example").unwrap().is_some());
    }

    #[test]
    fn host_port_and_login_are_read_whole() {
        for (proxy, expected) in [
            ("http://p.example", "Http p.example 80"),
            ("p.example:3128", "Http p.example 3128"),
            ("HTTP://p.example:/", "Http p.example 80"),
            ("http://me@p.example:8080/path", "Http p.example 8080 me|"),
            ("socks5://p.example", "Socks5 p.example 1080"),
            ("socks5h://me:word@[2001:db8::1]", "Socks5 2001:db8::1 1080 me|word"),
            ("http://[2001:db8::1]:81", "Http 2001:db8::1 81"),
            ("http://me:p@ss@p.example:1", "Http p.example 1 me|p@ss"),
            ("me:a@b@c@p.example:1", "Http p.example 1 me|a@b@c"),
            ("http://me:p%40ss%2f@p.example", "Http p.example 80 me|p@ss/"),
            ("http://me:a:b@p.example", "Http p.example 80 me|a:b"),
            ("http://me:100%@p.example", "Http p.example 80 me|100%"),
            ("http://DOMAIN%5Cme:word@p.example", "Http p.example 80 DOMAIN\\me|word"),
            ("http://:word@p.example", "Http p.example 80 |word"),
        ] {
            let proxy = given(proxy, "https://cloud.example").unwrap().unwrap();
            let mut found = format!("{:?} {} {}", proxy.protocol, proxy.address.host(), proxy.address.port());
            if let Some(login) = &proxy.login {
                found += &format!(" {}|{}", login.user, login.password);
            }
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_password_and_its_token_are_secrets_and_shown_nowhere() {
        let proxy = given("http://me:hunter2@proxy.example:3128", "https://cloud.example").unwrap().unwrap();
        assert_eq!(proxy.secrets(), ["bWU6aHVudGVyMg==", "hunter2"]);
        assert_eq!(format!("{proxy} {proxy:?}"), "the proxy proxy.example:3128 Proxy(the proxy proxy.example:3128)");
        assert_eq!(given("http://proxy.example", "https://cloud.example").unwrap().unwrap().secrets(), [""; 0]);
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        let long = format!("socks5://me:hunter2{}@p.example", "x".repeat(250));
        for (proxy, shown, problem) in [
            ("", "", "has no host"),
            ("http://", "http://", "has no host"),
            ("http://me:hunter2@", "http://***@", "has no host"),
            ("https://me:hunter2@p.example", "https://***@p.example", "is a proxy over https"),
            ("socks4://me:hunter2@p.example:1", "socks4://***@p.example:1", "has a scheme that is not supported"),
            ("hunter2://p.example", "p.example", "has a scheme that is not supported"),
            ("http://me:hunter2@p.example:99999", "http://***@p.example:99999", "is not in 1 to 65535"),
            ("socks5://p.example:70000", "socks5://p.example:70000", "is not in 1 to 65535"),
            ("http://p.example:0", "http://p.example:0", "is not in 1 to 65535"),
            ("http://p.example:http", "http://p.example:***", "is not a number"),
            ("http://me:hunter2", "http://me:***", "is not a number"),
            ("http://2001:db8::1", "http://2001:db8::1", "IPv6 address without brackets"),
            ("http://p.example:1:2", "http://p.example:1:2", "several ports"),
            ("http://[2001:db8::1", "http://[2001:db8::1", "is not valid"),
            ("http://me:hun/ter2@p.example", "http://***@p.example", "write %2F"),
            ("http://me:hun#ter2@p.example", "http://***@p.example", "write %2F"),
            ("http://DOMAIN\\me:hunter2@p.example", "http://***@p.example", "DOMAIN%5Cuser"),
            ("http://me:hunter2 @p.example", "http://***@p.example", "has a blank"),
            ("http://me%3a:hunter2@p.example", "http://***@p.example", "with a colon"),
            ("http://me:hunter2%ff@p.example", "http://***@p.example", "not UTF-8"),
            (&long, "socks5://***@p.example", "over 255 bytes"),
            ("http://p<x>.example", "http://p<x>.example", "is not valid"),
        ] {
            let error = given(proxy, "https://cloud.example").unwrap_err();
            assert_eq!(error.field(), "proxy");
            let error = error.to_string();
            let start = if shown.is_empty() { "proxy has".to_owned() } else { format!("proxy \"{shown}\" ") };
            assert!(error.starts_with(&start) && error.contains(problem), "{proxy}: {error}");
            assert!(!error.contains("unter2") && !error.contains("ter2@"), "{proxy}: {error}");
        }
        let host = format!("https://{}.example", "a.".repeat(130));
        assert_eq!(given("socks5://p.example", &host).unwrap_err().field(), "base url");
    }
}
