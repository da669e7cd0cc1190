//! What a decoder read, summed up so that its result can be checked.

use std::hint::black_box;

/// Takes the events of a stream, in order. `name` is empty or `message` when it is unset, `id` empty
/// when there is none.
pub trait Sink: Default {
    fn event(&mut self, name: &str, data: &str, id: &str);
    fn sum(&self) -> Sum;
}

/// Equal for equal events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub events: u64,
    pub bytes: u64,
    /// Of every byte; 0 where only counts were taken.
    pub hash: u64,
}

/// Hashes all that it is given: for the check before the clock starts.
pub struct Hashed(Sum);

impl Default for Hashed {
    fn default() -> Self {
        Self(Sum { hash: 0xcbf2_9ce4_8422_2325, ..Sum::default() })
    }
}

impl Sink for Hashed {
    fn event(&mut self, name: &str, data: &str, id: &str) {
        let name = if name.is_empty() { "message" } else { name };
        self.0.events += 1;
        self.0.bytes += data.len() as u64;
        // FNV-1a, with a byte that no text holds after each part.
        let parts = name.bytes().chain([0xff]).chain(data.bytes()).chain([0xff]).chain(id.bytes()).chain([0xff]);
        self.0.hash = parts.fold(self.0.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }

    fn sum(&self) -> Sum {
        self.0
    }
}

/// Counts events and bytes, so cheaply that it may run against the clock.
#[derive(Default)]
pub struct Counted(Sum);

impl Sink for Counted {
    #[inline]
    fn event(&mut self, name: &str, data: &str, id: &str) {
        black_box((name, data, id));
        self.0.events += 1;
        self.0.bytes += data.len() as u64;
    }

    fn sum(&self) -> Sum {
        self.0
    }
}

/// Copies each event into owned strings first, as most peers return them.
#[derive(Default)]
pub struct Owned(Sum);

impl Sink for Owned {
    fn event(&mut self, name: &str, data: &str, id: &str) {
        let owned = black_box((name.to_owned(), data.to_owned(), id.to_owned()));
        self.0.events += 1;
        self.0.bytes += owned.1.len() as u64;
    }

    fn sum(&self) -> Sum {
        self.0
    }
}
