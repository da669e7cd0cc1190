//! Values in a URL: percent-encoded, and not too long.

use alloc::format;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{ConfigError, ConfigErrorKind};
use crate::text::printable;

/// Everything but the unreserved characters of RFC 3986, so that no value can leave its path segment or query value.
pub(crate) const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest value in a URL, in bytes once percent-encoded. HTTP libraries refuse a URL of 64 KiB, most servers a
/// much shorter one.
const MAX_ENCODED: usize = 16 << 10;

/// Refuses a value that is too long for a URL.
pub(crate) fn check_length(field: &'static str, value: &str) -> Result<(), ConfigError> {
    let encoded: usize = utf8_percent_encode(value, NOT_UNRESERVED).map(str::len).sum();
    if encoded <= MAX_ENCODED {
        return Ok(());
    }
    let problem =
        format!("takes {encoded} bytes in the URL, which are at most {MAX_ENCODED} (16 KiB); give a shorter one");
    Err(ConfigError::new(field, &printable(value, 40), problem).with_kind(ConfigErrorKind::OutOfRange))
}
