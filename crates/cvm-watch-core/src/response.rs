//! What a response means: a stream, a retry, or the end. The only place that knows status codes.

mod body;

use alloc::string::String;
use core::time::Duration;

use body::ErrorBody;
pub(crate) use body::MAX_BODY;
pub use body::server_message;

use crate::error::{RejectCause, Rejection, RetryCause};
use crate::http_date;
use crate::redact::{Redactor, redacted_and_cut};
use crate::time::UnixSeconds;

/// The most characters of a header that an error carries.
const MAX_HEADER_TEXT: usize = 1024;

/// The head of a response: its status and the few headers that matter to a watch.
///
/// Hand over every header; what is of no use is passed over. Of a header that comes twice the last
/// one counts, but for `Content-Type` and `Content-Encoding`, where the first that is to be refused
/// does.
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
    retry_after: Option<&'a [u8]>,
    date: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
}

impl<'a> ResponseHead<'a> {
    /// A head with this status code and no headers yet.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            content_encoding: None,
            retry_after: None,
            date: None,
            location: None,
            request_id: None,
        }
    }

    /// Adds one header; its name may be of any case, its value any bytes.
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
        } else if is("retry-after") {
            self.retry_after = Some(value);
        } else if is("date") {
            self.date = Some(value);
        } else if is("location") {
            self.location = Some(value);
        } else if is("x-request-id") {
            self.request_id = Some(value);
        }
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers that matter, as far as they came. Added to a head without headers they make the
    /// same one again.
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
            ("retry-after", self.retry_after),
            ("date", self.date),
            ("location", self.location),
            ("x-request-id", self.request_id),
        ];
        headers.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}

/// What follows from a head.
#[derive(Debug)]
pub(crate) enum HeadMeaning {
    /// An event stream: read it.
    Stream,
    /// An answer that no body can change.
    Reject(Rejection),
    /// An error whose body is worth reading first.
    ReadBody(ErrorHead),
}

/// The head of an error, kept while its body is read.
#[derive(Clone, Debug)]
pub(crate) struct ErrorHead {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    location: Option<String>,
    request_id: Option<String>,
}

/// What a whole error answer means.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Worth a retry, no sooner than after this long.
    Retry { cause: RetryCause, retry_after: Option<Duration> },
    /// Final.
    Reject(Rejection),
}

pub(crate) fn judge(head: &ResponseHead<'_>, wall: Option<UnixSeconds>, secrets: &Redactor) -> HeadMeaning {
    let text = |value: &[u8]| redacted_and_cut(secrets, &String::from_utf8_lossy(value), MAX_HEADER_TEXT);
    let kept = ErrorHead {
        status: head.status,
        retry_after: head.retry_after.and_then(|value| retry_after(value, head.date, wall)),
        location: head.location.map(text),
        request_id: head.request_id.map(text),
    };
    if head.status != 200 {
        return HeadMeaning::ReadBody(kept);
    }
    if let Some(encoding) = head.content_encoding.filter(|encoding| !is_identity(encoding)) {
        let found = text(encoding);
        return HeadMeaning::Reject(kept.reject(RejectCause::ContentEncoding { found }));
    }
    match head.content_type {
        Some(content_type) if !is_event_stream(content_type) => {
            let found = text(content_type);
            HeadMeaning::Reject(kept.reject(RejectCause::ContentType { found }))
        }
        _ => HeadMeaning::Stream,
    }
}

impl ErrorHead {
    /// Judges the answer with as much of its body as came.
    pub(crate) fn judge(self, body: &[u8], secrets: &Redactor) -> Answer {
        let body = ErrorBody::read(body, secrets);
        let worth_a_retry = match self.status {
            408 | 425 | 429 | 500..=599 => true,
            // The platform marks its own final conflicts with a code; one without is a passing one.
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

/// The essence of a MIME type is what stands before the parameters, in any case.
fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

fn is_identity(encoding: &[u8]) -> bool {
    encoding.split(|byte| *byte == b',').all(|coding| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    })
}

/// Seconds, or a date measured against the response's own `Date`, else the wall clock.
fn retry_after(value: &[u8], date: Option<&[u8]>, wall: Option<UnixSeconds>) -> Option<Duration> {
    let value = core::str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are more than the cap.
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
    use alloc::format;

    fn judged(status: u16, headers: &[(&str, &str)], body: &str) -> String {
        let secrets = Redactor::default();
        let mut head = ResponseHead::new(status);
        for (name, value) in headers {
            head.header(name, value.as_bytes());
        }
        match judge(&head, Some(UnixSeconds(1_000_000_000)), &secrets) {
            HeadMeaning::Stream => "stream".into(),
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
    }

    #[test]
    fn a_content_encoding_other_than_identity_is_rejected() {
        for encoding in ["identity", "IDENTITY", "", "identity, identity"] {
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
    fn an_echo_of_the_key_in_a_header_is_masked_before_it_is_cut() {
        let mut secrets = Redactor::default();
        secrets.add("phak_1");
        let location = format!("https://x/{}?key=phak%5F1", "a".repeat(1005));
        let mut head = ResponseHead::new(302);
        head.header("location", location.as_bytes()).header("x-request-id", b"phak_1");
        let HeadMeaning::ReadBody(head) = judge(&head, None, &secrets) else { panic!("not an error") };
        let Answer::Reject(rejection) = head.judge(b"", &secrets) else { panic!("not rejected") };
        let shown = format!("{rejection:?}");
        assert!(!shown.contains("phak"), "{shown}");
        assert_eq!(rejection.request_id.as_deref(), Some("***"));
    }
}
