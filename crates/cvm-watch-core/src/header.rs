//! Request headers.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::ConfigError;
use crate::redact::PLACEHOLDER;

/// One request header. `Debug` shows `***` for the value of a sensitive one.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: Cow<'static, str>,
    value: Cow<'static, str>,
    sensitive: bool,
}

impl Header {
    pub(crate) fn secret(name: String, value: String) -> Self {
        Self { name: name.into(), value: value.into(), sensitive: true }
    }

    pub(crate) fn plain(name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), value: value.into(), sensitive: false }
    }

    /// Marks the value as secret: it stays out of logs, traces and recordings.
    pub(crate) fn with_sensitive(self, sensitive: bool) -> Self {
        Self { sensitive, ..self }
    }

    /// Checks a header that a caller gave.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.check_syntax()?;
        if is_reserved(self.name()) {
            let problem = "is set by the watch or the connection; leave it out";
            return Err(ConfigError::new("header name", self.name(), problem));
        }
        Ok(())
    }

    /// Checks that the name and the value are valid in HTTP.
    pub(crate) fn check_syntax(&self) -> Result<(), ConfigError> {
        let name = self.name();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(ConfigError::new("header name", name, "must be letters, digits or any of !#$%&'*+-.^_`|~"));
        }
        match control_byte(self.value()) {
            Some((at, byte)) => Err(ConfigError::secret(format!("header {name}"), at, byte)),
            None => Ok(()),
        }
    }

    /// Returns the name as given. HTTP names are case-insensitive.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value: UTF-8 without control characters. It may contain characters outside ASCII.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns whether the value must stay out of logs, traces and recordings.
    pub fn sensitive(&self) -> bool {
        self.sensitive
    }
}

/// Shows the name and the value; a sensitive value is `***`.
impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.name(), if self.sensitive { PLACEHOLDER } else { self.value() }).serialize(serializer)
    }
}

/// A header of the caller, whose value counts as a secret.
impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <(String, String)>::deserialize(deserializer).map(|(name, value)| Self::secret(name, value))
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, if self.sensitive { PLACEHOLDER } else { &self.value })
    }
}

/// Headers that a caller may not set: those of the protocol, those that frame the message, and those that change the
/// form of the response.
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 18] = [
        "accept",
        "accept-encoding",
        "cache-control",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "x-phala-version",
        "x-phala-workspace",
    ];
    RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// Returns the first byte of `text` that a header value cannot hold, with its position.
pub(crate) fn control_byte(text: &str) -> Option<(usize, u8)> {
    text.bytes().enumerate().find(|(_, byte)| byte.is_ascii_control())
}
