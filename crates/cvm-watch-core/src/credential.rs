//! Credentials, which no output shows.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use crate::error::{ConfigError, ConfigErrorKind};
use crate::header::{Header, control_byte};
use crate::redact::PLACEHOLDER;
use crate::text::is_invisible;

/// What a request proves its sender with. Its `Debug` shows `***`, and it has no `Display`.
///
/// ```
/// use cvm_watch_core::{ApiKey, BearerToken, Credential};
///
/// let key = Credential::from(ApiKey::new("phak_example")?);
/// assert_eq!(format!("{key:?}"), "ApiKey(***)");
/// let token = Credential::from(BearerToken::new("eyJhbGciOi…")?);
/// assert_ne!(key, token);
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// An API key, sent as `X-API-Key`.
    ApiKey(ApiKey),
    /// A token, sent as `Authorization: Bearer`.
    BearerToken(BearerToken),
}

impl Credential {
    /// The credential that a text is: an API key if it begins with `phak_`, as those of Phala Cloud do,
    /// and a bearer token otherwise. For a text whose kind is not known, such as the content of a file.
    ///
    /// ```
    /// use cvm_watch_core::Credential;
    ///
    /// assert!(matches!(Credential::from_text("phak_example\n")?, Credential::ApiKey(_)));
    /// assert!(matches!(Credential::from_text("eyJhbGciOi")?, Credential::BearerToken(_)));
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ApiKey::new`] and [`BearerToken::new`].
    pub fn from_text(text: impl Into<String>) -> Result<Self, ConfigError> {
        let text = text.into();
        if text.starts_with("phak_") { Ok(ApiKey::new(text)?.into()) } else { Ok(BearerToken::new(text)?.into()) }
    }

    /// What looks like a mistake made in copying it: see [`ApiKey::doubt`].
    pub fn doubt(&self) -> Option<String> {
        doubt(self.expose())
    }

    /// The key or token itself. Keep it out of logs, errors and recordings.
    pub fn expose(&self) -> &str {
        match self {
            Self::ApiKey(key) => key.expose(),
            Self::BearerToken(token) => token.expose(),
        }
    }

    pub(crate) fn header(&self) -> Header {
        let (name, value) = match self {
            Self::ApiKey(key) => ("X-API-Key", key.expose().to_owned()),
            Self::BearerToken(token) => ("Authorization", format!("Bearer {}", token.expose())),
        };
        Header::secret(name.to_string(), value)
    }
}

impl From<ApiKey> for Credential {
    fn from(key: ApiKey) -> Self {
        Self::ApiKey(key)
    }
}

impl From<BearerToken> for Credential {
    fn from(token: BearerToken) -> Self {
        Self::BearerToken(token)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(key) => key.fmt(f),
            Self::BearerToken(token) => token.fmt(f),
        }
    }
}

/// A type that holds a secret text of one kind.
macro_rules! secret {
    ($(#[doc = $text:literal])+ $name:ident, $field:literal, $missing:literal) => {
        $(#[doc = $text])+
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as the user gave it, without line breaks at its end: a file or an environment
            /// file often has one.
            ///
            /// # Errors
            ///
            /// A blank text, one with control bytes, which cannot stand in a header, and one with a space at
            /// either end. The error shows the position and that byte, and nothing else of the text.
            pub fn new(text: impl Into<String>) -> Result<Self, ConfigError> {
                check($field, $missing, text.into()).map(Self)
            }

            /// What looks like a mistake made in copying it: quotes around it, an invisible character or a
            /// no-break space in it, or any other character outside of ASCII. It completes "the API key …",
            /// and shows nothing of the text, which is used all the same.
            ///
            /// ```
            /// use cvm_watch_core::ApiKey;
            ///
            /// let key = ApiKey::new("\"phak_example\"")?;
            /// assert_eq!(key.doubt().as_deref(), Some("is in quotes, which are sent as a part of it"));
            /// assert_eq!(ApiKey::new("phak_example")?.doubt(), None);
            /// # Ok::<(), cvm_watch_core::ConfigError>(())
            /// ```
            pub fn doubt(&self) -> Option<String> {
                doubt(&self.0)
            }

            /// The text itself. Keep it out of logs, errors and recordings.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ConfigError;

            fn from_str(text: &str) -> Result<Self, ConfigError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = ConfigError;

            fn try_from(text: &str) -> Result<Self, ConfigError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ConfigError;

            fn try_from(text: String) -> Result<Self, ConfigError> {
                Self::new(text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), PLACEHOLDER)
            }
        }
    };
}

secret! {
    /// An API key of Phala Cloud. Its `Debug` shows `***`, and it has no `Display`.
    ///
    /// ```
    /// use cvm_watch_core::ApiKey;
    ///
    /// let key = ApiKey::new("phak_example")?;
    /// assert_eq!(format!("{key:?}"), "ApiKey(***)");
    /// assert_eq!(ApiKey::new("phak_example\n")?, key);
    /// assert!(ApiKey::new("phak\nexample").is_err());
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    ApiKey, "api key", "must not be blank; set PHALA_CLOUD_API_KEY"
}

secret! {
    /// A bearer token, such as an OIDC token of a CI system. Its `Debug` shows `***`, and it has no `Display`.
    ///
    /// ```
    /// use cvm_watch_core::BearerToken;
    ///
    /// let token = BearerToken::new("eyJhbGciOi")?;
    /// assert_eq!(format!("{token:?}"), "BearerToken(***)");
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    BearerToken, "bearer token", "must not be blank"
}

fn check(field: &'static str, missing: &'static str, mut text: String) -> Result<String, ConfigError> {
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.trim().is_empty() {
        return Err(ConfigError::new(field, "", missing).with_kind(ConfigErrorKind::Missing));
    }
    if let Some((at, byte)) = control_byte(&text) {
        return Err(ConfigError::secret(field, at, byte));
    }
    // Servers drop blanks at the ends of a header, so a secret that the server sends back would differ.
    if let Some(at) = [0, text.len() - 1].into_iter().find(|at| text.as_bytes().get(*at) == Some(&b' ')) {
        return Err(ConfigError::new(field, "", format!("has a space at position {at}, at its end; remove it")));
    }
    Ok(text)
}

fn doubt(text: &str) -> Option<String> {
    let is_quote = |char: char| matches!(char, '"' | '\'' | '`' | '\u{ab}' | '\u{bb}' | '\u{2018}'..='\u{201f}');
    if text.starts_with(is_quote) || text.ends_with(is_quote) {
        return Some("is in quotes, which are sent as a part of it".to_owned());
    }
    let (at, char) = text.char_indices().find(|(_, char)| !char.is_ascii())?;
    let kind = if is_invisible(char) || char.is_whitespace() {
        "an invisible character"
    } else {
        "a character outside of ASCII"
    };
    Some(format!("has {kind} at position {at}, which is sent as a part of it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_space_at_its_end_is_refused() {
        for (key, position) in [(" phak_1", 0), ("phak_1 ", 6)] {
            let error = ApiKey::new(key).unwrap_err().to_string();
            assert!(error.contains(&format!("space at position {position}")) && !error.contains("phak"), "{error}");
        }
        assert!(ApiKey::new("phak 1").is_ok());
    }

    #[test]
    fn a_key_with_a_line_break_is_refused_without_being_shown() {
        let error = ApiKey::new("phak_12\n34").unwrap_err().to_string();
        assert!(error.contains("api key") && error.contains("0x0a") && error.contains("position 7"), "{error}");
        assert!(!error.contains("phak"), "{error}");
        assert!(ApiKey::new(" \t").unwrap_err().to_string().contains("PHALA_CLOUD_API_KEY"));
    }

    #[test]
    fn line_breaks_at_the_end_of_a_key_are_trimmed() {
        for key in ["phak_1\n", "phak_1\r\n", "phak_1\n\n", "phak_1"] {
            assert_eq!(ApiKey::new(key).unwrap().expose(), "phak_1", "{key:?}");
        }
        for key in ["\nphak_1", "phak_1 \n", "\n", "\r\n", "phak_1\t"] {
            assert!(ApiKey::new(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_key_that_was_copied_badly_gives_one_doubt_that_shows_none_of_it() {
        let quotes = "is in quotes, which are sent as a part of it";
        let invisible = "has an invisible character at position 6, which is sent as a part of it";
        let other = "has a character outside of ASCII at position 6, which is sent as a part of it";
        for (key, expected) in [
            ("\"phak_1\"", Some(quotes)),
            ("'phak_1'", Some(quotes)),
            ("phak_1\"", Some(quotes)),
            ("\u{201c}phak_1\u{201d}", Some(quotes)),
            ("\u{ab}phak_1\u{bb}", Some(quotes)),
            ("phak_1\u{200b}", Some(invisible)),
            ("phak_1\u{a0}2", Some(invisible)),
            ("phak_1\u{feff}", Some(invisible)),
            ("phak_1\u{3000}2", Some(invisible)),
            ("phak_1\u{430}", Some(other)),
            ("phak_1", None),
            ("ph\"ak_1+/=", None),
        ] {
            assert_eq!(ApiKey::new(key).unwrap().doubt().as_deref(), expected, "{key:?}");
        }
        let first = ApiKey::new("\u{feff}phak_1").unwrap().doubt().unwrap();
        assert!(first.contains("an invisible character at position 0") && !first.contains("phak"), "{first}");
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        assert_eq!(format!("{:?}", ApiKey::new("hunter2").unwrap()), "ApiKey(***)");
        assert_eq!(format!("{:?}", Credential::from_text("hunter2").unwrap()), "BearerToken(***)");
    }

    #[test]
    fn each_kind_has_its_header_and_the_kind_of_a_text_shows_by_its_beginning() {
        for (text, header) in
            [("phak_1\n", ("X-API-Key", "phak_1")), ("eyJ.x.y\r\n", ("Authorization", "Bearer eyJ.x.y"))]
        {
            let credential = Credential::from_text(text).unwrap();
            let sent = credential.header();
            assert_eq!((sent.name(), sent.value(), sent.sensitive()), (header.0, header.1, true));
        }
        let error = Credential::from_text("hunter\n2").unwrap_err().to_string();
        assert_eq!(error, "bearer token has the control byte 0x0a at position 6; remove it");
        assert_eq!(Credential::from_text(" ").unwrap_err().to_string(), "bearer token must not be blank");
    }
}
