use alloc::string::String;
use alloc::vec::Vec;

/// The capacity that an empty buffer may keep for the next event.
const KEPT: usize = 4 * 1024;
/// The least that a buffer grows by.
const LEAST: usize = 16;
/// Under this capacity a buffer grows by doubling, above it by a quarter: from there on allocators
/// move pages rather than bytes.
const DOUBLING: usize = 128 * 1024;

/// A growable buffer of text or of the bytes of text.
pub(super) trait Buffer {
    fn len(&self) -> usize;
    fn capacity(&self) -> usize;
    fn reserve_exact(&mut self, additional: usize);
    fn append(&mut self, text: &str);
    fn clear(&mut self);
    fn shrink_to_fit(&mut self);
}

/// Appends `text`. `max_len` is the most that this buffer can be asked to hold: growth ahead of
/// need stops there.
pub(super) fn push(buffer: &mut impl Buffer, text: &str, max_len: usize) {
    let needed = buffer.len().saturating_add(text.len());
    let capacity = buffer.capacity();
    if needed > capacity {
        let step = if capacity < DOUBLING { capacity.max(LEAST) } else { capacity / 4 };
        let target = capacity.saturating_add(step).min(max_len).max(needed);
        buffer.reserve_exact(target - buffer.len());
    }
    buffer.append(text);
}

/// Empties `buffer`, and gives its memory back if it grew large.
pub(super) fn clear(buffer: &mut impl Buffer) {
    buffer.clear();
    trim(buffer);
}

/// Empties `buffer`, and gives its memory back unless that is next to nothing.
pub(super) fn free(buffer: &mut impl Buffer) {
    buffer.clear();
    if buffer.capacity() > LEAST {
        buffer.shrink_to_fit();
    }
}

/// Gives back the memory that `buffer` has ahead of its text, if that is much.
pub(super) fn trim(buffer: &mut impl Buffer) {
    let spare = buffer.len() / 4;
    if buffer.capacity() > KEPT.max(buffer.len() + spare) {
        buffer.shrink_to_fit();
    }
}

macro_rules! buffer {
    ($type:ty, $append:expr) => {
        impl Buffer for $type {
            fn len(&self) -> usize {
                <$type>::len(self)
            }

            fn capacity(&self) -> usize {
                <$type>::capacity(self)
            }

            fn reserve_exact(&mut self, additional: usize) {
                <$type>::reserve_exact(self, additional);
            }

            fn append(&mut self, text: &str) {
                $append(self, text);
            }

            fn clear(&mut self) {
                <$type>::clear(self);
            }

            fn shrink_to_fit(&mut self) {
                <$type>::shrink_to_fit(self);
            }
        }
    };
}

buffer!(String, String::push_str);
buffer!(Vec<u8>, |bytes: &mut Vec<u8>, text: &str| bytes.extend_from_slice(text.as_bytes()));

#[cfg(test)]
mod tests {
    use super::{KEPT, LEAST, clear, free, push, trim};
    use alloc::string::String;

    #[test]
    fn growth_stops_at_the_most_that_can_be_asked_for() {
        let mut buffer = String::new();
        for _ in 0..100_000 {
            push(&mut buffer, "x", 100_000);
            assert!(buffer.capacity() <= 100_000);
        }
        assert_eq!(buffer.capacity(), 100_000);
    }

    #[test]
    fn growth_is_rare() {
        let (mut buffer, mut growths) = (String::new(), 0);
        for _ in 0..1_000_000 {
            let before = buffer.capacity();
            push(&mut buffer, "x", usize::MAX);
            growths += usize::from(buffer.capacity() != before);
            assert!(buffer.capacity() <= (2 * buffer.len()).max(LEAST));
        }
        assert!(growths < 24, "{growths}");
    }

    #[test]
    fn a_large_buffer_shrinks_and_a_small_one_is_reused() {
        let mut buffer = String::with_capacity(KEPT);
        clear(&mut buffer);
        assert_eq!(buffer.capacity(), KEPT);
        buffer.reserve_exact(KEPT + 1);
        buffer.push_str("kept");
        trim(&mut buffer);
        assert!(buffer == "kept" && buffer.capacity() <= KEPT);
        buffer.reserve_exact(KEPT + 1);
        clear(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn a_freed_buffer_keeps_next_to_nothing() {
        for (capacity, kept) in [(0, 0), (LEAST, LEAST), (LEAST + 1, 0)] {
            let mut buffer = String::with_capacity(capacity);
            buffer.push_str(&"x".repeat(capacity));
            free(&mut buffer);
            assert!(buffer.is_empty() && buffer.capacity() == kept, "{capacity}");
        }
    }
}
