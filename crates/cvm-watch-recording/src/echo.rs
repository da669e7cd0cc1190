//! Echoes of secrets in bytes, in every form in which the core masks them: as they are, with
//! characters JSON-escaped or percent-encoded, and any of these within a JSON string. They are
//! rewritten in place, in the same form and length.
//!
//! What is found here may begin at any byte, where the core keeps to the escapes that it reads from
//! the left. So more is replaced than the core would mask, never less, and the same is replaced in
//! the actions that a recording holds.

use core::ops::Range;

use crate::stand_in::{Pair, StandIns};

/// As much of a secret as this is worth hiding where an echo was cut off; the core masks as much.
const SHORTEST_CUT: usize = 4;
/// The most bytes that one byte of a secret takes: an escape, each character of it escaped.
const LONGEST_FORM: usize = 36;

/// How the characters are found that a secret is written with: `\u0070`, `\/` and `%70` are read
/// among them in either way.
#[derive(Clone, Copy)]
enum Form {
    /// As they stand there.
    Plain,
    /// As a JSON string reads: `\u005c` is one character.
    InJson,
}

const FORMS: [Form; 2] = [Form::Plain, Form::InJson];

/// Replaces every echo in a text that is whole.
pub(crate) fn replace(text: &mut [u8], stand_ins: &StandIns) {
    replace_from(text, 0, true, stand_ins);
}

/// How far the echoes of a text are replaced.
struct Replaced {
    /// Up to here nothing changes any more.
    settled: usize,
    /// The end of the last echo.
    last_echo: usize,
}

/// Replaces every echo from `start` on; where one may have begun it waits for more, unless the text
/// is `over`.
fn replace_from(text: &mut [u8], start: usize, over: bool, stand_ins: &StandIns) -> Replaced {
    let mut replaced = Replaced { settled: start, last_echo: start };
    let mut edits = Vec::new();
    while let Some(rest) = text.get_mut(replaced.settled..).filter(|rest| !rest.is_empty()) {
        match find(rest, over, stand_ins, &mut edits) {
            Found::Echo { length } => {
                apply(&edits, rest);
                replaced.settled += length;
                replaced.last_echo = replaced.settled;
            }
            Found::Nothing => replaced.settled += 1,
            Found::Begun => break,
        }
    }
    replaced
}

enum Found {
    Echo { length: usize },
    Nothing,
    Begun,
}

/// What stands at the front of `text`.
fn find(text: &[u8], over: bool, stand_ins: &StandIns, edits: &mut Vec<Edit>) -> Found {
    for (pair, form) in candidates(text, stand_ins) {
        match fit(pair, text, form, edits) {
            Fit::Whole { length } => return Found::Echo { length },
            Fit::Begun { .. } if !over => return Found::Begun,
            Fit::Begun { .. } | Fit::No => {}
        }
    }
    Found::Nothing
}

/// The secrets that the first byte does not rule out, the longest first, in each form.
fn candidates<'a>(text: &[u8], stand_ins: &'a StandIns) -> impl Iterator<Item = (&'a Pair, Form)> + use<'a> {
    let first = text.first().copied().unwrap_or_default();
    let escape = first == b'\\' || first == b'%';
    let possible = move |pair: &&Pair| escape || pair.secret.as_bytes().first() == Some(&first);
    stand_ins.pairs().iter().filter(possible).flat_map(|pair| FORMS.into_iter().map(move |form| (pair, form)))
}

/// Replaces what is left of an echo at the end of a text that was cut off in it, where the core would
/// mask it.
fn replace_cut(text: &mut [u8], start: usize, stand_ins: &StandIns) {
    let longest = stand_ins.pairs().first().map_or(0, |pair| pair.secret.len());
    let mut edits = Vec::new();
    for at in start.max(text.len().saturating_sub(longest * LONGEST_FORM))..text.len() {
        let Some((before, rest)) = text.split_at_mut_checked(at) else { return };
        if before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1 {
            // A backslash stands before it that is the first of an escape: the core reads past this.
            continue;
        }
        let begun =
            |pair| matches!(fit(pair, rest, Form::Plain, &mut edits), Fit::Begun { known } if known >= SHORTEST_CUT);
        if stand_ins.pairs().iter().any(begun) {
            apply(&edits, rest);
            return;
        }
    }
}

/// Bytes of one body as they come, with its echoes replaced across the cuts between its chunks.
#[derive(Default)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    /// So many of them are final.
    settled: usize,
}

impl Body {
    pub(crate) fn push(&mut self, bytes: &[u8], stand_ins: &StandIns) {
        self.bytes.extend_from_slice(bytes);
        self.settled = replace_from(&mut self.bytes, self.settled, false, stand_ins).settled;
    }

    /// Nothing follows: an echo that has begun goes no further.
    pub(crate) fn end(&mut self, stand_ins: &StandIns) {
        let replaced = replace_from(&mut self.bytes, self.settled, true, stand_ins);
        replace_cut(&mut self.bytes, replaced.last_echo, stand_ins);
        self.settled = self.bytes.len();
    }

    /// The first `length` bytes that were not taken yet, once they are final.
    pub(crate) fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        if length > self.settled {
            return None;
        }
        self.settled -= length;
        let rest = self.bytes.split_off(length);
        Some(core::mem::replace(&mut self.bytes, rest))
    }
}

/// How far a text writes out a secret.
enum Fit {
    No,
    /// The text ends before the secret does; of the secret, `known` bytes are there.
    Begun {
        known: usize,
    },
    Whole {
        length: usize,
    },
}

/// One character to write anew, in the way that stands there now.
struct Edit {
    at: Range<usize>,
    to: char,
}

/// Follows the secret through the text, and notes what is to be written for its stand-in.
fn fit(pair: &Pair, text: &[u8], form: Form, edits: &mut Vec<Edit>) -> Fit {
    edits.clear();
    let mut known = 0;
    let mut reader = Reader { text, at: 0, form };
    while known < pair.secret.len() {
        let wanted = pair.secret.get(known..).and_then(|rest| rest.chars().next());
        let stand_in = pair.stand_in.get(known..).and_then(|rest| rest.chars().next());
        match reader.unit() {
            Unit::Char(cell) => {
                let (Some(wanted), Some(stand_in)) = (wanted, stand_in) else { return Fit::No };
                if cell.char != wanted {
                    return Fit::No;
                }
                edits.push(Edit { at: cell.at, to: stand_in });
                known += wanted.len_utf8();
            }
            Unit::Escape { char, digits } => {
                let (Some(wanted), Some(stand_in)) = (wanted, stand_in) else { return Fit::No };
                if char != wanted {
                    return Fit::No;
                }
                rewrite_utf16(stand_in, digits, edits);
                known += wanted.len_utf8();
            }
            Unit::Byte { byte, digits } => {
                if pair.secret.as_bytes().get(known) != Some(&byte) {
                    return Fit::No;
                }
                rewrite_byte(pair, known, digits, edits);
                known += 1;
            }
            Unit::Cut { digits, rest } => {
                match digits.len() {
                    0 => {}
                    _ if digits.percent => rewrite_byte(pair, known, digits, edits),
                    _ => rewrite_utf16(stand_in.unwrap_or_default(), digits, edits),
                }
                hide_digits(text, rest, edits);
                return Fit::Begun { known };
            }
            Unit::HalfChar(at) => {
                // What decoding leaves of it stands for any character that is not ASCII.
                return match stand_in {
                    Some(to) if !to.is_ascii() => {
                        edits.push(Edit { at, to });
                        Fit::Begun { known }
                    }
                    _ => Fit::No,
                };
            }
            Unit::None => return Fit::No,
        }
    }
    Fit::Whole { length: reader.at }
}

fn rewrite_utf16(to: char, digits: Digits, edits: &mut Vec<Edit>) {
    let hex = to.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("{unit:04x}")).collect::<String>();
    rewrite_digits(&hex, digits, edits);
}

fn rewrite_byte(pair: &Pair, at: usize, digits: Digits, edits: &mut Vec<Edit>) {
    let byte = pair.stand_in.as_bytes().get(at).copied().unwrap_or_default();
    rewrite_digits(&format!("{byte:02x}"), digits, edits);
}

/// New digits in the places of the old ones, as far as there are some, each in its case.
fn rewrite_digits(hex: &str, digits: Digits, edits: &mut Vec<Edit>) {
    for (digit, cell) in hex.chars().zip(digits.cells) {
        edits.push(Edit { at: cell.at, to: in_the_case_of(cell.char, digit) });
    }
}

/// An escape that was cut off within an escape: whatever it would have said.
fn hide_digits(text: &[u8], rest: Range<usize>, edits: &mut Vec<Edit>) {
    let digits = rest.filter(|at| text.get(*at).is_some_and(u8::is_ascii_hexdigit));
    edits.extend(digits.map(|at| Edit { at: at..at + 1, to: '0' }));
}

fn apply(edits: &[Edit], text: &mut [u8]) {
    for Edit { at, to } in edits {
        let Some(place) = text.get_mut(at.clone()) else { continue };
        if place.first() == Some(&b'\\') && place.len() >= 6 {
            for (old, new) in place.iter_mut().zip(utf16_escape(*to).chars()) {
                *old = in_the_case_of(char::from(*old), new).try_into().unwrap_or_default();
            }
        } else if let Some(new) = to.encode_utf8(&mut [0; 4]).as_bytes().get(..place.len()) {
            // Of a character that was cut there is less. A slash that is written `\/` stays one.
            place.copy_from_slice(new);
        }
    }
}

fn in_the_case_of(old: char, new: char) -> char {
    if old.is_ascii_uppercase() { new.to_ascii_uppercase() } else { new }
}

fn utf16_escape(char: char) -> String {
    char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// A character of the text, or of the JSON string that it is read as.
#[derive(Clone)]
struct Cell {
    char: char,
    at: Range<usize>,
}

/// The hex digits of an escape, as far as they are there.
#[derive(Default)]
struct Digits {
    cells: Vec<Cell>,
    percent: bool,
}

impl Digits {
    fn len(&self) -> usize {
        self.cells.len()
    }
}

/// What the next character of a secret may be written as.
enum Unit {
    Char(Cell),
    Escape {
        char: char,
        digits: Digits,
    },
    Byte {
        byte: u8,
        digits: Digits,
    },
    /// The text ends within it; `rest` is of the last character and means nothing yet.
    Cut {
        digits: Digits,
        rest: Range<usize>,
    },
    /// The text ends within a character.
    HalfChar(Range<usize>),
    /// Nothing that a secret can be written with.
    None,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    form: Form,
}

enum Next {
    Cell(Cell),
    Cut(Range<usize>),
    HalfChar(Range<usize>),
    None,
}

impl Reader<'_> {
    fn unit(&mut self) -> Unit {
        let first = match self.cell() {
            Next::Cell(cell) => cell,
            Next::Cut(rest) => return Unit::Cut { digits: Digits::default(), rest },
            Next::HalfChar(at) => return Unit::HalfChar(at),
            Next::None => return Unit::None,
        };
        match first.char {
            '\\' => match self.cell() {
                Next::Cell(cell) if cell.char == '/' => Unit::Char(cell),
                Next::Cell(cell) if cell.char == 'u' => self.utf16(),
                // No secret has a character with another short escape.
                Next::Cell(_) | Next::HalfChar(_) | Next::None => Unit::None,
                Next::Cut(rest) => Unit::Cut { digits: Digits::default(), rest },
            },
            '%' => {
                let mut digits = Digits { cells: Vec::new(), percent: true };
                match self.hex(2, &mut digits) {
                    Hex::Value(byte) => Unit::Byte { byte: u8::try_from(byte).unwrap_or_default(), digits },
                    Hex::Cut(rest) => Unit::Cut { digits, rest },
                    Hex::No => Unit::None,
                }
            }
            _ => Unit::Char(first),
        }
    }

    /// What follows `\u`.
    fn utf16(&mut self) -> Unit {
        let mut digits = Digits::default();
        let high = match self.hex(4, &mut digits) {
            Hex::Value(high) => high,
            Hex::Cut(rest) => return Unit::Cut { digits, rest },
            Hex::No => return Unit::None,
        };
        if let Some(char) = char::from_u32(high) {
            return Unit::Escape { char, digits };
        }
        for wanted in ['\\', 'u'] {
            match self.cell() {
                Next::Cell(cell) if cell.char == wanted => {}
                Next::Cut(rest) => return Unit::Cut { digits, rest },
                Next::Cell(_) | Next::HalfChar(_) | Next::None => return Unit::None,
            }
        }
        match self.hex(4, &mut digits) {
            Hex::Value(low) => {
                let code = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
                char::from_u32(code).map_or(Unit::None, |char| Unit::Escape { char, digits })
            }
            Hex::Cut(rest) => Unit::Cut { digits, rest },
            Hex::No => Unit::None,
        }
    }

    fn hex(&mut self, count: usize, digits: &mut Digits) -> Hex {
        let mut value = 0;
        for _ in 0..count {
            match self.cell() {
                Next::Cell(cell) => match cell.char.to_digit(16) {
                    Some(digit) => {
                        value = (value << 4) | digit;
                        digits.cells.push(cell);
                    }
                    None => return Hex::No,
                },
                Next::Cut(rest) => return Hex::Cut(rest),
                Next::HalfChar(_) | Next::None => return Hex::No,
            }
        }
        Hex::Value(value)
    }

    fn cell(&mut self) -> Next {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let (char, length) = match rest {
            [] => return Next::Cut(start..start),
            [b'\\', escape @ ..] if matches!(self.form, Form::InJson) => match json_escape(escape) {
                Ok(found) => found,
                Err(Broken::Cut) => return Next::Cut(start..self.text.len()),
                Err(Broken::Wrong) => ('\\', 1),
            },
            [byte, ..] if byte.is_ascii() => (char::from(*byte), 1),
            _ => match first_char(rest) {
                Ok(char) => (char, char.len_utf8()),
                Err(Broken::Cut) => return Next::HalfChar(start..self.text.len()),
                Err(Broken::Wrong) => return Next::None,
            },
        };
        self.at += length;
        Next::Cell(Cell { char, at: start..self.at })
    }
}

enum Hex {
    Value(u32),
    Cut(Range<usize>),
    No,
}

enum Broken {
    Cut,
    Wrong,
}

/// The character that a JSON escape stands for, given what follows its backslash, and its length
/// with the backslash.
fn json_escape(escape: &[u8]) -> Result<(char, usize), Broken> {
    let char = match escape.first().ok_or(Broken::Cut)? {
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = hex4(escape.get(1..).unwrap_or_default())?;
            if let Some(char) = char::from_u32(high) {
                return Ok((char, 6));
            }
            let low = match escape.get(5..).unwrap_or_default() {
                [b'\\', b'u', low @ ..] => hex4(low)?,
                [] | [b'\\'] => return Err(Broken::Cut),
                _ => return Err(Broken::Wrong),
            };
            let code = 0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
            return char::from_u32(code).map(|char| (char, 12)).ok_or(Broken::Wrong);
        }
        _ => return Err(Broken::Wrong),
    };
    Ok((char, 2))
}

fn hex4(digits: &[u8]) -> Result<u32, Broken> {
    let mut value = 0;
    for at in 0..4 {
        let digit = char::from(*digits.get(at).ok_or(Broken::Cut)?);
        value = (value << 4) | digit.to_digit(16).ok_or(Broken::Wrong)?;
    }
    Ok(value)
}

fn first_char(bytes: &[u8]) -> Result<char, Broken> {
    let whole = bytes.get(..4).unwrap_or(bytes);
    let valid = match core::str::from_utf8(whole) {
        Ok(text) => text,
        Err(error) => {
            let (valid, _) = whole.split_at_checked(error.valid_up_to()).unwrap_or_default();
            if valid.is_empty() && error.error_len().is_none() {
                return Err(Broken::Cut);
            }
            core::str::from_utf8(valid).unwrap_or_default()
        }
    };
    valid.chars().next().ok_or(Broken::Wrong)
}
