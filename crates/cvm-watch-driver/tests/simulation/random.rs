//! Where every choice of a world comes from.

/// Marsaglia's xorshift with a multiplier: the same seed and stream give the same choices.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Streams of one seed are independent, so that one more choice in one place leaves the others
    /// as they were.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self((seed ^ stream.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            random.next();
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// A size in bytes or the like, from `least` to `most`.
    pub(crate) fn size(&mut self, least: usize, most: usize) -> usize {
        usize::try_from(self.between(least as u64, most as u64)).unwrap()
    }
}
