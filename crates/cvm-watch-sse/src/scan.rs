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
#[inline(always)]
pub(super) fn find(bytes: &[u8], first: u8, second: u8) -> (u64, usize) {
    match bytes.first_chunk() {
        Some(block) => (find_in_block(block, |byte| (byte == first) | (byte == second)), BLOCK),
        None => (find_in_rest(bytes, first, second), bytes.len()),
    }
}

/// Where the first block of `bytes` begins that holds `first` or `second` at `from` or later, and
/// where it holds them. It may begin earlier, if it is the last one, and hold others there.
#[inline]
pub(super) fn find_on(bytes: &[u8], from: usize, first: u8, second: u8) -> (usize, u64) {
    let mut start = from;
    while let Some(block) = bytes.get(start..).and_then(<[u8]>::first_chunk) {
        // A short line ends in its first block. Of a long one most blocks hold neither byte.
        if start == from || any(block, first, second) {
            let found = find_in_block(block, |byte| (byte == first) | (byte == second));
            if found != 0 {
                return (start, found);
            }
        }
        start += BLOCK;
    }
    find_last(bytes, start, first, second)
}

/// The same, if fewer bytes than a block come from `from` on.
#[inline]
pub(super) fn find_last(bytes: &[u8], from: usize, first: u8, second: u8) -> (usize, u64) {
    match bytes.last_chunk() {
        // One block is quicker than the words of a shorter one, and knows no branches.
        Some(block) if from < bytes.len() => {
            (bytes.len() - BLOCK, find_in_block(block, |byte| (byte == first) | (byte == second)))
        }
        _ => (from, find_in_rest(bytes.get(from..).unwrap_or_default(), first, second)),
    }
}

/// Whether `bytes`, a few of them, are printable ASCII, or DEL.
#[inline]
pub(super) fn is_printable(bytes: &[u8]) -> bool {
    // A byte below the space borrows into its top bit. So may the one above such a byte, which is
    // as well.
    let is_other = |word: u64| word | word.wrapping_sub(ONES * u64::from(b' '));
    let (words, short) = bytes.as_chunks();
    let others = words.iter().fold(0, |others, word| others | is_other(u64::from_le_bytes(*word)));
    others & TOPS == 0 && short.iter().all(|byte| (b' '..0x80).contains(byte))
}

/// Tells whether [`find_in_block`] finds anything, at half of the cost.
#[inline]
fn any(block: &[u8; BLOCK], first: u8, second: u8) -> bool {
    let mut any = 0;
    for &byte in block {
        any |= u8::from((byte == first) | (byte == second));
    }
    any != 0
}

/// Where `block` holds a byte that `is_sought`, by comparisons joined without a branch: bit 0 for its
/// first byte.
///
/// Compilers turn the comparison into vector instructions, if it is a loop over two slices of this
/// length. There is no safe name for the instruction that gathers the result. So the eight words of
/// it, with a 0 or 1 in each byte, are laid over each other, word n at bit n of every byte, and the
/// square of 8 by 8 bits is turned.
#[inline(always)]
fn find_in_block(block: &[u8; BLOCK], is_sought: impl Fn(u8) -> bool) -> u64 {
    let mut found = [0; BLOCK];
    for (found, &byte) in found.iter_mut().zip(block) {
        *found = u8::from(is_sought(byte));
    }
    let (words, _) = found.as_chunks();
    let mut square = 0;
    for (number, word) in words.iter().enumerate() {
        square |= u64::from_le_bytes(*word) << number;
    }
    if square == 0 { 0 } else { transposed(square) }
}

/// Bit m of byte n becomes bit n of byte m: what lies above the diagonal changes places with what
/// lies below, first of squares of two by two bits, then of four and of eight.
#[inline]
fn transposed(square: u64) -> u64 {
    let swapped = |bits: u64, shift: u32, above: u64| {
        let differ = (bits ^ (bits >> shift)) & above;
        bits ^ differ ^ (differ << shift)
    };
    let pairs = swapped(square, 7, 0x00aa_00aa_00aa_00aa);
    let fours = swapped(pairs, 14, 0x0000_cccc_0000_cccc);
    swapped(fours, 28, 0x0000_0000_f0f0_f0f0)
}

/// The same for less than a block, a word at a time.
#[inline]
fn find_in_rest(rest: &[u8], first: u8, second: u8) -> u64 {
    let (words, short) = rest.as_chunks();
    let mut mask = 0;
    for (number, word) in words.iter().enumerate() {
        mask |= gathered(found(u64::from_le_bytes(*word), first, second)) << (8 * number);
    }
    if short.is_empty() {
        return mask;
    }
    let last = gathered(found(last_word(rest, short), first, second));
    mask | last << rest.len().saturating_sub(8)
}

/// The last eight bytes of `bytes`: some a second time, which is quicker than fewer one by one. If
/// it has no eight, those of `short` and zeros.
#[inline]
fn last_word(bytes: &[u8], short: &[u8]) -> u64 {
    match bytes.last_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => short.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// The top bit of every byte of `word` that is `first` or `second`.
#[inline]
fn found(word: u64, first: u8, second: u8) -> u64 {
    // Where the exclusive or gives zero, nothing is carried into the top bit.
    let differs = |byte: u8| {
        let other = word ^ (ONES * u64::from(byte));
        ((other & !TOPS) + !TOPS) | other
    };
    !(differs(first) & differs(second)) & TOPS
}

/// The top bits of eight bytes as eight bits: the multiplication moves that of byte n to bit n of
/// the top byte.
#[inline]
fn gathered(tops: u64) -> u64 {
    tops.wrapping_mul(0x0002_0408_1020_4081) >> 56
}

#[cfg(test)]
mod tests {
    use super::{find, find_on, is_printable, transposed};
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

    #[test]
    fn printable_is_what_is_neither_control_nor_beyond_ascii() {
        for length in 1..=40 {
            for (place, byte) in (0..length).flat_map(|place| (0..=255).map(move |byte| (place, byte))) {
                let mut bytes: Vec<u8> = (b' '..).take(length).collect();
                bytes[place] = byte;
                assert_eq!(is_printable(&bytes), (32..128).contains(&byte), "{bytes:?}");
            }
        }
        // Two at the same place of their words do not make up for each other.
        assert!(!is_printable(b"ab\ndefghij\nlmnop"));
    }

    #[test]
    fn a_block_of_nothing_but_line_ends_is_not_passed_over() {
        for end in [b'\n', b'\r'] {
            let mut bytes = [b'x'; 128];
            bytes[64..].fill(end);
            assert_eq!(find_on(&bytes, 0, b'\n', b'\r'), (64, u64::MAX));
        }
    }

    #[test]
    fn a_square_is_turned_about_its_diagonal() {
        for (row, column) in (0..8).flat_map(|row| (0..8).map(move |column| (row, column))) {
            let others = 0x8040_2010_0804_0201;
            assert_eq!(transposed(others | 1 << (8 * row + column)), others | 1 << (8 * column + row));
        }
    }

    /// The bytes sought and all that differ from one by a bit, in turn, at every place of blocks of
    /// every length, among bytes that differ from those sought by one bit.
    #[test]
    fn what_is_found_is_what_the_plain_version_finds() {
        for length in 0..=130 {
            // In every second case ASCII only.
            let others = [0, b'\n' ^ 1, b'\r' ^ [0x80, 1][length % 2], b'\n' | 0x20, [0xff, 0x7f][length % 2]];
            let mut bytes: Vec<u8> = (0..length).map(|place| others[place % others.len()]).collect();
            for place in 0..length {
                let kept = bytes[place];
                for byte in [b'\n', b'\r', b':']
                    .into_iter()
                    .flat_map(|byte| (0..=8).map(move |bit| byte ^ (1 << bit >> 1) as u8))
                {
                    bytes[place] = byte;
                    assert_eq!(find(&bytes, b'\n', b'\r'), plain(&bytes, b'\n', b'\r'), "{bytes:?}");
                    for from in [0, place, length] {
                        let (start, found) = find_on(&bytes, from, b'\n', b'\r');
                        assert_eq!(found, plain(&bytes[start..], b'\n', b'\r').0, "{bytes:?}");
                        let first = (0..64).find(|bit| found & 1 << bit != 0 && start + bit >= from);
                        let expected = bytes[from..].iter().position(|byte| b"\r\n".contains(byte));
                        assert_eq!(first.map(|bit| start + bit), expected.map(|place| from + place), "{bytes:?}");
                    }
                    assert_eq!(find(&bytes, b':', b':'), plain(&bytes, b':', b':'), "{bytes:?}");
                }
                // Line ends pile up behind the place.
                bytes[place] = if kept & 1 == 0 { b'\n' } else { kept };
            }
        }
    }
}
