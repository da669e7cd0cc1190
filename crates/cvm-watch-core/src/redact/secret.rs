//! One secret, in all the forms that are looked for.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use memchr::memmem::Finder;

/// Shorter secrets are only redacted where they stand alone.
const SHORT: usize = 6;
/// At the end of a text that was cut, this many bytes of a secret are redacted too.
const SHORTEST_CUT: usize = 4;
/// The same for a secret in another alphabet, where a few characters mean less.
const SHORTEST_ENCODED_CUT: usize = 8;
/// What decoding leaves of a character that was cut in the middle.
const CUT_CHARACTER: &[u8] = "\u{fffd}".as_bytes();

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[derive(Clone)]
pub(super) struct Secret {
    plain: Finder<'static>,
    /// As base64, in both alphabets and wherever it begins in what is encoded.
    base64: Vec<Finder<'static>>,
    hex: Vec<Finder<'static>>,
    /// The length of the shortest form in another alphabet. Kept, because each payload is checked for it.
    shortest_encoded: Option<usize>,
}

impl Secret {
    pub(super) fn new(text: &str) -> Self {
        let plain = Finder::new(text).into_owned();
        let mut secret = Self { plain, base64: Vec::new(), hex: Vec::new(), shortest_encoded: None };
        if secret.is_short() {
            return secret;
        }
        let mut base64: Vec<String> = (0..3).map(|offset| base64_at(text.as_bytes(), offset)).collect();
        let url_safe: Vec<_> = base64.iter().map(|form| form.replace('+', "-").replace('/', "_")).collect();
        base64.extend(url_safe);
        base64.sort();
        base64.dedup();
        let hex: String = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(hex_digit).collect();
        let finders = |forms: &[String]| forms.iter().map(|form| Finder::new(form).into_owned()).collect();
        secret.base64 = finders(&base64);
        secret.hex = finders(&[hex.to_ascii_uppercase(), hex]);
        secret.shortest_encoded = secret.encoded().map(|form| form.needle().len()).min();
        secret
    }

    pub(super) fn text(&self) -> &str {
        core::str::from_utf8(self.plain.needle()).unwrap_or_default()
    }

    /// The length of the shortest form in another alphabet.
    pub(super) fn shortest_encoded(&self) -> Option<usize> {
        self.shortest_encoded
    }

    /// The length of the longest form.
    pub(super) fn longest(&self) -> usize {
        self.forms().map(|form| form.needle().len()).max().unwrap_or_default()
    }

    /// Whether the secret stands in these bytes as it is.
    pub(super) fn is_in(&self, bytes: &[u8]) -> bool {
        self.plain.find(bytes).is_some()
    }

    /// Where the secret stands in these bytes, in any form.
    pub(super) fn find(&self, bytes: &[u8], mut found: impl FnMut(Range<usize>)) {
        for place in places(&self.plain, bytes).filter(|place| !self.is_short() || stands_alone(bytes, place)) {
            found(place);
        }
        for place in self.base64.iter().flat_map(|form| places(form, bytes)) {
            found(with_neighbours(bytes, place));
        }
        self.hex.iter().flat_map(|form| places(form, bytes)).for_each(found);
    }

    /// Where the secret begins that these bytes end in the middle of.
    pub(super) fn find_cut(&self, bytes: &[u8]) -> Option<usize> {
        let plain = cut_in(self.plain.needle(), bytes, SHORTEST_CUT);
        let plain = plain.filter(|at| !self.is_short() || !continues_before(bytes, *at));
        let encoded = self.encoded().filter_map(|form| cut_in(form.needle(), bytes, SHORTEST_ENCODED_CUT));
        plain.into_iter().chain(encoded).min()
    }

    fn is_short(&self) -> bool {
        self.plain.needle().len() < SHORT
    }

    fn forms(&self) -> impl Iterator<Item = &Finder<'static>> {
        core::iter::once(&self.plain).chain(self.encoded())
    }

    fn encoded(&self) -> impl Iterator<Item = &Finder<'static>> {
        self.base64.iter().chain(&self.hex)
    }
}

fn places(form: &Finder<'static>, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let length = form.needle().len();
    form.find_iter(bytes).map(move |at| at..at + length)
}

/// With the characters on both sides, each of which may hold a few bits, and the padding.
fn with_neighbours(bytes: &[u8], place: Range<usize>) -> Range<usize> {
    let before = place.start.checked_sub(1).filter(|at| bytes.get(*at).is_some_and(is_of_base64));
    let after = place.end + usize::from(bytes.get(place.end).is_some_and(is_of_base64));
    let padding = bytes.iter().skip(after).take(2).take_while(|byte| **byte == b'=').count();
    before.unwrap_or(place.start)..after + padding
}

pub(super) fn is_of_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn stands_alone(bytes: &[u8], place: &Range<usize>) -> bool {
    let after = bytes.get(place.end..).and_then(|after| after.get(..4).unwrap_or(after).utf8_chunks().next());
    let continues = after.is_some_and(|after| after.valid().chars().next().is_none_or(is_of_a_word));
    !continues && !continues_before(bytes, place.start)
}

fn continues_before(bytes: &[u8], at: usize) -> bool {
    let before = (1..=at.min(4)).find_map(|length| core::str::from_utf8(bytes.get(at - length..at)?).ok());
    // A part of a character is of one outside of ASCII, and most of them are letters.
    at > 0 && before.is_none_or(|before| before.chars().all(is_of_a_word))
}

fn is_of_a_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Where the beginning of `secret` stands that these bytes end with, if it has `shortest` bytes at least.
///
/// After the algorithm of Knuth, Morris and Pratt, which takes linear time however the secret repeats itself.
fn cut_in(secret: &[u8], bytes: &[u8], shortest: usize) -> Option<usize> {
    let (bytes, is_cut) = bytes.strip_suffix(CUT_CHARACTER).map_or((bytes, false), |bytes| (bytes, true));
    // The length of the longest beginning that each beginning also ends with.
    let mut borders: Vec<usize> = Vec::with_capacity(secret.len());
    borders.push(0);
    let next = |borders: &[usize], mut matched: usize, byte: &u8| {
        loop {
            if secret.get(matched) == Some(byte) {
                return matched + 1;
            }
            match matched.checked_sub(1).and_then(|last| borders.get(last)) {
                Some(border) => matched = *border,
                None => return 0,
            }
        }
    };
    for byte in secret.get(1..)? {
        let matched = next(&borders, borders.last().copied()?, byte);
        borders.push(matched);
    }
    // A whole secret was found already.
    let tail = bytes.get((bytes.len() + 1).saturating_sub(secret.len())..)?;
    let mut matched = tail.iter().fold(0, |matched, byte| next(&borders, matched, byte));
    while matched >= shortest {
        // The rest of the cut character is outside of ASCII.
        if !is_cut || secret.get(matched).is_some_and(|byte| !byte.is_ascii()) {
            return bytes.len().checked_sub(matched);
        }
        matched = *borders.get(matched - 1)?;
    }
    None
}

/// The characters of base64 that only these bytes decide, when `offset` bytes come before them.
fn base64_at(bytes: &[u8], offset: usize) -> String {
    let padded: Vec<u8> = core::iter::repeat_n(0, offset).chain(bytes.iter().copied()).collect();
    let whole_characters = padded.len() * 8 / 6;
    let first = (offset * 8).div_ceil(6);
    let character = |number: usize| {
        let bit = number * 6;
        let pair = [bit / 8, bit / 8 + 1].map(|at| padded.get(at).copied().unwrap_or_default());
        let bits = u16::from_be_bytes(pair) >> (10 - bit % 8) & 63;
        BASE64.get(usize::from(bits)).map(|character| char::from(*character))
    };
    (first..whole_characters).filter_map(character).collect()
}

fn hex_digit(value: u8) -> Option<char> {
    char::from_digit(value.into(), 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_keeps_what_does_not_depend_on_the_neighbours() {
        // "phak_1" is cGhha18x; with one byte before it AHBoYWtfMQ, with two AABwaGFrXzE.
        assert_eq!(base64_at(b"phak_1", 0), "cGhha18x");
        assert_eq!(base64_at(b"phak_1", 1), "BoYWtfM");
        assert_eq!(base64_at(b"phak_1", 2), "waGFrXz");
        assert_eq!(base64_at(b"\xff\xfe\xfd?", 0), "//79P");
    }

    #[test]
    fn the_beginning_of_a_secret_is_found_at_the_end() {
        for (secret, text, expected) in [
            ("aaaaab", "xaaaaaaaa", Some(4)),
            ("abcabd", "xxabcab", Some(2)),
            ("abcabd", "abcabc", None),
            ("abcdef", "xabc", None),
            ("abcdef", "xabcd", Some(1)),
            ("abcdef", "", None),
        ] {
            assert_eq!(cut_in(secret.as_bytes(), text.as_bytes(), 4), expected, "{secret} in {text}");
        }
    }
}
