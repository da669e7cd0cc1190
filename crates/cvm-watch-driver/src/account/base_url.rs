//! The base URL. It is parsed once, so that the checks, `Host`, the TLS name and the socket agree.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use cvm_watch_core::ConfigError;
use url::{Host, Url};

use super::hidden::looks_like_a_token;

/// The most bytes of a base URL: HTTP libraries refuse a URL of 64 KiB, and most servers a much shorter one.
const MAX_LENGTH: usize = 16 << 10;

/// The URL that the endpoint's paths are appended to; `https://cloud-api.phala.com/api/v1` by
/// default.
///
/// Parsing it fails unless it is an absolute `http` or `https` URL, and if it has user info, a
/// query, a fragment or a backslash, since programs disagree on what the host of such a URL is.
///
/// ```
/// use cvm_watch_driver::BaseUrl;
///
/// let base: BaseUrl = "http://[::1]:8080/api/v1/".parse()?;
/// assert_eq!((base.host(), base.port(), base.path()), ("::1", 8080, "/api/v1"));
/// assert_eq!(base.authority(), "[::1]:8080");
/// assert!(base.is_loopback() && !base.is_https());
///
/// assert!("cloud-api.phala.com".parse::<BaseUrl>().is_err());
/// assert!(BaseUrl::try_from("https://user:word@cloud-api.phala.com").is_err());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    https: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
    loopback: bool,
}

impl BaseUrl {
    /// Phala Cloud's own base URL (source: its public SDKs).
    pub const DEFAULT: &str = "https://cloud-api.phala.com/api/v1";

    /// Parses a base URL, as [`FromStr`] does.
    ///
    /// # Errors
    ///
    /// Fails for text that is not an absolute `http` or `https` URL, or that has user info, a query, a fragment, a
    /// backslash, a space, a control character or more than 16 KiB.
    pub fn parse(given: &str) -> Result<Self, ConfigError> {
        // The text may hold a password in its user info or a key in its query, so errors do not show it.
        let refused = |problem: &str| {
            let origin = given.split(['?', '#']).next().unwrap_or_default();
            let shown = if given.contains('@') || looks_like_a_token(origin) { "" } else { origin };
            ConfigError::new("base url", shown, problem.to_owned())
        };
        let example = format!("give a URL such as {}", Self::DEFAULT);
        if given.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
            return Err(refused(&format!("has a control character or a space; {example}")));
        }
        if given.contains('\\') {
            return Err(refused(&format!("has a backslash; {example}")));
        }
        let url =
            Url::parse(given).map_err(|error| refused(&format!("is not an absolute URL ({error}); {example}")))?;
        let length = url.as_str().len();
        if length > MAX_LENGTH {
            let problem = format!("has {length} bytes, which are at most {MAX_LENGTH} (16 KiB); {example}");
            return Err(ConfigError::new("base url", "", problem));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(&format!("must begin with https:// or http://; {example}")));
        }
        if !url.username().is_empty() || url.password().is_some() || given.contains('@') {
            return Err(refused("must not hold user info; the API key goes into PHALA_CLOUD_API_KEY"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused(&format!("must not have a query or a fragment; {example}")));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(refused(&format!("has no host; {example}")));
        };
        if port == 0 {
            return Err(refused("has port 0, on which no server can listen"));
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        Ok(Self {
            https: url.scheme() == "https",
            loopback: is_loopback(&host),
            host: match host {
                Host::Domain(name) => name.to_owned(),
                Host::Ipv4(address) => address.to_string(),
                Host::Ipv6(address) => address.to_string(),
            },
            port,
            authority,
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Returns the host for the name lookup and for TLS: a domain in ASCII form, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the value of `Host`: the host, in brackets if it is an IPv6 address, and the port unless it is the
    /// scheme's default.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the path without a trailing slash; empty if there is none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns whether the host is this machine: 127.0.0.0/8, `::1` or `localhost`. Such a host needs no key, may
    /// receive one over plain `http`, and is never reached through a proxy.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl FromStr for BaseUrl {
    type Err = ConfigError;

    fn from_str(given: &str) -> Result<Self, ConfigError> {
        Self::parse(given)
    }
}

impl TryFrom<&str> for BaseUrl {
    type Error = ConfigError;

    fn try_from(given: &str) -> Result<Self, ConfigError> {
        Self::parse(given)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
        Host::Ipv6(address) => *address == Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_comes_from_the_same_parse() {
        for (given, expected) in [
            ("https://cloud-api.phala.com/api/v1", "https cloud-api.phala.com 443 cloud-api.phala.com /api/v1"),
            ("HTTPS://Cloud-API.Phala.com/api/v1//", "https cloud-api.phala.com 443 cloud-api.phala.com /api/v1"),
            ("https://x.example:8443", "https x.example 8443 x.example:8443 "),
            ("http://127.0.0.1:80/", "http 127.0.0.1 80 127.0.0.1 "),
            ("http://0x7f.1/", "http 127.0.0.1 80 127.0.0.1 "),
            (
                "https://bücher.example/a b".trim_end_matches(" b"),
                "https xn--bcher-kva.example 443 xn--bcher-kva.example /a",
            ),
            ("https://x.example/a/../b", "https x.example 443 x.example /b"),
        ] {
            let base = given.parse::<BaseUrl>().unwrap();
            let scheme = if base.is_https() { "https" } else { "http" };
            let shown = format!("{scheme} {} {} {} {}", base.host(), base.port(), base.authority(), base.path());
            assert_eq!(shown, expected, "{given}");
        }
    }

    #[test]
    fn what_programs_could_read_in_two_ways_is_refused_by_name() {
        for (given, problem) in [
            ("", "not an absolute URL"),
            ("cloud-api.phala.com/api/v1", "not an absolute URL"),
            ("localhost:8080", "must begin with https://"),
            ("ftp://x.example", "must begin with https://"),
            ("file:///etc", "must begin with https://"),
            ("https://", "not an absolute URL"),
            ("https://x.example?key=hunter2", "query or a fragment"),
            ("https://x.example#a", "query or a fragment"),
            ("https://x.example\\@y.example", "backslash"),
            ("https://x.example\n", "control character"),
            ("https://x.example/ a", "space"),
            ("https://hunter2@x.example", "user info"),
            ("https://@x.example", "user info"),
            ("https://u:hunter2@x.example", "user info"),
            ("hunter2@x.example", "not an absolute URL"),
            ("https://x.example:99999", "not an absolute URL"),
            ("https://x.example:0", "port 0"),
            ("phak_hunter2", "not an absolute URL"),
            ("eyJhunter2.eyJhunter2.x", "not an absolute URL"),
            (&format!("https://x.example/{}", "a".repeat(16_384)), "has 16402 bytes, which are at most 16384 (16 KiB)"),
        ] {
            let error = given.parse::<BaseUrl>().unwrap_err().to_string();
            assert!(error.starts_with("base url") && error.contains(problem), "{given}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn loopback_is_what_the_contract_lists() {
        for (given, expected) in [
            ("http://localhost", true),
            ("http://LOCALHOST:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://2130706433", true),
            ("http://127.0.0.1.example", false),
            ("http://localhost.example", false),
            ("http://[::ffff:127.0.0.1]", false),
            ("http://0.0.0.0", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(given.parse::<BaseUrl>().unwrap().is_loopback(), expected, "{given}");
        }
    }
}
