//! A reference model of rows 12 to 15: what a response head and the body of an error mean.

use std::time::Duration;

use cvm_watch_core::{RejectCause, Rejection, ResponseHead, UnixSeconds};
use serde_json::{Map, Value};

/// The longest text that an error carries, in characters.
const MAX_TEXT: usize = 2048;
/// The most bytes of an object whose message is looked for.
pub const MAX_ERROR_JSON: usize = 8 << 10;

/// A generated response head.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub status: u16,
    /// Names in any case and values of any bytes, in any order.
    pub headers: Vec<(String, Vec<u8>)>,
    pub wall: Option<u64>,
}

/// An answer that ends the watch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub cause: &'static str,
    pub message: Option<String>,
    pub error_code: Option<String>,
}

impl Refusal {
    /// What the watch made of an answer.
    pub fn of(rejection: &Rejection) -> Self {
        let cause = match &rejection.cause {
            RejectCause::Status => "status",
            RejectCause::Redirect { .. } => "redirect",
            RejectCause::ContentType { .. } => "content type",
            RejectCause::ContentEncoding { .. } => "content encoding",
            RejectCause::TransferEncoding { .. } => "transfer encoding",
            _ => "a cause that the reference model does not have",
        };
        let (message, error_code) = (rejection.message.clone(), rejection.error_code.clone());
        Self { status: rejection.status, cause, message, error_code }
    }
}

/// What the whole answer of an error status means.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Retried { message: Option<String>, retry_after: Asked },
    Rejected(Refusal),
}

/// The delay that an answer requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    Exactly(Duration),
    Nothing,
    /// It has a date that the reference model does not read; the watch may be more lenient.
    Unclear,
}

impl Head {
    /// The head in the library's form.
    pub fn response(&self) -> ResponseHead<'_> {
        let mut head = ResponseHead::new(self.status);
        for (name, value) in &self.headers {
            head.header(name, value);
        }
        head
    }

    pub fn wall(&self) -> Option<UnixSeconds> {
        self.wall.map(UnixSeconds)
    }

    /// Row 15: a 200 that is not an event stream, or a compressed one.
    pub fn refused_at_once(&self) -> Option<Refusal> {
        if self.status != 200 {
            return None;
        }
        let refusal = |cause| Some(Refusal { status: 200, cause, ..Refusal::default() });
        if self.encoding("content-encoding", &["", "identity", "none", "utf-8"]).is_some() {
            return refusal("content encoding");
        }
        if self.encoding("transfer-encoding", &["", "identity", "chunked"]).is_some() {
            return refusal("transfer encoding");
        }
        // If there are several, on lines or joined by commas, each must be an event stream.
        let is_stream = |essence: &str| essence.split(';').next().unwrap_or_default().trim() == "text/event-stream";
        let wrong = |value: &[u8]| {
            let mut types = outside_quotes(&tidy(value));
            types.retain(|one| !one.trim().is_empty());
            types.is_empty() || !types.iter().all(|one| is_stream(one))
        };
        if self.values("content-type").any(wrong) {
            return refusal("content type");
        }
        None
    }

    /// The first value of this header with a coding that is not one of these.
    fn encoding(&self, name: &str, known: &[&str]) -> Option<String> {
        let is_known = |value: &&[u8]| value.split(|byte| *byte == b',').all(|coding| known.contains(&&*tidy(coding)));
        let value = self.values(name).find(|value| !is_known(value))?;
        Some(cut(&String::from_utf8_lossy(value), 1024))
    }

    /// Rows 12 to 14: any status but 200, with the part of the body that arrived.
    pub fn judge(&self, body: &[u8]) -> Answer {
        let body = &body[..body.len().min(64 << 10)];
        let magic = || match body {
            [0x1f, 0x8b, ..] => Some("gzip".to_owned()),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd".to_owned()),
            _ => None,
        };
        let encoding = self
            .encoding("content-encoding", &["", "identity", "none", "utf-8"])
            .or_else(|| self.encoding("transfer-encoding", &["", "identity", "chunked"]))
            .or_else(magic);
        let mut body = match encoding {
            Some(encoding) => Body::encoded(body.len(), &encoding),
            None => Body::read(body),
        };
        let by_a_cdn = matches!(self.status, 403 | 429) || (520..=530).contains(&self.status);
        if by_a_cdn && body.is_a_page {
            let said = body.message.unwrap_or_default();
            body.message = Some(format!("a proxy or CDN answered, not the API: {said}"));
        }
        let retried = match self.status {
            408 | 425 | 429 => true,
            409 => !body.is_final_conflict,
            status => (500..600).contains(&status),
        };
        if retried {
            return Answer::Retried { message: body.message, retry_after: self.retry_after() };
        }
        let moved = (300..400).contains(&self.status) && self.status != 304;
        let cause = if moved { "redirect" } else { "status" };
        Answer::Rejected(Refusal { status: self.status, cause, message: body.message, error_code: body.error_code })
    }

    /// Row 11: seconds, or a date relative to the answer's `Date`, else to the wall clock.
    pub fn retry_after(&self) -> Asked {
        let Some(value) = self.values("retry-after").last() else { return Asked::Nothing };
        let text = String::from_utf8_lossy(value);
        let digits = text.trim();
        if !digits.is_empty() && digits.chars().all(|char| char.is_ascii_digit()) {
            return Asked::Exactly(Duration::from_secs(digits.parse().unwrap_or(u64::MAX)));
        }
        let own = self.values("date").last();
        let is_odd = |value: &[u8]| value.contains(&b':') && date(value).is_none();
        if is_odd(value) || own.is_some_and(is_odd) {
            return Asked::Unclear;
        }
        match (date(value), own.and_then(date).or(self.wall)) {
            (Some(until), Some(now)) => Asked::Exactly(Duration::from_secs(until.saturating_sub(now))),
            _ => Asked::Nothing,
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }
}

fn date(value: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()?;
    Some(date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

fn tidy(value: &[u8]) -> String {
    value.trim_ascii().iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

/// The content of an error body.
struct Body {
    message: Option<String>,
    error_code: Option<String>,
    /// Whether it has the field that marks final errors of the platform.
    is_final_conflict: bool,
    /// Whether it is HTML or the line of a CDN.
    is_a_page: bool,
}

impl Body {
    fn encoded(length: usize, encoding: &str) -> Self {
        let size = match length {
            0 => None,
            1 => Some("1 byte".to_owned()),
            65_536 => Some("at least 64 KiB".to_owned()),
            _ if length < 1024 => Some(format!("{length} bytes")),
            _ => Some(format!("{} KiB", (length + 512) / 1024)),
        };
        let message = size.map(|size| format!("{size} of {encoding}"));
        Self { message, error_code: None, is_final_conflict: false, is_a_page: false }
    }

    fn read(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Self {
                message: message(&object).map(|text| cut(&text, MAX_TEXT)),
                error_code: error_code(&object).map(|text| cut(&text, MAX_TEXT)),
                is_final_conflict: is_final_conflict(&object),
                is_a_page: false,
            },
            _ => {
                let text = String::from_utf8_lossy(bytes);
                let line = text.trim().to_ascii_lowercase();
                let code = line.strip_prefix("error code:").map(str::trim);
                Self {
                    message: words(&text).map(|text| cut(&text, MAX_TEXT)),
                    error_code: None,
                    is_final_conflict: false,
                    is_a_page: text.trim().starts_with('<')
                        || code.is_some_and(|code| code.chars().all(|char| char.is_ascii_digit())),
                }
            }
        }
    }
}

/// The message of an error as JSON text. `None` if it is not an object of at most 8 KiB.
pub fn error_in_object(json: &str) -> Option<String> {
    if json.len() > MAX_ERROR_JSON {
        return None;
    }
    message(serde_json::from_str::<Value>(json).ok()?.as_object()?)
}

fn message(object: &Map<String, Value>) -> Option<String> {
    let detail = || match object.get("detail")? {
        Value::Object(detail) => message(detail),
        Value::Array(problems) => all_of(problems),
        detail => scalar(detail),
    };
    let field = |name| object.get(name).and_then(scalar);
    let within = |name: &str, field: &str| object.get(name)?.get(field).and_then(scalar);
    field("message")
        .or_else(|| field("Message"))
        .or_else(|| field("msg"))
        .or_else(detail)
        .or_else(|| field("error_description"))
        .or_else(|| field("error"))
        .or_else(|| within("error", "message"))
        .or_else(|| all_of(object.get("errors")?.as_array()?))
        .or_else(|| field("title"))
        .or_else(|| within("fault", "faultstring"))
}

fn all_of(problems: &[Value]) -> Option<String> {
    let problems: Vec<_> = problems.iter().filter_map(problem).take(16).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// Splits at commas outside of quotes.
fn outside_quotes(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for char in text.chars() {
        quoted ^= char == '"';
        if char == ',' && !quoted {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(char);
        }
    }
    parts
}

fn error_code(object: &Map<String, Value>) -> Option<String> {
    let field = |name| object.get(name).and_then(scalar);
    let inner = || error_code(object.get("detail")?.as_object()?);
    field("error_code").or_else(|| field("code")).or_else(inner)
}

fn is_final_conflict(object: &Map<String, Value>) -> bool {
    let inner = object.get("detail").and_then(Value::as_object);
    object.get("error_code").is_some_and(|code| !code.is_null()) || inner.is_some_and(is_final_conflict)
}

/// One problem of a validation error: its location and message.
fn problem(problem: &Value) -> Option<String> {
    let Some(object) = problem.as_object() else { return scalar(problem) };
    let words = ["msg", "message", "detail", "title"].iter().find_map(|name| object.get(*name).and_then(scalar))?;
    let place =
        object.get("loc").and_then(Value::as_array).into_iter().flatten().filter_map(scalar).collect::<Vec<_>>();
    Some(if place.is_empty() { words } else { format!("{}: {words}", place.join(".")) })
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Text that is not JSON: the title of a page, else the whole text with white space folded.
fn words(text: &str) -> Option<String> {
    let text = text.trim();
    let title = text.starts_with('<').then(|| title(text)).flatten();
    let words: Vec<_> = title.unwrap_or(text).split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let start = tag + lower[tag..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    Some(&page[start..end]).filter(|title| !title.trim().is_empty())
}

/// Cuts a text to a number of characters, with a mark if there are more.
pub fn cut(text: &str, limit: usize) -> String {
    let mark = (text.chars().count() > limit).then_some('…');
    text.chars().take(limit).chain(mark).collect()
}
