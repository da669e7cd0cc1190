//! Looking for a byte in 64 others at once.
//!
//! A `memchr` call for each line costs more than a short line itself. So a block of 64 bytes is
//! compared as a whole, the result is kept as one bit a byte, and lines are walked by counting
//! trailing zeros.

/// The bytes that are looked at together, one bit each.
pub(super) const BLOCK: usize = 64;

const ONES: u64 = u64::from_le_bytes([1; 8]);
const TOPS: u64 = ONES << 7;

/// Where the first block of `bytes` holds `first` or `second`, neither of them zero: bit 0 for its
/// first byte. And how many bytes that block has: fewer than 64 only if `bytes` ends there.
#[inline]
pub(super) fn find(bytes: &[u8], first: u8, second: u8) -> (u64, usize) {
    match bytes.first_chunk::<BLOCK>() {
        Some(block) if any(block, first, second) => (find_in_block(block, first, second), BLOCK),
        Some(_) => (0, BLOCK),
        None => (find_in_rest(bytes, first, second), bytes.len()),
    }
}

/// The first block that [`find`] finds something in, else the last one; and how many bytes lie
/// before it.
#[inline]
pub(super) fn find_on(bytes: &[u8], first: u8, second: u8) -> (usize, u64, usize) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (number, block) in blocks.iter().enumerate() {
        if any(block, first, second) {
            return (BLOCK * number, find_in_block(block, first, second), BLOCK);
        }
    }
    (BLOCK * blocks.len(), find_in_rest(rest, first, second), rest.len())
}

/// Most blocks of a long line hold neither byte, and this tells so at a third of the cost.
#[inline]
fn any(block: &[u8; BLOCK], first: u8, second: u8) -> bool {
    let mut any = 0;
    for &byte in block {
        any |= u8::from((byte == first) | (byte == second));
    }
    any != 0
}

/// Compilers turn the comparison into vector instructions, if it is a loop over two slices. There
/// is no safe name for the instruction that gathers the result.
#[inline]
fn find_in_block(block: &[u8; BLOCK], first: u8, second: u8) -> u64 {
    let mut found = [0; BLOCK];
    for (found, &byte) in found.iter_mut().zip(block) {
        *found = u8::from((byte == first) | (byte == second));
    }
    let (words, _) = found.as_chunks();
    let mut mask = 0;
    for (number, word) in words.iter().enumerate() {
        mask |= gather(u64::from_le_bytes(*word)) << (8 * number);
    }
    mask
}

/// The same for less than a block, a word at a time.
fn find_in_rest(rest: &[u8], first: u8, second: u8) -> u64 {
    let (words, short) = rest.as_chunks();
    let mut mask = 0;
    for (number, word) in words.iter().enumerate() {
        mask |= find_in_word(u64::from_le_bytes(*word), first, second) << (8 * number);
    }
    if short.is_empty() {
        return mask;
    }
    // Some bytes twice is quicker than fewer one by one.
    match rest.last_chunk() {
        Some(word) => mask | find_in_word(u64::from_le_bytes(*word), first, second) << (rest.len() - 8),
        None => {
            let word = short.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            find_in_word(word, first, second)
        }
    }
}

#[inline]
fn find_in_word(word: u64, first: u8, second: u8) -> u64 {
    gather((marks(word, first) | marks(word, second)) >> 7)
}

/// The top bit of every byte that is `byte`: those that are zero after the exclusive or carry
/// nothing into it.
#[inline]
fn marks(word: u64, byte: u8) -> u64 {
    let other = word ^ (ONES * u64::from(byte));
    !(((other & !TOPS) + !TOPS) | other) & TOPS
}

/// Whether `bytes`, a few of them, are ASCII without a line end.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let is_other = |byte: u8| (byte >> 7) | u8::from((byte == b'\n') | (byte == b'\r'));
    let (lanes, short) = bytes.as_chunks::<16>();
    let mut others = 0;
    for lane in lanes {
        for &byte in lane {
            others |= is_other(byte);
        }
    }
    others == 0 && short.iter().all(|&byte| is_other(byte) == 0)
}

/// Eight bytes of 0 or 1 as eight bits: the multiplication moves that of byte n to bit n of the top
/// byte.
#[inline]
fn gather(bytes: u64) -> u64 {
    bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::{find, find_on, is_plain};
    use alloc::vec::Vec;

    fn plain(bytes: &[u8], first: u8, second: u8) -> (u64, usize) {
        let block = &bytes[..bytes.len().min(64)];
        let mut mask = 0;
        for (place, byte) in block.iter().enumerate() {
            if *byte == first || *byte == second {
                mask |= 1 << place;
            }
        }
        (mask, block.len())
    }

    /// Every byte value in turn at every place of blocks of every length, among bytes that differ
    /// from those sought by one bit.
    #[test]
    fn what_is_found_is_what_the_plain_version_finds() {
        for length in 0..=130 {
            // In every second case ASCII only.
            let others = [0, b'\n' ^ 1, b'\r' ^ [0x80, 1][length % 2], b'\n' | 0x20, [0xff, 0x7f][length % 2]];
            let mut bytes: Vec<u8> = (0..length).map(|place| others[place % others.len()]).collect();
            for place in 0..length {
                let kept = bytes[place];
                for byte in 0..=255 {
                    bytes[place] = byte;
                    assert_eq!(find(&bytes, b'\n', b'\r'), plain(&bytes, b'\n', b'\r'), "{bytes:?}");
                    let (before, found, length) = find_on(&bytes, b'\n', b'\r');
                    assert_eq!((found, length), plain(&bytes[before..], b'\n', b'\r'), "{bytes:?}");
                    assert!(!bytes[..before].iter().any(|byte| b"\r\n".contains(byte)), "{bytes:?}");
                    assert!(found != 0 || before + length == bytes.len(), "{bytes:?}");
                    assert_eq!(find(&bytes, b':', b':'), plain(&bytes, b':', b':'), "{bytes:?}");
                    let is_ascii_line = bytes.iter().all(|byte| *byte < 128 && *byte != b'\n' && *byte != b'\r');
                    assert_eq!(is_plain(&bytes), is_ascii_line, "{bytes:?}");
                }
                // Line ends pile up behind the place.
                bytes[place] = if kept & 1 == 0 { b'\n' } else { kept };
            }
        }
    }
}
