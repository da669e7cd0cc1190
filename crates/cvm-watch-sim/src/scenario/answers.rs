//! HTTP answers that are not an event stream.

use serde_json::json;

use super::{Scenario, StateRequest, always, done, stream};
use crate::head::{Framing, Head};
use crate::script::Attempt;

pub(super) static SCENARIOS: &[Scenario] = &[
    always(
        "http-",
        "the status that follows, as in http-404-x, with a body as the endpoint sends it; 200 to 599",
        http,
    ),
    always("http-409-coded-", "409 with an error_code", |_| conflict_coded()),
    always("http-503-http-date-", "503 whose Retry-After is an HTTP-date, 2 s after its Date", |_| {
        Attempt::json(503, json!({ "message": "back in a moment", "code": "unavailable" }))
            .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("retry-after", "Sun, 06 Nov 1994 08:49:39 GMT")
    }),
    always("redirect-", "307 to another host", |_| redirect_by(307)),
    always("html-", "200 with a web page", |_| {
        Attempt::respond(200, "text/html; charset=utf-8", "<html><body>Please log in</body></html>")
    }),
    stream("no-type-", "an event stream without a Content-Type, then complete", |request| {
        done(Attempt::new().head_exactly(Head::new(200)), request)
    }),
    stream("gzip-", "an event stream with Content-Encoding gzip", |_| {
        Attempt::new().head(200, &[("content-encoding", "gzip")]).bytes(EMPTY_GZIP)
    }),
    always("late-body-", "403 whose body never ends", |_| forbidden().stall()),
    always("cut-body-", "403 whose body is cut off", |_| forbidden().truncate()),
];

/// A gzip member of no bytes: decoded it is empty, and taken as text it holds no event.
const EMPTY_GZIP: [u8; 20] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const REQUEST_ID: &str = "req-sim-0001";

fn http(request: &StateRequest) -> Attempt {
    let number = request.id.strip_prefix("http-").unwrap_or_default();
    let number = number.split('-').next().unwrap_or_default();
    let status = number.parse().ok().filter(|status| (200..=599).contains(status)).unwrap_or(500);
    answer(status).header("x-request-id", REQUEST_ID)
}

/// Each status with one of the endpoint's body shapes.
fn answer(status: u16) -> Attempt {
    match status {
        204 | 304 => Attempt::new().head(status, &[]).close(),
        301 | 302 | 303 | 307 | 308 => redirect_by(status),
        400 => Attempt::json(400, json!({ "message": "the request cannot be understood", "code": "bad_request" })),
        401 => Attempt::json(401, json!({ "detail": "Invalid or missing API key" })),
        403 => {
            let detail = json!({ "message": "this CVM belongs to another team", "code": "forbidden" });
            Attempt::json(403, json!({ "detail": detail }))
        }
        404 => {
            let body = json!({
                "error_code": "ERR-03-001",
                "message": "CVM not found",
                "request_id": REQUEST_ID,
                "details": [{ "field": "cvm_id", "message": "no such CVM" }],
                "suggestions": ["Check the id", "List your CVMs"],
                "links": [{ "label": "Docs", "url": "https://docs.phala.com" }],
            });
            Attempt::json(404, body)
        }
        409 => Attempt::json(409, json!({ "message": "another operation is under way", "code": "conflict" })),
        422 => {
            let problem = json!({ "loc": ["query", "target"], "msg": "unknown status" });
            Attempt::json(422, json!({ "detail": [problem] }))
        }
        429 => {
            let body = json!({ "message": "too many requests", "code": "rate_limited" });
            Attempt::json(429, body).header("retry-after", "1")
        }
        500 => Attempt::respond(500, "text/plain", "Internal Server Error"),
        501..=599 => {
            let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
            Attempt::respond(status, "text/html", page)
        }
        _ => Attempt::json(status, json!({ "detail": format!("status {status}") })),
    }
}

fn redirect_by(status: u16) -> Attempt {
    let moved = Attempt::respond(status, "text/plain", "moved");
    moved.header("location", "https://elsewhere.invalid/api/v1/cvms/x/state")
}

fn conflict_coded() -> Attempt {
    Attempt::json(409, json!({ "error_code": "ERR-02-009", "message": "the CVM is being deleted" }))
}

fn forbidden() -> Attempt {
    let head = Attempt::new().head(403, &[("content-type", "application/json")]);
    head.framing(Framing::ContentLength).bytes(r#"{"detail":"this CVM belongs to"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Step;

    #[track_caller]
    fn status(attempt: &Attempt) -> u16 {
        match attempt.steps().first() {
            Some(Step::Head(head)) => head.status,
            first => panic!("{first:?}"),
        }
    }

    #[test]
    fn the_id_names_the_status() {
        for (id, expected) in [
            ("http-401-a", 401),
            ("http-418", 418),
            ("http-503-x-1", 503),
            ("http-204-", 204),
            ("http-103-a", 500),
            ("http-600-a", 500),
            ("http-a", 500),
        ] {
            assert_eq!(status(&http(&StateRequest::new(id))), expected, "{id}");
        }
    }

    #[test]
    fn only_the_coded_conflict_has_an_error_code() {
        assert!(!format!("{:?}", answer(409)).contains("error_code"));
        assert!(format!("{:?}", conflict_coded()).contains("error_code"));
    }

    #[test]
    fn an_unfinished_body_promises_more_than_it_sends() {
        let attempt = forbidden().stall();
        let Some(Step::Body(body)) = attempt.steps().get(1) else { panic!("{attempt:?}") };
        assert_eq!(attempt.content_length(), body.len() + 1);
    }
}
