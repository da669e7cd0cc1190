//! Text that `Debug` does not show.

use core::fmt;

use cvm_watch_core::printable;

/// A secret, or text that may hold one.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Text for an error message, unless it looks like a token that was put into the wrong place.
pub(super) fn shown(text: &str, width: usize) -> String {
    if looks_like_a_token(text) { "***".to_owned() } else { printable(text, width) }
}

/// Tokens begin with `phak_`, are JSON Web Tokens, or are long words of letters and digits.
pub(super) fn looks_like_a_token(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-+/=".contains(char);
    let is_mixed =
        text.contains(|char: char| char.is_ascii_digit()) && text.contains(|char: char| char.is_alphabetic());
    let text = text.trim();
    text.to_ascii_lowercase().contains("phak_")
        || text.starts_with("eyJ")
        || (text.len() >= 24 && is_mixed && text.chars().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_distinguished_from_names_and_urls() {
        for token in [
            "phak_x",
            " PHAK_1",
            "Bearer phak_1",
            "https://phak_1",
            "eyJhbGciOiJ",
            "3f9aB27c4d5e6f708192a3b4",
            "a1/b2+c3/d4+e5/f6+g7/h8=",
        ] {
            assert!(looks_like_a_token(token), "{token}");
            assert_eq!(shown(token, 40), "***");
        }
        for text in [
            "",
            "work",
            "staging-eu-1",
            "https://cloud-api.phala.com/api/v1",
            "nowhere",
            "a-very-long-name-of-a-profile-indeed",
        ] {
            assert!(!looks_like_a_token(text), "{text}");
            assert_eq!(shown(text, 40), text);
        }
        assert_eq!(shown("a\nb", 40), r"a\nb");
    }
}
