//! Finds the ends of strings in JSON text.
//!
//! A string ends at the next quote, unless a backslash or a control character comes first. The search for these three
//! reads eight bytes at a time.

/// Returns the position of the first quote, backslash or control character.
#[inline(always)]
pub(crate) fn find_mark(bytes: &[u8]) -> Option<usize> {
    const fn eight(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // Sets the top bit of each byte below `bound`, and possibly of bytes after it, which does not matter for the
    // first.
    let below = |word: u64, bound: u8| word.wrapping_sub(eight(bound)) & !word & eight(0x80);
    let (words, last) = bytes.as_chunks();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // Flipping this bit moves the quote next to the control characters, so one comparison finds both.
        let marks = below(word ^ eight(b'"' ^ b' '), b' ' + 1) | below(word ^ eight(b'\\'), 1);
        if marks != 0 {
            return Some(8 * number + marks.trailing_zeros() as usize / 8);
        }
    }
    let in_last = last.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
    Some(8 * words.len() + in_last)
}

/// Returns the length of the string at the start of `json`, including its quotes; `None` without a closing quote.
/// Control characters, which a valid string cannot hold, are skipped.
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
