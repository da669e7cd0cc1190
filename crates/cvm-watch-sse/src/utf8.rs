use core::str::from_utf8;

/// Reads a stream of bytes as UTF-8, with U+FFFD for each maximal subpart that is invalid, across
/// any cuts.
///
/// At most the three first bytes of a cut character wait inside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    cut: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Whether no character is cut.
    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Gives the text of `bytes` to `out`, piece by piece, until `out` refuses one.
    pub(super) fn feed<E>(&mut self, bytes: &[u8], mut out: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let mut bytes = bytes;
        while self.len > 0
            && let Some((&byte, rest)) = bytes.split_first()
        {
            match self.complete(byte) {
                Completion::Open => bytes = rest,
                Completion::Char(char) => {
                    bytes = rest;
                    out(char.encode_utf8(&mut [0; 4]))?;
                }
                Completion::Broken => out("\u{FFFD}")?,
            }
        }
        loop {
            let error = match from_utf8(bytes) {
                Ok("") => return Ok(()),
                Ok(text) => return out(text),
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or_default();
            if let Ok(text) = from_utf8(valid)
                && !text.is_empty()
            {
                out(text)?;
            }
            let Some(invalid) = error.error_len() else {
                self.keep(rest);
                return Ok(());
            };
            out("\u{FFFD}")?;
            bytes = rest.get(invalid..).unwrap_or_default();
        }
    }

    /// Ends the text: a character still cut is invalid.
    pub(super) fn finish<E>(self, mut out: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        if self.len > 0 { out("\u{FFFD}") } else { Ok(()) }
    }

    fn keep(&mut self, start: &[u8]) {
        for (place, &byte) in self.cut.iter_mut().zip(start) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Adds `byte` to the cut character. If it does not belong there, it is to be read again.
    fn complete(&mut self, byte: u8) -> Completion {
        let len = usize::from(self.len);
        if let Some(place) = self.cut.get_mut(len) {
            *place = byte;
        }
        let completion = match from_utf8(self.cut.get(..=len).unwrap_or_default()) {
            Ok(text) => text.chars().next().map_or(Completion::Broken, Completion::Char),
            Err(error) if error.error_len().is_none() => Completion::Open,
            Err(_) => Completion::Broken,
        };
        self.len = if let Completion::Open = completion { self.len + 1 } else { 0 };
        completion
    }
}

enum Completion {
    Open,
    Char(char),
    Broken,
}

#[cfg(test)]
mod tests {
    use super::Utf8;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::convert::Infallible;

    fn read(parts: &[&[u8]]) -> String {
        let mut text = String::new();
        let mut utf8 = Utf8::default();
        let mut out = |piece: &str| {
            text.push_str(piece);
            Ok::<(), Infallible>(())
        };
        for part in parts {
            let Ok(()) = utf8.feed(part, &mut out);
        }
        let Ok(()) = utf8.finish(&mut out);
        text
    }

    /// Every class of byte that UTF-8 tells apart.
    const BYTES: [u8; 20] = [
        0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1,
        0xf4, 0xf5,
    ];

    #[test]
    fn every_word_of_four_bytes_reads_as_the_standard_library_reads_it_however_cut() {
        for number in 0..BYTES.len().pow(4) {
            let word: Vec<u8> = (0..4).map(|place| BYTES[number / BYTES.len().pow(place) % BYTES.len()]).collect();
            let expected = String::from_utf8_lossy(&word);
            for cuts in 0..8_u8 {
                let mut parts = Vec::new();
                let mut from = 0;
                for at in 1..=3 {
                    if cuts & (1 << (at - 1)) != 0 {
                        parts.push(&word[from..at]);
                        from = at;
                    }
                }
                parts.push(&word[from..]);
                assert_eq!(read(&parts), expected, "{parts:x?}");
            }
        }
    }

    #[test]
    fn a_refusal_stops_the_reading() {
        let mut pieces = 0;
        let refused = Utf8::default().feed(b"a\xffb\xffc", |_| {
            pieces += 1;
            if pieces == 2 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((refused, pieces), (Err("enough"), 2));
    }
}
