//! Carries what `http-types` cannot: header values outside ASCII, status codes without a name, and a missing content
//! type.

use cvm_watch_driver::Head;
use cvm_watch_driver::cvm_watch_core::AttemptId;
use surf::StatusCode;
use surf::http::headers::{CONTENT_TYPE, HeaderName, HeaderValue, Headers};

/// The part of a request that `http-types` cannot carry, as an extension of the request to the bridge.
#[derive(Clone)]
pub(crate) struct Beside {
    /// The headers whose values are outside ASCII.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) attempt: AttemptId,
}

/// The response head from the wire; the bridge passes it as an extension of the response.
pub(crate) struct Exact {
    head: Head,
    /// The named status that replaces the one of the head in `http-types`.
    replacement: StatusCode,
}

impl Exact {
    pub(crate) fn new(head: Head) -> Self {
        // A status without a name counts as the first of its class (RFC 9110, section 15).
        let class = match head.status {
            200..300 => StatusCode::Ok,
            300..400 => StatusCode::MultipleChoice,
            400..500 => StatusCode::BadRequest,
            _ => StatusCode::InternalServerError,
        };
        let replacement = StatusCode::try_from(head.status).unwrap_or(class);
        Self { head, replacement }
    }

    pub(crate) fn replacement(&self) -> StatusCode {
        self.replacement
    }

    /// The headers that `http-types` can carry.
    pub(crate) fn ascii(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.head.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.clone().into_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.clone()).ok()?))
        })
    }

    fn has_content_type(&self) -> bool {
        self.head.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()))
    }
}

/// Returns the head of a surf client's response: the one from the wire, with the changes of middleware.
pub(crate) fn head(status: StatusCode, headers: &Headers, exact: Option<&Exact>) -> Head {
    let mut all = Vec::new();
    for (name, values) in headers {
        // `http-types` sets a content type for every body without one.
        if *name == CONTENT_TYPE && exact.is_some_and(|exact| !exact.has_content_type()) {
            continue;
        }
        all.extend(values.iter().map(|value| (name.as_str().to_owned(), value.as_str().as_bytes().to_vec())));
    }
    let Some(exact) = exact else { return Head { status: status.into(), headers: all } };
    all.extend(exact.head.headers.iter().filter(|(_, value)| !value.is_ascii()).cloned());
    let status = if status == exact.replacement { exact.head.status } else { status.into() };
    Head { status, headers: all }
}

#[cfg(test)]
mod tests {
    use super::*;
    use surf::http::Response;

    fn through_surf(status: u16, headers: &[(&str, &[u8])]) -> Head {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let exact = Exact::new(Head { status, headers });
        let mut response = Response::new(exact.replacement());
        response.set_body("x");
        response.remove_header(CONTENT_TYPE);
        for (name, value) in exact.ascii() {
            response.append_header(name, value);
        }
        // As a middleware does that looks at the body.
        let body = response.take_body();
        response.set_body(body);
        head(response.status(), response.as_ref(), Some(&exact))
    }

    #[test]
    fn every_status_and_every_header_comes_through_as_it_was() {
        for status in 200..=999 {
            assert_eq!(through_surf(status, &[]), Head { status, headers: Vec::new() });
        }
        let headers: &[(&str, &[u8])] =
            &[("content-type", b"text/event-stream"), ("x-odd", &[b'a', 0xe4, 0xff]), ("x-two", b"1"), ("x-two", b"2")];
        let mut found = through_surf(200, headers).headers;
        found.sort();
        let expected: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_status_that_middleware_changed_counts() {
        let exact = Exact::new(Head { status: 520, headers: Vec::new() });
        let headers = Response::new(200);
        assert_eq!(head(StatusCode::NotFound, headers.as_ref(), Some(&exact)).status, 404);
        assert_eq!(head(StatusCode::Ok, headers.as_ref(), None).status, 200);
    }
}
