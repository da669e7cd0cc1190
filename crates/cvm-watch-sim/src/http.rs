//! A request as an HTTP/1.1 message (RFC 9112): its head, the forms of its target, its limits.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::json;

use crate::script::Attempt;

/// The most bytes of a request head.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// The most header lines of a request.
const MAX_HEADERS: usize = 128;

/// The most bytes that a client may send after the head. They are read and dropped.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// A request's head, as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) is_http10: bool,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// An answer that refuses a request, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) answer: Attempt,
}

impl Refusal {
    /// A refusal whose body is `{"detail": reason}`.
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Refusal {
        let reason = reason.into();
        let answer = Attempt::json(status, json!({ "detail": reason }));
        Refusal { status, reason, answer }
    }
}

/// Reads a head from all the bytes so far; `None` when they are not yet a whole one.
pub(crate) fn parse(bytes: &[u8]) -> Option<Result<RequestHead, Refusal>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => Ok(RequestHead {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            is_http10: request.version == Some(0),
            headers: request.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect(),
        }),
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return None,
        Ok(httparse::Status::Partial) => Err(Refusal::new(431, format!("the request head is over {MAX_HEAD} bytes"))),
        Err(httparse::Error::TooManyHeaders) => {
            Err(Refusal::new(431, format!("the request has more than {MAX_HEADERS} header lines")))
        }
        Err(error) => Err(Refusal::new(400, format!("bad request: {error}"))),
    };
    Some(head)
}

impl RequestHead {
    /// The value of each line of this header, in any case.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }

    /// The first value of this header as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.values(name).next().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Refuses a body that is too long, or whose length is not stated.
    pub(crate) fn check_body(&self) -> Result<(), Refusal> {
        let mut lengths = self.values("content-length");
        let length = lengths.next();
        if self.values("transfer-encoding").next().is_some() {
            return Err(match length {
                Some(_) => Refusal::new(400, "bad request: both Content-Length and Transfer-Encoding"),
                None => Refusal::new(411, "a request body needs a Content-Length"),
            });
        }
        let Some(length) = length else { return Ok(()) };
        let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        if !is_number || lengths.any(|other| other != length) {
            return Err(Refusal::new(400, "bad request: the Content-Length is not one number"));
        }
        let number = str::from_utf8(length).ok().and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX);
        if number > MAX_BODY {
            return Err(Refusal::new(413, format!("the request body is over {MAX_BODY} bytes")));
        }
        Ok(())
    }

    /// Refuses a request for another host: a web page could have the browser send one here (DNS rebinding).
    ///
    /// Addresses and `localhost` are always ours, since a name server has no say in them.
    pub(crate) fn check_host(&self, allowed: &[String]) -> Result<(), Refusal> {
        let mut hosts = self.values("host");
        let named = hosts.next();
        if hosts.next().is_some() {
            return Err(Refusal::new(400, "bad request: more than one Host header"));
        }
        if named.is_none() && !self.is_http10 {
            return Err(Refusal::new(400, "bad request: no Host header"));
        }
        // An absolute-form target takes the place of the header.
        let authority = match (absolute_form(&self.target), named) {
            (Some((authority, _)), _) => authority.into(),
            (None, Some(named)) => String::from_utf8_lossy(named),
            (None, None) => return Ok(()),
        };
        if host(&authority).is_some_and(|host| is_local(host) || is_listed(host, allowed)) {
            return Ok(());
        }
        let shown: String = authority.chars().take(100).collect();
        Err(Refusal::new(
            421,
            format!("the host {shown:?} is not served here; use an address or localhost, or allow it"),
        ))
    }
}

/// Path and query of a request target in origin form or absolute form.
pub(crate) fn origin_form(target: &str) -> &str {
    absolute_form(target).map_or(target, |(_, origin)| origin)
}

/// The authority of an absolute-form target, and the rest.
fn absolute_form(target: &str) -> Option<(&str, &str)> {
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_http.then(|| rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = port.is_empty() || (port.len() > digits.len() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let is_bracketed = host.len() < authority.len() && authority.starts_with('[');
    (is_port && is_bracketed == host.contains(':')).then_some(host)
}

fn is_local(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_name = name == "localhost" || name.ends_with(".localhost");
    is_name || host.parse::<Ipv4Addr>().is_ok() || host.parse::<Ipv6Addr>().is_ok()
}

fn is_listed(host: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|known| known.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> RequestHead {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    fn refused(result: Result<impl std::fmt::Debug, Refusal>) -> u16 {
        result.unwrap_err().status
    }

    #[test]
    fn a_head_is_read_whole_or_not_at_all() {
        let text = b"GET /x HTTP/1.1\r\nA: 1\r\nb: \xff\r\n\r\n";
        for length in 0..text.len() {
            assert_eq!(parse(&text[..length]), None, "{length} bytes");
        }
        let head = parse(text).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str(), head.is_http10), ("GET", "/x", false));
        assert_eq!(head.headers, [("A".into(), b"1".to_vec()), ("b".into(), vec![0xff])]);
        assert!(parse(b"GET /x HTTP/1.0\r\n\r\n").unwrap().unwrap().is_http10);
    }

    #[test]
    fn a_bad_or_endless_head_is_refused() {
        let status = |bytes: &[u8]| refused(parse(bytes).unwrap());
        for bad in ["\x16\x03\x01\x02\0", "GET /\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\n a: b\r\n\r\n"]
        {
            assert_eq!(status(bad.as_bytes()), 400, "{bad:?}");
        }
        let endless = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'a'; MAX_HEAD]].concat();
        assert_eq!(status(&endless), 431);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
        assert_eq!(status(many.as_bytes()), 431);
    }

    #[test]
    fn a_body_has_one_length_within_the_limit() {
        let check = |headers: &str| head(&format!("POST / HTTP/1.1\r\n{headers}\r\n")).check_body();
        for good in ["", "Content-Length: 0\r\n", "content-length: 65536\r\ncontent-length: 65536\r\n"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, status) in [
            ("content-length: 65537\r\n", 413),
            ("content-length: 99999999999999999999999999\r\n", 413),
            ("content-length: -1\r\n", 400),
            ("content-length: \r\n", 400),
            ("content-length: 1\r\ncontent-length: 2\r\n", 400),
            ("content-length: 1\r\ntransfer-encoding: chunked\r\n", 400),
            ("transfer-encoding: chunked\r\n", 411),
        ] {
            assert_eq!(refused(check(bad)), status, "{bad}");
        }
    }

    #[test]
    fn addresses_localhost_and_allowed_names_are_served_and_no_other() {
        let check =
            |host: &str| head(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).check_host(&["sim.test".into()]);
        for own in [
            "127.0.0.1",
            "127.0.0.1:80",
            "10.1.2.3:",
            "[::1]",
            "[::1]:8080",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "a.localhost:9",
            "Sim.Test:9",
        ] {
            assert_eq!(check(own), Ok(()), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:80:80",
            "localhost:8o",
            "::1",
            "[localhost]",
            "[::1",
            "user@localhost",
            "x.sim.test",
        ] {
            assert_eq!(refused(check(foreign)), 421, "{foreign}");
        }
    }

    #[test]
    fn http_1_1_has_one_host_header_and_http_1_0_may_have_none() {
        let check = |text: &str| head(text).check_host(&[]);
        assert_eq!(check("GET / HTTP/1.0\r\n\r\n"), Ok(()));
        assert_eq!(refused(check("GET / HTTP/1.1\r\n\r\n")), 400);
        assert_eq!(refused(check("GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n")), 421);
        assert_eq!(refused(check("GET / HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n")), 400);
    }

    #[test]
    fn the_authority_of_an_absolute_target_counts_rather_than_the_header() {
        let check =
            |target: &str, host: &str| head(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).check_host(&[]);
        assert_eq!(check("http://127.0.0.1:1/x", "evil.example"), Ok(()));
        assert_eq!(refused(check("http://evil.example/x", "localhost")), 421);
        assert_eq!(refused(check("HTTP://user@localhost/x", "localhost")), 421);
        assert_eq!(origin_form("http://127.0.0.1:1/x?y=z"), "/x?y=z");
        assert_eq!(origin_form("HTTPS://a?y"), "?y");
        assert_eq!(origin_form("/x?u=http://a/b"), "/x?u=http://a/b");
    }
}
