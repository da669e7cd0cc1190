use alloc::string::String;
use alloc::vec::Vec;

/// The capacity that an empty buffer may keep for the next event.
const KEPT: usize = 4 * 1024;
/// Under this capacity a buffer grows by doubling, above it by a quarter: from there on allocators
/// move pages rather than bytes.
const DOUBLING: usize = 128 * 1024;

/// A growable buffer of text or of the bytes of text.
pub(super) trait Buffer {
    /// The least that it grows by.
    const LEAST: usize;
    /// What it is made of.
    type Text: AsRef<[u8]> + ?Sized;

    fn len(&self) -> usize;
    fn capacity(&self) -> usize;
    fn reserve_exact(&mut self, additional: usize);
    fn append(&mut self, bytes: &Self::Text);
    fn clear(&mut self);
    fn shrink_to_fit(&mut self);
}

/// Appends `text`. `max_len` is the most that this buffer can be asked to hold: growth ahead of
/// need stops there.
#[inline]
pub(super) fn push<B: Buffer>(buffer: &mut B, text: &B::Text, max_len: usize) {
    let needed = buffer.len().saturating_add(text.as_ref().len());
    if needed > buffer.capacity() {
        grow(buffer, needed, max_len);
    }
    buffer.append(text);
}

#[inline(never)]
fn grow<B: Buffer>(buffer: &mut B, needed: usize, max_len: usize) {
    let capacity = buffer.capacity();
    let step = if capacity < DOUBLING { capacity.max(B::LEAST) } else { capacity / 4 };
    let target = capacity.saturating_add(step).min(max_len).max(needed);
    buffer.reserve_exact(target - buffer.len());
}

/// Empties `buffer`, and gives its memory back if it grew large.
pub(super) fn clear(buffer: &mut impl Buffer) {
    buffer.clear();
    trim(buffer);
}

/// Empties `buffer`, and gives its memory back unless that is next to nothing.
pub(super) fn free(buffer: &mut impl Buffer) {
    buffer.clear();
    if buffer.capacity() > String::LEAST {
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
    ($type:ty, of $text:ty, at_least $least:literal, $append:path) => {
        impl Buffer for $type {
            const LEAST: usize = $least;
            type Text = $text;

            fn len(&self) -> usize {
                <$type>::len(self)
            }

            fn capacity(&self) -> usize {
                <$type>::capacity(self)
            }

            fn reserve_exact(&mut self, additional: usize) {
                <$type>::reserve_exact(self, additional);
            }

            fn append(&mut self, text: &$text) {
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

// A name, an id.
buffer!(String, of str, at_least 16, String::push_str);
// The data of an event: that of a state needs no second growth.
buffer!(Vec<u8>, of [u8], at_least 192, Vec::extend_from_slice);

#[cfg(test)]
mod tests {
    use super::{Buffer, KEPT, clear, free, push, trim};
    const LEAST: usize = String::LEAST;
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
        assert!(growths < 32, "{growths}");
    }

    #[test]
    fn growth_is_as_documented() {
        let mut buffer = String::with_capacity(100);
        push(&mut buffer, &"x".repeat(100), usize::MAX);
        assert_eq!(buffer.capacity(), 100, "what fits needs no growth");
        push(&mut buffer, "x", usize::MAX);
        assert_eq!(buffer.capacity(), 200, "a small buffer doubles");
        let mut buffer = "x".repeat(128 * 1024);
        buffer.shrink_to_fit();
        push(&mut buffer, "x", usize::MAX);
        assert_eq!(buffer.capacity(), 160 * 1024, "a large one grows by a quarter");
    }

    #[test]
    fn a_buffer_is_trimmed_when_more_than_a_quarter_of_its_text_is_spare() {
        for (capacity, kept) in [(125_000, 125_000), (125_001, 100_000)] {
            let mut buffer = String::with_capacity(capacity);
            buffer.push_str(&"x".repeat(100_000));
            trim(&mut buffer);
            assert_eq!(buffer.capacity(), kept);
        }
    }

    #[test]
    fn a_large_buffer_shrinks_and_a_small_one_is_reused() {
        assert_eq!(KEPT, 4096);
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
