//! Bytes to send: given once, or a pattern repeated up to a length.

use std::fmt;
use std::sync::Arc;

/// Length of the pieces in which a repeated pattern is sent.
const BLOCK: usize = 64 * 1024;

/// Bytes to send: given once, or a pattern repeated up to a total length that is never held in memory.
///
/// ```
/// use cvm_watch_sim::Payload;
///
/// let flood = Payload::repeat("data: x\n", 200 << 20);
/// assert_eq!(flood.len(), 200 << 20);
/// assert_eq!(flood.pieces().map(|piece| piece.len() as u64).sum::<u64>(), 200 << 20);
/// assert!(flood.pieces().all(|piece| piece.len() <= 64 * 1024 + 8));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    // Whole patterns, so that blocks follow each other without a seam.
    block: Arc<[u8]>,
    total: u64,
}

impl Payload {
    /// These bytes, once, in one piece.
    pub fn once(bytes: impl Into<Vec<u8>>) -> Payload {
        let block: Arc<[u8]> = bytes.into().into();
        let total = length(&block);
        Payload { block, total }
    }

    /// `pattern` over and over until `total` bytes, the last one cut if need be. An empty pattern gives nothing.
    pub fn repeat(pattern: impl AsRef<[u8]>, total: u64) -> Payload {
        let pattern = pattern.as_ref();
        let wanted = usize::try_from(total).unwrap_or(usize::MAX).min(BLOCK);
        let copies = if pattern.is_empty() { 0 } else { wanted.div_ceil(pattern.len()) };
        let block: Arc<[u8]> = pattern.repeat(copies).into();
        let total = if block.is_empty() { 0 } else { total };
        Payload { block, total }
    }

    /// How many bytes in all.
    pub const fn len(&self) -> u64 {
        self.total
    }

    /// Whether there is nothing to send.
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The bytes in order, in the pieces in which they are sent; none is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> + Send {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let piece = self.piece(offset, usize::MAX);
            offset += length(piece);
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// The piece that begins at `offset`, `size` bytes at most; empty at the end.
    pub(crate) fn piece(&self, offset: u64, size: usize) -> &[u8] {
        let left = usize::try_from(self.total.saturating_sub(offset)).unwrap_or(usize::MAX);
        let start = offset.checked_rem(length(&self.block)).unwrap_or_default();
        let block = self.block.get(usize::try_from(start).unwrap_or(usize::MAX)..).unwrap_or_default();
        block.get(..size.min(left)).unwrap_or(block)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The first bytes as text, and the total length: a flood must not flood a test's output.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.pieces().next().unwrap_or_default();
        let shown = shown.get(..200).unwrap_or(shown);
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if length(shown) < self.total {
            write!(f, "… ({} bytes)", self.total)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_goes_on_over_the_pieces_without_a_seam() {
        let payload = Payload::repeat("abc", 200_000);
        let bytes = payload.pieces().flatten().copied().collect::<Vec<_>>();
        assert_eq!(bytes.len(), 200_000);
        assert!(bytes.iter().zip("abc".bytes().cycle()).all(|(left, right)| *left == right));
    }

    #[test]
    fn short_cut_and_empty_payloads_hold_what_they_say() {
        let text = |payload: &Payload| payload.pieces().collect::<Vec<_>>().concat();
        assert_eq!(text(&Payload::repeat("abc", 4)), b"abca");
        assert_eq!(text(&Payload::repeat("abc", 2)), b"ab");
        assert_eq!(text(&Payload::once("x")), b"x");
        for empty in [Payload::once(""), Payload::repeat("", 9), Payload::repeat("abc", 0)] {
            assert!(empty.is_empty());
            assert_eq!(empty.pieces().count(), 0);
        }
    }

    #[test]
    fn debug_stays_short() {
        assert_eq!(format!("{:?}", Payload::once("a\n")), r#""a\n""#);
        let flood = format!("{:?}", Payload::repeat("x", 1 << 40));
        assert!(flood.ends_with("… (1099511627776 bytes)") && flood.len() < 300, "{flood}");
    }
}
