//! Text as it reads once its escapes are decoded, again and again, and where each byte stood.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

/// How often text is decoded: JSON inside a URL inside JSON, or a `%` that was encoded twice.
const MAX_LEVELS: usize = 4;
/// No escape is longer than this.
const MAX_ESCAPE: usize = 12;

/// The entities for characters that keys and URLs have; HTML encoders write the others as numbers.
const ENTITIES: [(&[u8], u8); 15] = [
    (b"amp", b'&'),
    (b"AMP", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"sol", b'/'),
    (b"plus", b'+'),
    (b"equals", b'='),
    (b"lowbar", b'_'),
    (b"colon", b':'),
    (b"period", b'.'),
    (b"commat", b'@'),
    (b"percnt", b'%'),
    (b"bsol", b'\\'),
];

/// The same text at each level: as it is, decoded once, decoded twice.
pub(super) struct Levels<'a> {
    bytes: Cow<'a, [u8]>,
    escapes: Vec<Vec<Escape>>,
}

/// An escape that was decoded.
struct Escape {
    /// Where its bytes begin once decoded, and how many there are.
    decoded: usize,
    decoded_length: usize,
    /// Where it began before, and how long it was.
    source: usize,
    source_length: usize,
}

impl<'a> Levels<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { bytes: Cow::Borrowed(text), escapes: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Goes on to the next level; `false` if there is none.
    pub(super) fn decode(&mut self) -> bool {
        if self.escapes.len() == MAX_LEVELS {
            return false;
        }
        match decoded(&self.bytes) {
            Some((bytes, escapes)) => {
                self.bytes = Cow::Owned(bytes);
                self.escapes.push(escapes);
                true
            }
            None => false,
        }
    }

    /// Where these bytes of this level stood in the text.
    pub(super) fn in_text(&self, mut range: Range<usize>) -> Range<usize> {
        for escapes in self.escapes.iter().rev() {
            let last = range.end.saturating_sub(1);
            range = start_before(escapes, range.start)..end_before(escapes, last);
        }
        range
    }
}

/// The escape at or before this byte of the decoded text.
fn escape_at(escapes: &[Escape], at: usize) -> Option<&Escape> {
    let after = escapes.partition_point(|escape| escape.decoded <= at);
    escapes.get(after.checked_sub(1)?)
}

fn start_before(escapes: &[Escape], at: usize) -> usize {
    match escape_at(escapes, at) {
        None => at,
        Some(escape) if at < escape.decoded + escape.decoded_length => escape.source,
        Some(escape) => escape.source + escape.source_length + (at - escape.decoded - escape.decoded_length),
    }
}

fn end_before(escapes: &[Escape], last: usize) -> usize {
    match escape_at(escapes, last) {
        Some(escape) if last < escape.decoded + escape.decoded_length => escape.source + escape.source_length,
        _ => start_before(escapes, last) + 1,
    }
}

/// The bytes with each escape decoded; `None` if there is none.
fn decoded(bytes: &[u8]) -> Option<(Vec<u8>, Vec<Escape>)> {
    let mut out = Vec::new();
    let mut escapes = Vec::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr3(b'\\', b'%', b'&', rest)) {
        at += found;
        let Some((utf8, source_length)) = bytes.get(at..).and_then(escape) else {
            at += 1;
            continue;
        };
        out.extend_from_slice(bytes.get(kept..at)?);
        let escape = Escape { decoded: out.len(), decoded_length: utf8.length, source: at, source_length };
        out.extend_from_slice(utf8.bytes.get(..utf8.length)?);
        escapes.push(escape);
        at += source_length;
        kept = at;
    }
    if escapes.is_empty() {
        return None;
    }
    out.extend_from_slice(bytes.get(kept..)?);
    Some((out, escapes))
}

/// A character, or a byte that may be one of several that make a character.
struct Utf8 {
    bytes: [u8; 4],
    length: usize,
}

impl From<char> for Utf8 {
    fn from(char: char) -> Self {
        let mut bytes = [0; 4];
        let length = char.encode_utf8(&mut bytes).len();
        Self { bytes, length }
    }
}

impl From<u8> for Utf8 {
    fn from(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0], length: 1 }
    }
}

/// The escape at the front, decoded, and its length.
fn escape(text: &[u8]) -> Option<(Utf8, usize)> {
    match text.first()? {
        b'%' => Some((byte(text.get(1..3)?)?.into(), 3)),
        b'&' => entity(text),
        _ => json_escape(text),
    }
}

fn json_escape(text: &[u8]) -> Option<(Utf8, usize)> {
    let char = match text.get(1)? {
        byte @ (b'"' | b'\\' | b'/' | b'\'') => char::from(*byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        // Not JSON, but what many languages print.
        b'x' => return Some((byte(text.get(2..4)?)?.into(), 4)),
        b'u' => {
            let high = hex(text.get(2..6)?)?;
            if let Some(char) = char::from_u32(high) {
                return Some((char.into(), 6));
            }
            let low = hex(text.get(6..12)?.strip_prefix(b"\\u")?)?;
            let code = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
            return char::from_u32(code).map(|char| (char.into(), 12));
        }
        _ => return None,
    };
    Some((char.into(), 2))
}

/// `&#47;`, `&#x2f;` or `&sol;`.
fn entity(text: &[u8]) -> Option<(Utf8, usize)> {
    let name = text.get(1..text.len().min(MAX_ESCAPE))?;
    let end = name.iter().position(|byte| *byte == b';')?;
    let name = name.get(..end)?;
    let char = match name {
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(hex(digits)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => char::from(ENTITIES.iter().find(|(known, _)| *known == name)?.1),
    };
    Some((char.into(), end + 2))
}

fn byte(digits: &[u8]) -> Option<u8> {
    hex(digits).and_then(|byte| u8::try_from(byte).ok())
}

fn hex(digits: &[u8]) -> Option<u32> {
    number(digits, 16)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let is_number = digits.iter().all(|digit| char::from(*digit).is_digit(radix));
    let digits = core::str::from_utf8(digits).ok().filter(|_| is_number)?;
    u32::from_str_radix(digits, radix).ok()
}

/// The text without the escape that it was cut in.
pub(super) fn without_cut_escape(text: &[u8]) -> &[u8] {
    let start = text.len().saturating_sub(MAX_ESCAPE);
    let tail = text.get(start..).unwrap_or_default();
    let cut = (0..tail.len()).find(|at| tail.get(*at..).is_some_and(is_part_of_an_escape));
    cut.and_then(|at| text.get(..start + at)).unwrap_or(text)
}

/// Whether this is the beginning of an escape and nothing more.
fn is_part_of_an_escape(text: &[u8]) -> bool {
    let all_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match text {
        [b'%', digits @ ..] => digits.len() < 2 && all_hex(digits),
        [b'&', name @ ..] => name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#'),
        [b'\\'] => true,
        [b'\\', b'x', digits @ ..] => digits.len() < 2 && all_hex(digits),
        [b'\\', b'u', digits @ ..] if digits.len() < 4 => all_hex(digits),
        [b'\\', b'u', rest @ ..] => is_half_a_pair(rest),
        _ => false,
    }
}

/// Whether the digits of the first of two escapes that make one character come, and perhaps a part of the other.
fn is_half_a_pair(text: &[u8]) -> bool {
    let Some((first, second)) = text.split_at_checked(4) else { return false };
    let is_first = hex(first).is_some_and(|code| (0xd800..0xdc00).contains(&code));
    let is_part = matches!(second, [] | [b'\\']) || (second.starts_with(b"\\u") && is_part_of_an_escape(second));
    is_first && is_part
}
