//! Where strings end in JSON text.
//!
//! A string ends at the next quote, unless a backslash or a control character comes first. The three
//! are searched for in eight bytes at once.

/// Where the first quote, backslash or control character is.
#[inline(always)]
pub(crate) fn find_mark(bytes: &[u8]) -> Option<usize> {
    const fn eight(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // The top bit of each byte below `bound`, and perhaps of bytes after such a one.
    let below = |word: u64, bound: u8| word.wrapping_sub(eight(bound)) & !word & eight(0x80);
    let (words, last) = bytes.as_chunks();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // With this bit changed the quote comes right after the control characters.
        let marks = below(word ^ eight(b'"' ^ b' '), b' ' + 1) | below(word ^ eight(b'\\'), 1);
        if marks != 0 {
            return Some(8 * number + marks.trailing_zeros() as usize / 8);
        }
    }
    let in_last = last.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
    Some(8 * words.len() + in_last)
}

/// The length of the string at the front of `json`, with its quotes. Without a closing quote there is
/// none. Control characters, which no valid string has, are passed over.
pub(crate) fn string_length(json: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += find_mark(json.get(at..)?)?;
        at += match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => 2,
            _ => 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_quote() {
        for (json, length) in [
            (r#""""#, Some(2)),
            (r#""a":"b""#, Some(3)),
            (r#""\"","#, Some(4)),
            (r#""\\" ""#, Some(4)),
            ("\"a\nb\"", Some(5)),
            (r#""12345678901234567890" "#, Some(22)),
            (r#""abc"#, None),
            (r#""abc\"#, None),
            (r#"""#, None),
            ("", None),
        ] {
            assert_eq!(string_length(json.as_bytes()), length, "{json}");
        }
    }
}
