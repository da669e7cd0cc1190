//! The id of a CVM in a request.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use percent_encoding::utf8_percent_encode;

use crate::error::{ConfigError, ConfigErrorKind};
use crate::url::{NOT_UNRESERVED, check_length};

/// The identifier of a CVM in the form that the endpoint takes.
///
/// The value may be a CVM id, UUID, app id, instance id or name. The first rule that matches is applied:
///
/// 1. a version 4 UUID, any case, each dash optional: its dashes are removed;
/// 2. exactly 40 hex digits (an app id without its prefix): `app_` is prepended;
/// 3. anything else is used unchanged.
///
/// ```
/// use cvm_watch_core::CvmId;
///
/// let uuid = CvmId::new("550e8400-e29b-41d4-a716-446655440000")?;
/// assert_eq!(uuid.as_str(), "550e8400e29b41d4a716446655440000");
/// assert_eq!(CvmId::new("my-cvm")?.as_str(), "my-cvm");
/// assert!(CvmId::new("..").is_err());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CvmId(Box<str>);

impl CvmId {
    /// Makes an id from what the user gave, by the rules above.
    ///
    /// # Errors
    ///
    /// Fails for an empty value, `.`, `..` and control characters, which would change the path of the request, and
    /// for a value longer than 16 KiB once percent-encoded.
    pub fn new(given: &str) -> Result<Self, ConfigError> {
        let refused = |problem: &str| ConfigError::new("id", given, problem);
        if given.is_empty() {
            let problem = "must not be empty; give a CVM id, UUID, app id, instance id or name";
            return Err(refused(problem).with_kind(ConfigErrorKind::Missing));
        }
        if given == "." || given == ".." {
            return Err(refused("is a path, not an identifier; give a CVM id, UUID, app id, instance id or name"));
        }
        if let Some(at) = given.bytes().position(|byte| byte.is_ascii_control()) {
            let byte = given.as_bytes().get(at).copied().unwrap_or_default();
            return Err(refused(&format!("has the control byte 0x{byte:02x} at position {at}; remove it")));
        }
        check_length("id", given)?;
        Ok(Self(if is_uuid_v4(given) {
            given.replace('-', "").into()
        } else if given.len() == 40 && given.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            format!("app_{given}").into()
        } else {
            given.into()
        }))
    }

    /// Returns the identifier as the endpoint takes it, before percent-encoding.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the identifier as one percent-encoded path segment.
    pub(crate) fn path_segment(&self) -> impl fmt::Display + '_ {
        utf8_percent_encode(&self.0, NOT_UNRESERVED)
    }
}

impl FromStr for CvmId {
    type Err = ConfigError;

    fn from_str(given: &str) -> Result<Self, ConfigError> {
        Self::new(given)
    }
}

impl TryFrom<&str> for CvmId {
    type Error = ConfigError;

    fn try_from(given: &str) -> Result<Self, ConfigError> {
        Self::new(given)
    }
}

impl TryFrom<String> for CvmId {
    type Error = ConfigError;

    fn try_from(given: String) -> Result<Self, ConfigError> {
        Self::new(&given)
    }
}

impl fmt::Display for CvmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$`, any case.
fn is_uuid_v4(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for (group, first) in
        [(8, "0123456789abcdef"), (4, "0123456789abcdef"), (4, "4"), (4, "89ab"), (12, "0123456789abcdef")]
    {
        // A dash may stand before each group but the first.
        if group != 8
            && let Some(after) = rest.strip_prefix(b"-")
        {
            rest = after;
        }
        let Some((digits, after)) = rest.split_at_checked(group) else {
            return false;
        };
        let starts_right = digits.first().is_some_and(|byte| first.as_bytes().contains(&byte.to_ascii_lowercase()));
        if !starts_right || !digits.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn segment(given: &str) -> String {
        CvmId::new(given).unwrap().path_segment().to_string()
    }

    #[test]
    fn each_kind_of_identifier_follows_its_one_rule() {
        let forty = "0123456789abcdefABCD0123456789abcdef0123";
        let cases = [
            ("550e8400-e29b-41d4-a716-446655440000", "550e8400e29b41d4a716446655440000"),
            ("550E8400-E29B-41D4-A716-446655440000", "550E8400E29B41D4A716446655440000"),
            ("550e8400e29b-41d4a716-446655440000", "550e8400e29b41d4a716446655440000"),
            // Not version 4, a wrong variant, a dash too many, a digit too few: unchanged.
            ("550e8400-e29b-11d4-a716-446655440000", "550e8400-e29b-11d4-a716-446655440000"),
            ("550e8400-e29b-41d4-c716-446655440000", "550e8400-e29b-41d4-c716-446655440000"),
            ("550e8400--e29b-41d4-a716-446655440000", "550e8400--e29b-41d4-a716-446655440000"),
            ("-550e8400e29b41d4a716446655440000", "-550e8400e29b41d4a716446655440000"),
            ("550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-44665544000"),
            ("550e8400e29b41d4a716446655440000-", "550e8400e29b41d4a716446655440000-"),
            ("123", "123"),
            ("my-cvm", "my-cvm"),
            ("instance_5f", "instance_5f"),
        ];
        for (given, expected) in cases {
            assert_eq!(segment(given), expected);
        }
        assert_eq!(segment(forty), format!("app_{forty}"));
        assert_eq!(segment(&forty[1..]), forty[1..]);
        assert_eq!(segment(&format!("{forty}0")), format!("{forty}0"));
        assert_eq!(segment(&format!("app_{forty}")), format!("app_{forty}"));
    }

    #[test]
    fn nothing_escapes_the_path_segment() {
        for (given, expected) in [
            ("a/b", "a%2Fb"),
            ("../x", "..%2Fx"),
            ("%2e%2e", "%252e%252e"),
            ("a?b#c", "a%3Fb%23c"),
            ("a b", "a%20b"),
            ("ä\u{2028}", "%C3%A4%E2%80%A8"),
            ("...", "..."),
            ("a\\b;c@d:e", "a%5Cb%3Bc%40d%3Ae"),
        ] {
            assert_eq!(segment(given), expected);
        }
    }

    #[test]
    fn what_does_not_fit_into_a_url_is_refused_with_the_limit() {
        assert!(CvmId::new(&"a".repeat(16_384)).is_ok());
        for long in ["a".repeat(16_385), "\u{e9}".repeat(2731), "x".repeat(100_000)] {
            let error = CvmId::new(&long).unwrap_err();
            assert!(error.field() == "id" && error.to_string().contains("at most 16384 (16 KiB)"), "{error}");
            assert!(error.to_string().len() < 250, "{error}");
        }
    }

    #[test]
    fn what_cannot_be_one_segment_is_refused_by_name() {
        for (given, problem) in [
            ("", "must not be empty"),
            (".", "is a path"),
            ("..", "is a path"),
            ("a\nb", "control byte 0x0a at position 1"),
            ("\u{7f}", "control byte 0x7f at position 0"),
        ] {
            let error = CvmId::new(given).unwrap_err();
            assert_eq!(error.field(), "id");
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}
