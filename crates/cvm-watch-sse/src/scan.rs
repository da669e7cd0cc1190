//! Searching eight bytes at once, and the check of UTF-8.

use core::str::Utf8Error;
use memchr::memchr2;

const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const TOP_BITS: u64 = eight(0x80);

#[inline(always)]
pub(super) fn is_line_end(byte: u8) -> bool {
    (byte == b'\n') | (byte == b'\r')
}

/// Where the first CR or LF is.
///
/// Two words are searched first, because many lines end there and a call of `memchr2` costs more: token
/// events take 40 % longer otherwise. The words are searched for any byte up to CR, which takes a third of
/// the instructions of two exact comparisons; text has few others, such as tabs, and `memchr2` settles those.
#[inline(always)]
pub(super) fn find_line_end(bytes: &[u8]) -> Option<usize> {
    let Some((first, rest)) = bytes.split_first_chunk() else {
        return bytes.iter().position(|byte| is_line_end(*byte));
    };
    let place = if let Some(place) = first_low(*first) {
        place
    } else if let Some(second) = rest.first_chunk() {
        8 + first_low(*second).unwrap_or(8)
    } else {
        // The last word overlaps the first, which has none.
        rest.len() + first_low(*bytes.last_chunk()?)?
    };
    if is_line_end(*bytes.get(place)?) {
        return Some(place);
    }
    Some(place + memchr2(b'\n', b'\r', bytes.get(place..)?)?)
}

/// `core::str::from_utf8`, by SIMD if that feature is on: 64 KiB events take 40 % less time, text outside
/// ASCII 40 % less.
#[inline]
pub(super) fn from_utf8(bytes: &[u8]) -> Result<&str, Utf8Error> {
    #[cfg(feature = "simdutf8")]
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        return Ok(text);
    }
    core::str::from_utf8(bytes)
}

/// Where the first byte up to CR is.
#[inline(always)]
fn first_low(word: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(word);
    // The subtraction borrows into the top bit of a byte that is less, and perhaps of bytes after it.
    let low = word.wrapping_sub(eight(b'\r' + 1)) & !word & TOP_BITS;
    (low != 0).then(|| low.trailing_zeros() as usize / 8)
}

/// Where the first line begins that is neither blank nor a comment. Err: there is none, and whether
/// a line begins after the bytes, as `starts_line` says of the first one.
///
/// The LF of a CRLF counts as a blank line.
#[inline(always)]
pub(super) fn find_field(bytes: &[u8], starts_line: bool) -> Result<usize, bool> {
    if bytes.len() <= BLOCK { find_field_in_few(bytes, starts_line) } else { find_field_in_many(bytes, starts_line) }
}

/// The bytes that are compared at once by [`find_field_in_many`].
const BLOCK: usize = 32;

/// Whole blocks are compared with the bytes before them, in a loop that compilers turn into vector
/// instructions: a run of comments takes a tenth to a fifth of the time.
#[inline(never)]
fn find_field_in_many(bytes: &[u8], starts_line: bool) -> Result<usize, bool> {
    let begins_field = |before: u8, byte: u8| is_line_end(before) & !is_line_end(byte) & (byte != b':');
    if starts_line && begins_field(b'\n', bytes.first().copied().unwrap_or(b':')) {
        return Ok(0);
    }
    let (before, _) = bytes.as_chunks::<BLOCK>();
    let (blocks, _) = bytes.get(1..).unwrap_or_default().as_chunks::<BLOCK>();
    let is_skipped = |(before, block): &(&[u8; BLOCK], &[u8; BLOCK])| {
        !before.iter().zip(*block).fold(false, |found, (before, byte)| found | begins_field(*before, *byte))
    };
    let skipped = BLOCK * before.iter().zip(blocks).take_while(is_skipped).count();
    let starts_line = bytes.get(..skipped).and_then(<[u8]>::last).map_or(starts_line, |byte| is_line_end(*byte));
    let found = find_field_in_few(bytes.get(skipped..).unwrap_or_default(), starts_line);
    found.map(|place| skipped + place)
}

#[inline(always)]
fn find_field_in_few(bytes: &[u8], starts_line: bool) -> Result<usize, bool> {
    let mut rest = bytes;
    if !starts_line {
        let end = find_line_end(rest).ok_or(false)?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    loop {
        rest = match rest {
            [b'\n' | b'\r', line @ ..] | [b':', b'\n' | b'\r', line @ ..] => line,
            [b':', line @ ..] => line.get(find_line_end(line).ok_or(false)? + 1..).unwrap_or_default(),
            [_, ..] => return Ok(bytes.len() - rest.len()),
            [] => return Err(true),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{find_field, find_line_end};
    use alloc::vec::Vec;

    /// Each byte that is searched for and all that differ from it by one bit, at every place of
    /// inputs of every length, among bytes that differ from line ends by one bit.
    #[test]
    fn the_first_line_end_is_found_in_inputs_of_any_length() {
        for length in 0..=130 {
            let others = [0, b'\n' ^ 1, b'\r' ^ [0x80, 1][length % 2], b'\n' | 0x20, [0xff, 0x7f][length % 2]];
            let mut bytes: Vec<u8> = (0..length).map(|place| others[place % others.len()]).collect();
            for place in 0..length {
                let kept = bytes[place];
                for byte in
                    [b'\n', b'\r'].into_iter().flat_map(|byte| (0..=8).map(move |bit| byte ^ (1 << bit >> 1) as u8))
                {
                    bytes[place] = byte;
                    for from in [0, place, length] {
                        let expected = bytes[from..].iter().position(|byte| b"\r\n".contains(byte));
                        assert_eq!(find_line_end(&bytes[from..]), expected, "{bytes:?}");
                    }
                }
                // Line ends pile up behind the place.
                bytes[place] = if kept & 1 == 0 { b'\n' } else { kept };
            }
        }
    }

    #[test]
    fn the_first_field_is_found_after_any_comments() {
        let pieces: [&[u8]; 8] = [b":", b"\n", b"\r", b"x", b";", b"\x0b", b"\xba", b"::::::::"];
        for number in 0..pieces.len().pow(5) {
            let bytes = (0..5)
                .map(|place| pieces[number / pieces.len().pow(place) % pieces.len()])
                .collect::<Vec<_>>()
                .concat();
            for starts_line in [false, true] {
                let mut starts = starts_line;
                let place = bytes.iter().position(|byte| {
                    let is_end = b"\r\n".contains(byte);
                    let is_field = starts && !is_end && *byte != b':';
                    starts = is_end;
                    is_field
                });
                let expected = place.ok_or(starts);
                assert_eq!(find_field(&bytes, starts_line), expected, "{bytes:?}, {starts_line}");
            }
        }
    }
}
