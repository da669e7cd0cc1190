//! Reads the bodies of error answers, in every shape that the platform and proxies are known to send (source: Phala's
//! public SDKs):
//!
//! - `{"detail":"text"}`, `{"detail":{"message","code"}}`, `{"message","code"}`
//! - `{"detail":[{"loc":["query","interval"],"msg":"…"}]}` (validation)
//! - `{"error_code":"ERR-03-001","message","request_id","details":[],"suggestions":[],"links":[]}`
//! - text or HTML.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::redact::{Redactor, redacted_and_cut};

/// How much of an error body is read, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 10;
/// The most bytes of JSON in which the message of an `error` event is looked for.
pub(crate) const MAX_ERROR_JSON: usize = 8 << 10;
/// The most characters of one text that an error carries.
const MAX_TEXT: usize = 2048;
/// The most items of one list that an error carries.
const MAX_ITEMS: usize = 16;

/// Returns the message of an error body: from JSON in any known shape, the title of an HTML page, or plain text.
/// `None` if there is none.
///
/// Transports use it for the answers of proxies. Nothing is redacted.
///
/// ```
/// use cvm_watch_core::server_message;
///
/// assert_eq!(server_message(br#"{"detail":"no such CVM"}"#).as_deref(), Some("no such CVM"));
/// assert_eq!(server_message(b"<title>Blocked</title>").as_deref(), Some("Blocked"));
/// assert_eq!(server_message(b" "), None);
/// ```
pub fn server_message(body: &[u8]) -> Option<String> {
    ErrorBody::read(body, &Redactor::default()).message
}

/// The message of an object in the data of an `error` event, or in place of one. `None` if it is no object, too large
/// or has no message. Nothing is redacted.
pub(crate) fn error_in_object(json: &str) -> Option<String> {
    // The most that is read as a tree, which takes many times the memory.
    if json.len() > MAX_ERROR_JSON || !json.trim_start().starts_with('{') {
        return None;
    }
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => ErrorBody::from_object(&object).message,
        _ => None,
    }
}

/// The content of an error body, redacted and limited in size.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ErrorBody {
    pub(crate) message: Option<String>,
    pub(crate) error_code: Option<String>,
    /// Whether the body has a field `error_code`, which marks the platform's final errors.
    pub(crate) has_error_code: bool,
    pub(crate) details: Vec<String>,
    pub(crate) suggestions: Vec<String>,
    pub(crate) links: Vec<String>,
    pub(crate) request_id: Option<String>,
    /// Whether the body is of a kind that proxies and CDNs send, and the API does not.
    pub(crate) is_of_a_proxy: bool,
}

/// Returns the compression format that the first bytes of a body indicate.
pub(super) fn compression(body: &[u8]) -> Option<&'static str> {
    match body {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        _ => None,
    }
}

impl ErrorBody {
    /// Reads the part of a body that arrived; anything but JSON is read as text.
    pub(crate) fn read(bytes: &[u8], secrets: &Redactor) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut body = match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Self::from_object(&object),
            _ => {
                // Redact before white space is folded: folding would change a secret that was cut in the middle.
                let text = secrets.redact_cut(&String::from_utf8_lossy(bytes));
                let is_of_a_proxy = text.trim_start().starts_with('<') || is_error_code(&text);
                Self { message: plain_text(&text), is_of_a_proxy, ..Self::default() }
            }
        };
        body.redact(secrets);
        body
    }

    /// The placeholder for a body that cannot be read, of which this many bytes arrived.
    pub(crate) fn encoded(length: usize, encoding: &str) -> Self {
        let size = match length {
            0 => return Self::default(),
            1 => "1 byte".to_owned(),
            2..1024 => format!("{length} bytes"),
            MAX_BODY.. => format!("at least {} KiB", MAX_BODY >> 10),
            _ => format!("{} KiB", (length + 512) >> 10),
        };
        Self { message: Some(format!("{size} of {encoding}")), ..Self::default() }
    }

    fn from_object(object: &Map<String, Value>) -> Self {
        let text = |name: &str| object.get(name).and_then(text);
        let mut body = Self {
            message: text("message").or_else(|| text("Message")).or_else(|| text("msg")),
            error_code: text("error_code").or_else(|| text("code")),
            has_error_code: object.get("error_code").is_some_and(|code| !code.is_null()),
            details: texts(object.get("details")),
            suggestions: texts(object.get("suggestions")),
            links: texts(object.get("links")),
            request_id: text("request_id"),
            is_of_a_proxy: false,
        };
        match object.get("detail") {
            Some(Value::Object(detail)) => {
                let inner = Self::from_object(detail);
                body.message = body.message.or(inner.message);
                body.error_code = body.error_code.or(inner.error_code);
                body.has_error_code |= inner.has_error_code;
            }
            Some(Value::Array(list)) => body.message = body.message.or_else(|| problems(list)),
            Some(detail) => body.message = body.message.or_else(|| self::text(detail)),
            None => {}
        }
        body.message = body
            .message
            .or_else(|| text("error_description"))
            .or_else(|| text("error"))
            .or_else(|| {
                let inner = |name| Self::from_object(object.get(name)?.as_object()?).message;
                ["error", "message"].into_iter().find_map(inner)
            })
            .or_else(|| object.get("errors")?.as_array().and_then(|list| problems(list)))
            .or_else(|| text("title"))
            .or_else(|| object.get("fault")?.as_object()?.get("faultstring").and_then(self::text));
        body
    }

    fn redact(&mut self, secrets: &Redactor) {
        let texts = [&mut self.message, &mut self.error_code, &mut self.request_id].into_iter().flatten();
        let lists = [&mut self.details, &mut self.suggestions, &mut self.links].into_iter().flatten();
        for text in texts.chain(lists) {
            *text = redacted_and_cut(secrets, text, MAX_TEXT);
        }
    }
}

/// Joins the problems of a list.
fn problems(list: &[Value]) -> Option<String> {
    let problems: Vec<_> = list.iter().filter_map(problem).take(MAX_ITEMS).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// Whether this is the one line `error code: 1010` of a CDN.
fn is_error_code(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    text.strip_prefix("error code:").is_some_and(|code| code.trim().bytes().all(|byte| byte.is_ascii_digit()))
}

/// One validation problem: `query.interval: must be at least 5`.
fn problem(value: &Value) -> Option<String> {
    let Value::Object(object) = value else {
        return text(value);
    };
    let message = ["msg", "message", "detail", "title"].iter().find_map(|name| object.get(*name).and_then(text))?;
    let place: Vec<_> = match object.get("loc") {
        Some(Value::Array(parts)) => parts.iter().filter_map(text).collect(),
        _ => Vec::new(),
    };
    Some(if place.is_empty() { message } else { place.join(".") + ": " + &message })
}

/// A scalar as text; empty text is none.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.trim().is_empty()).then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A list of texts; an object in it counts as its first known field that is a text.
fn texts(value: Option<&Value>) -> Vec<String> {
    let Some(Value::Array(items)) = value else {
        return Vec::new();
    };
    let item = |item: &Value| match item {
        Value::Object(object) => {
            ["message", "msg", "text", "url", "href", "label"].iter().find_map(|name| object.get(*name).and_then(text))
        }
        other => text(other),
    };
    items.iter().filter_map(item).take(MAX_ITEMS).collect()
}

/// Text that is not JSON: the title of an HTML page, else the text with white space folded.
fn plain_text(text: &str) -> Option<String> {
    let text = text.trim();
    let text = if text.starts_with('<') { html_title(text) } else { text };
    let words: Vec<_> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Returns the text of `<title>`, else the whole page.
fn html_title(page: &str) -> &str {
    let lower = page.to_ascii_lowercase().to_owned();
    let title = lower.find("<title").and_then(|at| {
        let start = at + lower.get(at..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find("</title")?;
        page.get(start..end)
    });
    title.filter(|title| !title.trim().is_empty()).unwrap_or(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> ErrorBody {
        ErrorBody::read(body.as_bytes(), &Redactor::default())
    }

    fn message(body: &str) -> String {
        read(body).message.unwrap_or_default()
    }

    #[test]
    fn every_known_shape_gives_its_message() {
        for (body, expected) in [
            (r#"{"detail":"no such CVM"}"#, "no such CVM"),
            (
                r#"{"detail":[{"loc":["query","interval"],"msg":"too small"},{"loc":["body",0],"msg":"odd"}]}"#,
                "query.interval: too small; body.0: odd",
            ),
            (r#"{"detail":{"message":"gone","code":"cvm_gone"}}"#, "gone"),
            (r#"{"message":"teapot","code":418}"#, "teapot"),
            (r#"{"error":"unauthorized"}"#, "unauthorized"),
            (r#"{"error":{"code":403,"message":"billing disabled"}}"#, "billing disabled"),
            (r#"{"success":false,"errors":[{"code":1015,"message":"limited"},"twice"]}"#, "limited; twice"),
            (r#"{"errors":[{"title":"Bad","detail":"too small"}]}"#, "too small"),
            (r#"{"Message":"Forbidden"}"#, "Forbidden"),
            (r#"{"type":"about:blank","title":"No credit","status":403}"#, "No credit"),
            (r#"{"title":"No credit","detail":"the balance is 30"}"#, "the balance is 30"),
            (r#"{"code":7,"msg":"no route"}"#, "no route"),
            (r#"{"error":"denied","error_description":"no consent"}"#, "no consent"),
            (r#"{"fault":{"faultstring":"no quota"}}"#, "no quota"),
            ("\u{feff}{\"message\":\"marked\"}", "marked"),
            ("\u{feff}plain", "plain"),
            ("  bad \n gateway ", "bad gateway"),
            ("<html><head><TITLE>502 Bad\nGateway</TITLE></head><body>x</body></html>", "502 Bad Gateway"),
            ("<p>oops</p>", "<p>oops</p>"),
            ("<title>", "<title>"),
            ("", ""),
            ("{}", ""),
            (r#"{"detail":{"code":"x"}}"#, ""),
            (r#"{"detail":"cut of"#, r#"{"detail":"cut of"#),
        ] {
            assert_eq!(message(body), expected, "{body}");
        }
    }

    #[test]
    fn a_platform_error_keeps_all_its_parts() {
        let body = read(
            r#"{"error_code":"ERR-03-001","message":"m","request_id":"r-1","details":["d",{"message":"e"}],
                "suggestions":["s",{"text":"t"}],"links":[{"url":"https://x"}, 7, null]}"#,
        );
        assert_eq!(
            body,
            ErrorBody {
                message: Some("m".into()),
                error_code: Some("ERR-03-001".into()),
                has_error_code: true,
                details: ["d".into(), "e".into()].into(),
                suggestions: ["s".into(), "t".into()].into(),
                links: ["https://x".into(), "7".into()].into(),
                request_id: Some("r-1".into()),
                is_of_a_proxy: false,
            }
        );
    }

    #[test]
    fn a_code_is_not_an_error_code() {
        let body = read(r#"{"detail":{"message":"gone","code":"cvm_gone"}}"#);
        assert_eq!((body.error_code.as_deref(), body.has_error_code), (Some("cvm_gone"), false));
    }

    #[test]
    fn a_secret_at_the_cut_of_a_body_is_redacted_too() {
        let mut secrets = Redactor::default();
        secrets.add("phak  two  spaces");
        for body in [
            "bad key phak  two  spaces",
            "bad key phak  two  spac",
            r#"{"message":"bad key phak  two"#,
            "bad key ph\\u0061k ",
        ] {
            let message = ErrorBody::read(body.as_bytes(), &secrets).message.unwrap();
            assert!(message.ends_with("bad key ***"), "{message}");
        }
    }

    #[test]
    fn an_error_code_inside_the_detail_counts_and_outer_messages_come_first() {
        let body = read(r#"{"message":"outer","detail":{"message":"inner","error_code":"E-1"}}"#);
        assert_eq!((body.message.as_deref(), body.error_code.as_deref()), (Some("outer"), Some("E-1")));
        assert!(body.has_error_code);
    }

    #[test]
    fn the_key_is_redacted_after_decoding_and_before_cutting() {
        let mut secrets = Redactor::default();
        secrets.add("phak_1");
        let padding = "x".repeat(MAX_TEXT - 3);
        let body =
            format!(r#"{{"message":"{padding}ph\u0061k_1","code":"phak_1","links":["phak_1"],"request_id":"phak_1"}}"#);
        let shown = format!("{:?}", ErrorBody::read(body.as_bytes(), &secrets));
        assert!(!shown.contains("ph") && shown.contains("x***"), "{shown}");
    }
}
