//! What a request asks of the endpoint: its path, its query, its credential.

use std::ops::RangeInclusive;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::http::{Refusal, RequestHead, origin_form};
use crate::scenario::StateRequest;
use crate::script::Attempt;

/// Where the interface begins, as in the real one's base URL.
pub(crate) const BASE_PATH: &str = "/api/v1";

/// Headers whose values no `Debug` shows.
pub(crate) const SECRET_HEADERS: [&str; 2] = ["x-api-key", "authorization"];

/// The CVM that a request asks for: the `{id}` of `{base}/cvms/{id}/state`, decoded.
pub(crate) fn id(target: &str) -> Option<String> {
    let origin = origin_form(target);
    let path = origin.split_once('?').map_or(origin, |(path, _)| path);
    let segment = path.strip_prefix(BASE_PATH)?.strip_prefix("/cvms/")?.strip_suffix("/state")?;
    let plain = !segment.is_empty() && !segment.contains('/');
    plain.then(|| percent_decode_str(segment).decode_utf8_lossy().into_owned())
}

/// The endpoint's reading of a request, or the answer that refuses it.
pub(crate) fn state_request(head: &RequestHead) -> Result<StateRequest, Refusal> {
    let Some(id) = id(&head.target) else {
        return Err(Refusal::new(404, "Not Found"));
    };
    if head.method != "GET" {
        let mut refusal = Refusal::new(405, "Method Not Allowed");
        refusal.answer = refusal.answer.header("allow", "GET");
        return Err(refusal);
    }
    let mut request = StateRequest::new(&id);
    request.target = query_value(&head.target, "target");
    if request.target.as_deref().is_some_and(|target| target.trim().is_empty()) {
        return Err(invalid("target", "Input should not be blank"));
    }
    request.interval = seconds(head, "interval", 5..=30)?.unwrap_or(request.interval);
    request.timeout = seconds(head, "timeout", 10..=600)?.unwrap_or(request.timeout);
    request.key = credential(head);
    request.last_event_id = head.text("last-event-id");
    Ok(request)
}

/// The last value of a query parameter, with `%XX` and `+` decoded.
pub(crate) fn query_value(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.rfind(|(known, _)| *known == name || decode(known) == name);
    value.map(|(_, value)| decode(value))
}

/// The API key, or else the bearer token.
fn credential(head: &RequestHead) -> Option<String> {
    head.text("x-api-key").or_else(|| {
        let header = head.text("authorization")?;
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    })
}

fn seconds(head: &RequestHead, name: &str, range: RangeInclusive<u64>) -> Result<Option<Duration>, Refusal> {
    let Some(text) = query_value(&head.target, name) else {
        return Ok(None);
    };
    let Ok(seconds) = text.parse::<u64>() else {
        return Err(invalid(name, "Input should be a valid integer"));
    };
    if seconds < *range.start() {
        return Err(invalid(name, &format!("Input should be greater than or equal to {}", range.start())));
    }
    if seconds > *range.end() {
        return Err(invalid(name, &format!("Input should be less than or equal to {}", range.end())));
    }
    Ok(Some(Duration::from_secs(seconds)))
}

fn invalid(name: &str, message: &str) -> Refusal {
    let answer = Attempt::json(422, json!({ "detail": [{ "loc": ["query", name], "msg": message }] }));
    Refusal { status: 422, reason: format!("{name}: {message}"), answer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Ending, Step};

    fn head(method: &str, target: &str) -> RequestHead {
        RequestHead { method: method.to_owned(), target: target.to_owned(), is_http10: false, headers: Vec::new() }
    }

    #[track_caller]
    fn refused(method: &str, target: &str) -> (u16, String) {
        let refusal = state_request(&head(method, target)).unwrap_err();
        let [Step::Head(head), Step::Body(body), Step::End(Ending::Close)] = refusal.answer.steps() else {
            panic!("{refusal:?}");
        };
        assert_eq!(head.status, refusal.status);
        let body = body.pieces().flatten().copied().collect();
        (head.status, String::from_utf8(body).unwrap())
    }

    #[test]
    fn the_id_is_one_decoded_segment() {
        let id = |path: &str| id(path).unwrap_or_default();
        assert_eq!(id("/api/v1/cvms/a%2Fb%20%C3%A9/state?target=x"), "a/b é");
        assert_eq!(id("/api/v1/cvms/a+b/state"), "a+b");
        assert_eq!(id("http://127.0.0.1:1/api/v1/cvms/a/state?target=x"), "a");
        for other in ["/api/v1/cvms//state", "/api/v1/cvms/a/b/state", "/cvms/a/state", "/api/v1/cvms/a", "/"] {
            assert_eq!(id(other), "", "{other}");
        }
    }

    #[test]
    fn the_query_gives_the_values_or_the_defaults_hold() {
        let base = "/api/v1/cvms/a/state";
        let read = |query: &str| state_request(&head("GET", &format!("{base}{query}"))).unwrap();
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

    #[test]
    fn the_credential_is_the_api_key_or_else_the_bearer_token() {
        let key = |headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
            let head = RequestHead { headers: headers.collect(), ..head("GET", "/api/v1/cvms/a/state") };
            state_request(&head).unwrap().key
        };
        assert_eq!(key(&[("Authorization", "bearer token"), ("X-Api-Key", "key")]).as_deref(), Some("key"));
        assert_eq!(key(&[("authorization", "Bearer token")]).as_deref(), Some("token"));
        assert_eq!(key(&[("authorization", "Basic dXNlcg==")]), None);
    }
}
