//! Reading a request: its head, its path, its query.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::scenario::Visit;
use crate::script::Attempt;

/// Where the interface begins, as in the real one's base URL.
pub(crate) const BASE_PATH: &str = "/api/v1";

/// The header that carries the key.
pub(crate) const KEY_HEADER: &str = "x-api-key";

/// Longest head read; beyond it the answer is 431.
const MAX_HEAD: usize = 64 * 1024;

const MAX_HEADERS: usize = 128;

/// A request's head, as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// How far the bytes so far make a head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Partial,
    Whole(Call),
    Bad(Attempt),
}

/// Reads a head from all the bytes so far.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => Parsed::Whole(Call {
            method: request.method.unwrap_or_default().to_owned(),
            uri: request.path.unwrap_or_default().to_owned(),
            headers: request.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect(),
        }),
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Parsed::Partial,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            Parsed::Bad(detail(431, "request head too large"))
        }
        Err(error) => Parsed::Bad(detail(400, &format!("bad request: {error}"))),
    }
}

/// The CVM that a call asks for: the `{id}` of `{base}/cvms/{id}/state`, decoded.
pub(crate) fn id(uri: &str) -> Option<String> {
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    let segment = path.strip_prefix(BASE_PATH)?.strip_prefix("/cvms/")?.strip_suffix("/state")?;
    let plain = !segment.is_empty() && !segment.contains('/');
    plain.then(|| percent_decode_str(segment).decode_utf8_lossy().into_owned())
}

/// The endpoint's reading of a call, or the answer that refuses it.
pub(crate) fn visit(call: &Call) -> Result<Visit, Attempt> {
    let Some(id) = id(&call.uri) else {
        return Err(detail(404, "Not Found"));
    };
    if call.method != "GET" {
        return Err(detail(405, "Method Not Allowed").header("allow", "GET"));
    }
    let mut visit = Visit::new(&id);
    visit.target = query_value(&call.uri, "target");
    if visit.target.as_deref().is_some_and(|target| target.trim().is_empty()) {
        return Err(invalid("target", "Input should not be blank"));
    }
    visit.interval = seconds(call, "interval", 5..=30)?.unwrap_or(visit.interval);
    visit.timeout = seconds(call, "timeout", 10..=600)?.unwrap_or(visit.timeout);
    visit.key = call.text(KEY_HEADER);
    visit.last_event_id = call.text("last-event-id");
    Ok(visit)
}

/// The last value of a query parameter, with `%XX` and `+` decoded.
pub(crate) fn query_value(uri: &str, name: &str) -> Option<String> {
    let (_, query) = uri.split_once('?')?;
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.rfind(|(known, _)| decode(known) == name);
    value.map(|(_, value)| decode(value))
}

/// The short error body: `{"detail": text}`.
pub(crate) fn detail(status: u16, text: &str) -> Attempt {
    Attempt::json(status, json!({ "detail": text }))
}

impl Call {
    fn text(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

fn seconds(call: &Call, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<Duration>, Attempt> {
    let Some(text) = query_value(&call.uri, name) else {
        return Ok(None);
    };
    let Ok(seconds) = text.parse::<u64>() else {
        return Err(invalid(name, "Input should be a valid integer"));
    };
    if seconds < *range.start() {
        let message = format!("Input should be greater than or equal to {}", range.start());
        return Err(invalid(name, &message));
    }
    if seconds > *range.end() {
        let message = format!("Input should be less than or equal to {}", range.end());
        return Err(invalid(name, &message));
    }
    Ok(Some(Duration::from_secs(seconds)))
}

fn invalid(name: &str, message: &str) -> Attempt {
    Attempt::json(422, json!({ "detail": [{ "loc": ["query", name], "msg": message }] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Step;

    fn call(method: &str, uri: &str) -> Call {
        Call { method: method.to_owned(), uri: uri.to_owned(), headers: Vec::new() }
    }

    #[track_caller]
    fn refused(method: &str, uri: &str) -> (u16, String) {
        let attempt = visit(&call(method, uri)).unwrap_err();
        let [Step::Head(head), Step::Body(body), Step::Close] = attempt.steps() else {
            panic!("{attempt:?}");
        };
        let body = body.pieces().flatten().copied().collect();
        (head.status, String::from_utf8(body).unwrap())
    }

    #[test]
    fn a_head_is_read_whole_or_not_at_all() {
        let head = b"GET /x HTTP/1.1\r\nA: 1\r\nb: \xff\r\n\r\n";
        for length in 0..head.len() {
            assert_eq!(parse(&head[..length]), Parsed::Partial, "{length} bytes");
        }
        let Parsed::Whole(call) = parse(head) else { panic!("not whole") };
        assert_eq!((call.method.as_str(), call.uri.as_str()), ("GET", "/x"));
        assert_eq!(call.headers, [("A".into(), b"1".to_vec()), ("b".into(), vec![0xff])]);
    }

    #[test]
    fn a_bad_or_endless_head_is_answered() {
        let status = |bytes: &[u8]| match parse(bytes) {
            Parsed::Bad(attempt) => match attempt.steps() {
                [Step::Head(head), ..] => head.status,
                steps => panic!("{steps:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert_eq!(status(b"\x16\x03\x01\x02\x00"), 400);
        let endless = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'a'; MAX_HEAD]].concat();
        assert_eq!(status(&endless), 431);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
        assert_eq!(status(many.as_bytes()), 431);
    }

    #[test]
    fn the_id_is_one_decoded_segment() {
        let id = |path: &str| id(path).unwrap_or_default();
        assert_eq!(id("/api/v1/cvms/a%2Fb%20%C3%A9/state?target=x"), "a/b é");
        assert_eq!(id("/api/v1/cvms/a+b/state"), "a+b");
        for other in ["/api/v1/cvms//state", "/api/v1/cvms/a/b/state", "/cvms/a/state", "/api/v1/cvms/a", "/"] {
            assert_eq!(id(other), "", "{other}");
        }
    }

    #[test]
    fn a_visit_takes_the_query_or_the_defaults() {
        let base = "/api/v1/cvms/a/state";
        let read = |query: &str| visit(&call("GET", &format!("{base}{query}"))).unwrap();
        let defaults = read("");
        assert_eq!(defaults.target, None);
        assert_eq!((defaults.interval.as_secs(), defaults.timeout.as_secs()), (5, 300));
        let asked = read("?target=my+target&interval=30&timeout=10");
        assert_eq!(asked.target.as_deref(), Some("my target"));
        assert_eq!((asked.interval.as_secs(), asked.timeout.as_secs()), (30, 10));
    }

    #[test]
    fn numbers_out_of_range_are_422_with_their_place() {
        let base = "/api/v1/cvms/a/state?target=running";
        for (query, place, message) in [
            ("interval=4", "interval", "Input should be greater than or equal to 5"),
            ("interval=31", "interval", "Input should be less than or equal to 30"),
            ("interval=5.5", "interval", "Input should be a valid integer"),
            ("timeout=9", "timeout", "Input should be greater than or equal to 10"),
            ("timeout=601", "timeout", "Input should be less than or equal to 600"),
            ("timeout=", "timeout", "Input should be a valid integer"),
            ("target=+", "target", "Input should not be blank"),
        ] {
            let body = format!(r#"{{"detail":[{{"loc":["query","{place}"],"msg":"{message}"}}]}}"#);
            assert_eq!(refused("GET", &format!("{base}&{query}")), (422, body));
        }
    }

    #[test]
    fn other_paths_are_404_and_other_methods_405() {
        assert_eq!(refused("GET", "/api/v1/cvms").0, 404);
        assert_eq!(refused("POST", "/api/v1/cvms/a/state?target=running").0, 405);
    }
}
