use memchr::memchr2;

/// Splits `bytes` before its first line end. None: there is none, the line goes on in the next
/// chunk.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], LineEnd, &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr2(b'\n', b'\r', bytes)?)?;
    match rest {
        [b'\r', b'\n', rest @ ..] => Some((line, LineEnd::Whole, rest)),
        [b'\r'] => Some((line, LineEnd::MayGoOn, &[])),
        [_, rest @ ..] => Some((line, LineEnd::Whole, rest)),
        [] => None,
    }
}

/// Whether the end of a line is known to its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    Whole,
    /// A CR at the very end of the chunk: an LF that opens the next chunk belongs to it.
    MayGoOn,
}

#[cfg(test)]
mod tests {
    use super::{LineEnd, split_line};

    fn plain(bytes: &[u8]) -> Option<(&[u8], LineEnd, &[u8])> {
        let end = bytes.iter().position(|&byte| byte == b'\n' || byte == b'\r')?;
        let crlf = bytes[end..].starts_with(b"\r\n");
        let open = &bytes[end..] == b"\r";
        let end_bytes = if crlf { 2 } else { 1 };
        Some((&bytes[..end], if open { LineEnd::MayGoOn } else { LineEnd::Whole }, &bytes[end + end_bytes..]))
    }

    #[test]
    fn line_ends_are_found_as_the_plain_version_finds_them() {
        let alphabet = b"\n\ra\x0b\x8a";
        for length in 0..=6_u32 {
            for number in 0..5_usize.pow(length) {
                let word: Vec<u8> = (0..length).map(|place| alphabet[number / 5_usize.pow(place) % 5]).collect();
                assert_eq!(split_line(&word), plain(&word), "{word:?}");
            }
        }
        let mut long = [b'x'; 150];
        for at in 0..long.len() {
            for end in [b'\n', b'\r'] {
                long[at] = end;
                for from in 0..=at {
                    assert_eq!(split_line(&long[from..]), plain(&long[from..]), "{at} {from}");
                }
                long[at] = b'x';
            }
        }
    }

    use alloc::vec::Vec;
}
