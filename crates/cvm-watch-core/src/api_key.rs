//! The API key, which never appears in output.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::error::{ConfigError, ConfigErrorKind};
use crate::header::control_byte;
use crate::redact::PLACEHOLDER;
use crate::text::is_invisible;

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
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Makes a key from what the user gave, without line breaks at the end, which files and environment files often
    /// have.
    ///
    /// # Errors
    ///
    /// Fails for a blank key, for control bytes, which a header cannot hold, and for a space at either end. The error
    /// shows the position and that byte, nothing else of the key.
    pub fn new(key: impl Into<String>) -> Result<Self, ConfigError> {
        let mut key = key.into();
        key.truncate(key.trim_end_matches(['\r', '\n']).len());
        if key.trim().is_empty() {
            let problem = "must not be blank; set PHALA_CLOUD_API_KEY";
            return Err(ConfigError::new("api key", "", problem).with_kind(ConfigErrorKind::Missing));
        }
        if let Some((at, byte)) = control_byte(&key) {
            return Err(ConfigError::secret("api key", at, byte));
        }
        // Servers trim header values. A key with spaces at its ends would not be found, and so not redacted, in a
        // response.
        if let Some(at) = [0, key.len() - 1].into_iter().find(|at| key.as_bytes().get(*at) == Some(&b' ')) {
            return Err(ConfigError::new(
                "api key",
                "",
                format!("has a space at position {at}, at its end; remove it"),
            ));
        }
        Ok(Self(key))
    }

    /// What looks like a mistake made in copying the key: quotes around it, an invisible character or a
    /// no-break space in it, or any other character outside of ASCII. It completes "the API key …", and shows
    /// nothing of the key. The key is used all the same.
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
        let is_quote = |char: char| matches!(char, '"' | '\'' | '`' | '\u{ab}' | '\u{bb}' | '\u{2018}'..='\u{201f}');
        if self.0.starts_with(is_quote) || self.0.ends_with(is_quote) {
            return Some("is in quotes, which are sent as a part of it".to_owned());
        }
        let (at, char) = self.0.char_indices().find(|(_, char)| !char.is_ascii())?;
        let kind = if is_invisible(char) || char.is_whitespace() {
            "an invisible character"
        } else {
            "a character outside of ASCII"
        };
        Some(format!("has {kind} at position {at}, which is sent as a part of it"))
    }

    /// Returns the key itself. Keep it out of logs, errors and recordings.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKey {
    type Err = ConfigError;

    fn from_str(key: &str) -> Result<Self, ConfigError> {
        Self::new(key)
    }
}

impl TryFrom<&str> for ApiKey {
    type Error = ConfigError;

    fn try_from(key: &str) -> Result<Self, ConfigError> {
        Self::new(key)
    }
}

impl TryFrom<String> for ApiKey {
    type Error = ConfigError;

    fn try_from(key: String) -> Result<Self, ConfigError> {
        Self::new(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({PLACEHOLDER})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

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
    fn debug_does_not_show_the_key() {
        assert_eq!(format!("{:?}", ApiKey::new("hunter2").unwrap()), "ApiKey(***)");
    }
}
