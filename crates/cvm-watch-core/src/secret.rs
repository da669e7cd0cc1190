//! The API key, which no output shows.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::error::ConfigError;
use crate::redact::PLACEHOLDER;

/// An API key of Phala Cloud. Its `Debug` is masked, and it has no `Display`.
///
/// ```
/// use cvm_watch_core::ApiKey;
///
/// let key = ApiKey::new("phak_example")?;
/// assert_eq!(format!("{key:?}"), "ApiKey(***)");
/// assert!(ApiKey::new("phak\n").is_err());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes a key as the user gave it.
    ///
    /// # Errors
    ///
    /// A blank key, one with control bytes, which cannot stand in a header, and one with a space at
    /// either end. The error tells the position and that byte, nothing else of the key.
    pub fn new(key: impl Into<String>) -> Result<Self, ConfigError> {
        let key = key.into();
        if key.trim().is_empty() {
            return Err(ConfigError::new("api key", "", "must not be blank; set PHALA_CLOUD_API_KEY"));
        }
        if let Some((at, byte)) = control_byte(&key) {
            return Err(ConfigError::secret("api key", at, byte));
        }
        // Servers drop blanks at the ends of a header, so an echo of the key would not be the key.
        if let Some(at) = [0, key.len() - 1].into_iter().find(|at| key.as_bytes().get(*at) == Some(&b' ')) {
            return Err(ConfigError::new(
                "api key",
                "",
                format!("has a space at position {at}, at its end; remove it"),
            ));
        }
        Ok(Self(key))
    }

    /// The key itself. Keep it out of logs, errors and recordings.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({PLACEHOLDER})")
    }
}

/// The first byte of `text` that may not stand in a header value, with its position.
pub(crate) fn control_byte(text: &str) -> Option<(usize, u8)> {
    text.bytes().enumerate().find(|(_, byte)| byte.is_ascii_control())
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
    fn debug_does_not_show_the_key() {
        assert_eq!(format!("{:?}", ApiKey::new("hunter2").unwrap()), "ApiKey(***)");
    }
}
