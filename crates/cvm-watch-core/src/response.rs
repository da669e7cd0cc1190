//! Decides what a response means: a stream, a retry or a final failure. No other module knows status codes.

mod body;

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use body::ErrorBody;
pub use body::server_message;
pub(crate) use body::{MAX_BODY, MAX_ERROR_JSON, error_in_object};

use crate::error::{RejectCause, Rejection, RetryCause};
use crate::http_date;
use crate::redact::{Redactor, redacted_and_cut};
use crate::time::UnixSeconds;

/// The most characters of a header that an error carries.
const MAX_HEADER_TEXT: usize = 1024;

/// The head of a response: its status and the headers that matter to a watch.
///
/// Add every header; the others are ignored. Of a repeated header the last one counts, except for `Content-Type` and
/// `Content-Encoding`, of which the first one that has to be refused counts.
///
/// ```
/// use cvm_watch_core::ResponseHead;
///
/// let mut head = ResponseHead::new(200);
/// head.header("content-type", b"text/event-stream");
/// ```
#[derive(Clone, Debug)]
pub struct ResponseHead<'a> {
    status: u16,
    content_type: Option<&'a [u8]>,
    content_encoding: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    retry_after: Option<&'a [u8]>,
    date: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
    cf_ray: Option<&'a [u8]>,
}

impl<'a> ResponseHead<'a> {
    /// Makes a head with this status code and no headers.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            content_encoding: None,
            transfer_encoding: None,
            retry_after: None,
            date: None,
            location: None,
            request_id: None,
            cf_ray: None,
        }
    }

    /// Adds a header. The name is case-insensitive; the value may be any bytes.
    pub fn header(&mut self, name: &str, value: &'a [u8]) -> &mut Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("content-type") {
            if self.content_type.is_none_or(is_event_stream) {
                self.content_type = Some(value);
            }
        } else if is("content-encoding") {
            if self.content_encoding.is_none_or(is_identity) {
                self.content_encoding = Some(value);
            }
        } else if is("transfer-encoding") {
            if self.transfer_encoding.is_none_or(is_chunked) {
                self.transfer_encoding = Some(value);
            }
        } else if is("retry-after") {
            self.retry_after = Some(value);
        } else if is("date") {
            self.date = Some(value);
        } else if is("location") {
            self.location = Some(value);
        } else if is("x-request-id") {
            self.request_id = Some(value);
        } else if is("cf-ray") {
            self.cf_ray = Some(value);
        }
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the headers that matter. Adding them to an empty head gives the same head again.
    ///
    /// ```
    /// use cvm_watch_core::ResponseHead;
    ///
    /// let mut head = ResponseHead::new(503);
    /// head.header("Set-Cookie", b"a=b").header("Retry-After", b"7");
    /// assert!(head.headers().eq([("retry-after", &b"7"[..])]));
    /// ```
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &'a [u8])> + use<'a> {
        let headers = [
            ("content-type", self.content_type),
            ("content-encoding", self.content_encoding),
            ("transfer-encoding", self.transfer_encoding),
            ("retry-after", self.retry_after),
            ("date", self.date),
            ("location", self.location),
            ("x-request-id", self.request_id),
            ("cf-ray", self.cf_ray),
        ];
        headers.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

/// What a head means.
#[derive(Debug)]
pub(crate) enum HeadMeaning {
    /// An event stream: read it.
    Stream,
    /// The JSON of a state, to be read to its end.
    State,
    /// A final answer whose body is not read.
    Reject(Rejection),
    /// An error whose body is read first.
    ReadBody(ErrorHead),
}

/// The head of an error, kept while its body is read.
#[derive(Clone, Debug)]
pub(crate) struct ErrorHead {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    location: Option<String>,
    request_id: Option<String>,
    /// The encoding of the body, if it cannot be read because of it.
    encoding: Option<String>,
}

/// What an error answer means.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Retried, after this delay at the earliest.
    Retry { cause: RetryCause, retry_after: Option<Duration> },
    /// Final.
    Reject(Rejection),
}

/// Judges a response head; `immediate` says whether one state was asked for and not a stream.
pub(crate) fn judge(
    head: &ResponseHead<'_>,
    wall: Option<UnixSeconds>,
    immediate: bool,
    secrets: &Redactor,
) -> HeadMeaning {
    let text = |value: &[u8]| redacted_and_cut(secrets, &String::from_utf8_lossy(value), MAX_HEADER_TEXT);
    let encoded = head.content_encoding.filter(|encoding| !is_identity(encoding));
    let transferred = head.transfer_encoding.filter(|encoding| !is_chunked(encoding));
    let kept = ErrorHead {
        status: head.status,
        retry_after: head.retry_after.and_then(|value| retry_after(value, head.date, wall)),
        location: head.location.map(text),
        request_id: head.request_id.or(head.cf_ray).map(text),
        encoding: encoded.or(transferred).map(text),
    };
    if head.status != 200 {
        return HeadMeaning::ReadBody(kept);
    }
    if let Some(encoding) = encoded {
        let found = text(encoding);
        return HeadMeaning::Reject(kept.reject(RejectCause::ContentEncoding { found }));
    }
    if let Some(encoding) = transferred {
        let found = text(encoding);
        return HeadMeaning::Reject(kept.reject(RejectCause::TransferEncoding { found }));
    }
    match head.content_type {
        Some(content_type) if immediate && !is_json(content_type) => {
            let found = text(content_type);
            HeadMeaning::Reject(kept.reject(RejectCause::NotJson { found }))
        }
        _ if immediate => HeadMeaning::State,
        Some(content_type) if !is_event_stream(content_type) => {
            let found = text(content_type);
            HeadMeaning::Reject(kept.reject(RejectCause::ContentType { found }))
        }
        _ => HeadMeaning::Stream,
    }
}

impl ErrorHead {
    /// Judges the answer by the part of the body that arrived.
    pub(crate) fn judge(self, body: &[u8], secrets: &Redactor) -> Answer {
        let mut body = match self.encoding.as_deref().or_else(|| body::compression(body)) {
            Some(encoding) => ErrorBody::encoded(body.len(), encoding),
            None => ErrorBody::read(body, secrets),
        };
        if matches!(self.status, 403 | 429 | 520..=530) && body.is_of_a_proxy {
            let text = body.message.unwrap_or_default();
            body.message = Some(format!("a proxy or CDN answered, not the API: {text}"));
        }
        let worth_a_retry = match self.status {
            408 | 425 | 429 | 500..=599 => true,
            // The platform marks final conflicts with an error code; others are temporary.
            409 => !body.has_error_code,
            _ => false,
        };
        if worth_a_retry {
            let (status, message) = (self.status, body.message);
            let cause = match status {
                429 => RetryCause::TooManyStreams { message },
                _ => RetryCause::Status { status, message },
            };
            return Answer::Retry { cause, retry_after: self.retry_after };
        }
        let cause = match self.status {
            // 304 has no `Location`.
            300..=303 | 305..=399 => RejectCause::Redirect { location: self.location.clone() },
            _ => RejectCause::Status,
        };
        let mut rejection = self.reject(cause);
        rejection.message = body.message;
        rejection.error_code = body.error_code;
        rejection.details = body.details;
        rejection.suggestions = body.suggestions;
        rejection.links = body.links;
        rejection.request_id = body.request_id.or(rejection.request_id);
        Answer::Reject(rejection)
    }

    fn reject(self, cause: RejectCause) -> Rejection {
        Rejection {
            status: self.status,
            cause,
            message: None,
            error_code: None,
            details: [].into(),
            suggestions: [].into(),
            links: [].into(),
            request_id: self.request_id,
        }
    }
}

impl Rejection {
    /// Whether the server knows no such CVM: its own code says so, or there is none.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404 && self.error_code.as_deref().is_none_or(|code| code == "ERR-03-001")
    }
}

/// Returns whether each of the comma-separated types in this header is an event stream. Parameters and ASCII case are
/// ignored.
fn is_event_stream(content_type: &[u8]) -> bool {
    let mut quoted = false;
    let types = content_type.split(|byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    let mut types = types.map(<[u8]>::trim_ascii).filter(|one| !one.is_empty()).peekable();
    types.peek().is_some()
        && types.all(|one| {
            let essence = one.split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        })
}

/// Whether a content type is JSON: `application/json`, or one that ends in `+json`, with any parameters.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    essence.ends_with(b"/json") || essence.ends_with(b"+json")
}

/// Values that servers send with a body that is not encoded: `none`, and by mistake the character set.
fn is_identity(encoding: &[u8]) -> bool {
    all_codings(encoding, &["identity", "none", "utf-8"])
}

fn is_chunked(encoding: &[u8]) -> bool {
    all_codings(encoding, &["chunked", "identity"])
}

/// Returns whether each of the codings in this header is one of these, or empty.
fn all_codings(header: &[u8], known: &[&str]) -> bool {
    header.split(|byte| *byte == b',').all(|coding| {
        let coding = coding.trim_ascii();
        coding.is_empty() || known.iter().any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
    })
}

/// Parses `Retry-After`: seconds, or a date relative to the response's `Date`, else to the wall clock.
fn retry_after(value: &[u8], date: Option<&[u8]>, wall: Option<UnixSeconds>) -> Option<Duration> {
    let value = core::str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that overflows is above the cap.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date::parse(value)?;
    let sent = date.and_then(|date| core::str::from_utf8(date).ok()).and_then(|date| http_date::parse(date.trim()));
    let now = sent.or(wall)?;
    Some(Duration::from_secs(until.0.saturating_sub(now.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &[(&str, &str)], body: &str) -> String {
        let secrets = Redactor::default();
        let mut head = ResponseHead::new(status);
        for (name, value) in headers {
            head.header(name, value.as_bytes());
        }
        match judge(&head, Some(UnixSeconds(1_000_000_000)), false, &secrets) {
            HeadMeaning::Stream => "stream".into(),
            HeadMeaning::State => "state".into(),
            HeadMeaning::Reject(rejection) => format!("at once: {rejection}"),
            HeadMeaning::ReadBody(head) => match head.judge(body.as_bytes(), &secrets) {
                Answer::Retry { cause, retry_after } => {
                    let (status, message) = (cause.http_status().unwrap(), cause.server_message().unwrap_or_default());
                    assert_eq!(matches!(cause, RetryCause::TooManyStreams { .. }), status == 429);
                    format!("retry {status} {message} {retry_after:?}")
                }
                Answer::Reject(rejection) => format!("{rejection}"),
            },
        }
    }

    #[test]
    fn a_200_is_a_stream_by_the_essence_of_its_content_type() {
        for content_type in
            ["text/event-stream", "Text/Event-Stream; charset=utf-8", " text/event-stream ;x", "text/event-stream;"]
        {
            assert_eq!(judged(200, &[("Content-Type", content_type)], ""), "stream", "{content_type}");
        }
        assert_eq!(judged(200, &[], ""), "stream");
        for content_type in
            ["text/html", "", "text/event-streams", "application/json", "text/plain; x=text/event-stream"]
        {
            let judged = judged(200, &[("content-type", content_type)], "");
            assert!(
                judged.starts_with("at once: the server rejected the watch: HTTP 200 with content type"),
                "{judged}"
            );
        }
    }

    #[test]
    fn of_several_content_types_each_must_be_an_event_stream() {
        let twice = |first, second| judged(200, &[("content-type", first), ("content-type", second)], "");
        assert_eq!(twice("text/event-stream", "text/event-stream"), "stream");
        for judged in [twice("text/html", "text/event-stream"), twice("text/event-stream", "text/html")] {
            assert!(judged.contains("content type \"text/html\""), "{judged}");
        }
        // On one line they mean the same.
        for (joined, expected) in [
            ("text/event-stream, text/event-stream", true),
            ("text/event-stream;charset=utf-8 ,Text/Event-Stream", true),
            ("text/event-stream,", true),
            ("text/event-stream; x=\"a, text/html\"", true),
            ("text/event-stream, text/html", false),
            ("text/html, text/event-stream", false),
            (",", false),
        ] {
            assert_eq!(judged(200, &[("content-type", joined)], "") == "stream", expected, "{joined}");
        }
    }

    #[test]
    fn a_transfer_encoding_other_than_chunked_is_rejected_by_its_name() {
        for encoding in ["chunked", "Chunked", "chunked, chunked", "identity", ""] {
            assert_eq!(judged(200, &[("transfer-encoding", encoding)], ""), "stream", "{encoding}");
        }
        for headers in [
            &[("transfer-encoding", "gzip")][..],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")],
        ] {
            let judged = judged(200, headers, "");
            assert!(judged.contains("with transfer encoding \"gzip"), "{judged}");
        }
    }

    #[test]
    fn a_compressed_body_is_named_and_not_shown() {
        let body = "\u{1}".repeat(3000);
        for headers in [&[("content-encoding", "gzip")][..], &[("transfer-encoding", "gzip, chunked")]] {
            let rejected = judged(404, headers, &body);
            assert!(rejected.starts_with("the server rejected the watch: HTTP 404: 3 KiB of gzip"), "{rejected}");
        }
        assert!(judged(503, &[("content-encoding", "br")], "abc").starts_with("retry 503 3 bytes of br"));
    }

    #[test]
    fn answers_of_proxies_are_distinguished_from_those_of_the_api() {
        for (status, body, expected) in [
            (403, "error code: 1010", "a proxy or CDN answered, not the API: error code: 1010"),
            (403, "<html><title>Just a moment...</title></html>", "not the API: Just a moment..."),
            (429, "<html><title>Slow down</title></html>", "not the API: Slow down"),
            (522, "error code: 522\n", "not the API: error code: 522"),
        ] {
            let judged = judged(status, &[], body);
            assert!(judged.contains(expected), "{judged}");
        }
        for (status, body) in [(403, r#"{"message":"no"}"#), (404, "<title>no</title>"), (502, "<title>no</title>")] {
            assert!(!judged(status, &[], body).contains("CDN"), "{status} {body}");
        }
    }

    #[test]
    fn the_ray_of_a_cdn_is_the_request_id_where_there_is_no_other() {
        let id = |headers: &[(&str, &str)]| {
            let mut head = ResponseHead::new(403);
            for (name, value) in headers {
                head.header(name, value.as_bytes());
            }
            let secrets = Redactor::default();
            let HeadMeaning::ReadBody(head) = judge(&head, None, false, &secrets) else { panic!("not an error") };
            let Answer::Reject(rejection) = head.judge(b"", &secrets) else { panic!("not rejected") };
            rejection.request_id
        };
        assert_eq!(id(&[("CF-Ray", "8f-FRA")]).as_deref(), Some("8f-FRA"));
        assert_eq!(id(&[("x-request-id", "r-1"), ("cf-ray", "8f-FRA")]).as_deref(), Some("r-1"));
    }

    #[test]
    fn a_content_encoding_other_than_identity_is_rejected() {
        for encoding in ["identity", "IDENTITY", "", "identity, identity", "none", "UTF-8"] {
            assert_eq!(judged(200, &[("content-encoding", encoding)], ""), "stream", "{encoding}");
        }
        for headers in
            [&[("content-encoding", "gzip")][..], &[("content-encoding", "br"), ("content-encoding", "identity")]]
        {
            let judged = judged(200, headers, "");
            assert!(judged.contains("which was not asked for"), "{judged}");
        }
    }

    #[test]
    fn each_status_is_retried_or_rejected_as_the_contract_says() {
        for status in [408, 425, 429, 409, 500, 502, 503, 504, 599] {
            assert!(judged(status, &[], "").starts_with(&format!("retry {status}")), "{status}");
        }
        for status in [
            201, 202, 204, 206, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 410, 418, 422, 431, 451,
            600, 999,
        ] {
            assert!(
                judged(status, &[], "").starts_with(&format!("the server rejected the watch: HTTP {status}")),
                "{status}"
            );
        }
        let final_conflict = judged(409, &[], r#"{"error_code":"ERR-03-001","message":"deleted"}"#);
        assert_eq!(final_conflict, "the server rejected the watch: HTTP 409 (ERR-03-001): deleted");
        assert_eq!(judged(409, &[], r#"{"message":"busy","code":"x"}"#), "retry 409 busy None");
    }

    #[test]
    fn a_redirect_names_its_location_and_what_to_do() {
        assert_eq!(
            judged(302, &[("Location", "https://else\r\n.example/")], "<html>moved</html>"),
            "the server rejected the watch: HTTP 302, a redirect to https://else\\r\\n.example/; \
             redirects are not followed, set the base URL to the final address"
        );
        assert!(judged(301, &[], "").contains("without a Location"));
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        // The wall clock of these tests is 2001-09-09 01:46:40.
        for (headers, expected) in [
            (&[("Retry-After", "120")][..], "Some(120s)"),
            (&[("retry-after", " 0 ")], "Some(0ns)"),
            (&[("retry-after", "99999999999999999999999")], "Some(18446744073709551615s)"),
            (&[("retry-after", "Sun, 09 Sep 2001 01:47:40 GMT")], "Some(60s)"),
            (&[("retry-after", "Sun, 09 Sep 2001 01:45:40 GMT")], "Some(0ns)"),
            (
                &[("retry-after", "Sun, 09 Sep 2001 01:47:40 GMT"), ("date", "Sun, 09 Sep 2001 01:47:10 GMT")],
                "Some(30s)",
            ),
            (&[("retry-after", "-1")], "None"),
            (&[("retry-after", "1.5")], "None"),
            (&[("retry-after", "soon")], "None"),
        ] {
            assert_eq!(judged(503, headers, ""), format!("retry 503  {expected}"), "{headers:?}");
        }
    }

    #[test]
    fn a_key_in_a_header_is_redacted_before_the_text_is_cut() {
        let mut secrets = Redactor::default();
        secrets.add("phak_1");
        let location = format!("https://x/{}?key=phak%5F1", "a".repeat(1005));
        let mut head = ResponseHead::new(302);
        head.header("location", location.as_bytes()).header("x-request-id", b"phak_1");
        let HeadMeaning::ReadBody(head) = judge(&head, None, false, &secrets) else { panic!("not an error") };
        let Answer::Reject(rejection) = head.judge(b"", &secrets) else { panic!("not rejected") };
        let shown = format!("{rejection:?}");
        assert!(!shown.contains("phak"), "{shown}");
        assert_eq!(rejection.request_id.as_deref(), Some("***"));
    }
}
