/// The fields that mean something. Names are matched byte for byte, as the standard asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Event,
    Id,
    Retry,
}

impl Field {
    /// The field whose name begins with `first`: no two begin alike.
    pub(super) fn beginning_with(first: u8) -> Option<Field> {
        match first {
            b'd' => Some(Field::Data),
            b'e' => Some(Field::Event),
            b'i' => Some(Field::Id),
            b'r' => Some(Field::Retry),
            _ => None,
        }
    }

    fn name_and_colon(self) -> &'static [u8] {
        match self {
            Field::Data => b"data:",
            Field::Event => b"event:",
            Field::Id => b"id:",
            Field::Retry => b"retry:",
        }
    }
}

/// The field and value of a whole line; None for a comment or an unknown field.
pub(super) fn split(line: &[u8]) -> Option<(Field, &[u8])> {
    let (field, rest) = match line {
        [b'd', b'a', b't', b'a', rest @ ..] => (Field::Data, rest),
        [b'e', b'v', b'e', b'n', b't', rest @ ..] => (Field::Event, rest),
        [b'i', b'd', rest @ ..] => (Field::Id, rest),
        [b'r', b'e', b't', b'r', b'y', rest @ ..] => (Field::Retry, rest),
        _ => return None,
    };
    match rest {
        [] => Some((field, rest)),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some((field, value)),
        _ => None,
    }
}

/// How far the current line was read, when it is cut between chunks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Line {
    /// Not a byte of it came yet.
    #[default]
    Empty,
    /// The first bytes of a known name, or all of them, and no colon yet.
    Name(Name),
    /// Up to the colon: a space that comes next is not part of the value.
    Colon(Field),
    /// Into the value of a field that is stored.
    Value(Field),
    /// Into the value of a `retry` field.
    Retry(RetryValue),
    /// A comment, an unknown field or a line of a dropped event: the rest is skipped.
    Skipped,
}

/// The first bytes of a line, while they may still be a field's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    field: Field,
    /// How many bytes of the name were read.
    read: u8,
}

impl Name {
    /// Not a byte of it was read yet.
    pub(super) fn of(field: Field) -> Name {
        Name { field, read: 0 }
    }

    /// The line's state after `bytes`, and how many of them were read: all but those after the
    /// colon.
    pub(super) fn read(self, bytes: &[u8]) -> (Line, usize) {
        let expected = self.field.name_and_colon().get(usize::from(self.read)..).unwrap_or_default();
        let differ = expected.iter().zip(bytes).any(|(expected, byte)| expected != byte);
        if differ {
            (Line::Skipped, bytes.len())
        } else if bytes.len() >= expected.len() {
            (Line::Colon(self.field), expected.len())
        } else {
            (Line::Name(Name { read: self.read + bytes.len() as u8, ..self }), bytes.len())
        }
    }

    /// The field, if its name was read to the end.
    pub(super) fn field(self) -> Option<Field> {
        (usize::from(self.read) + 1 == self.field.name_and_colon().len()).then_some(self.field)
    }
}

/// A `retry` value read so far: digits only, or void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RetryValue {
    #[default]
    Empty,
    Milliseconds(u64),
    Void,
}

impl RetryValue {
    pub(super) fn read(self, bytes: &[u8]) -> RetryValue {
        bytes.iter().fold(self, |value, &byte| match value {
            RetryValue::Void => value,
            _ if !byte.is_ascii_digit() => RetryValue::Void,
            RetryValue::Empty => RetryValue::Milliseconds(u64::from(byte - b'0')),
            RetryValue::Milliseconds(number) => {
                RetryValue::Milliseconds(number.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
            }
        })
    }

    pub(super) fn milliseconds(self) -> Option<u64> {
        if let RetryValue::Milliseconds(number) = self { Some(number) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, Line, Name, RetryValue, split};

    #[test]
    fn a_line_splits_at_its_first_colon_and_drops_one_space() {
        let cases: [(&str, Option<(Field, &str)>); 22] = [
            ("data", Some((Field::Data, ""))),
            ("data:", Some((Field::Data, ""))),
            ("data: ", Some((Field::Data, ""))),
            ("data:  ", Some((Field::Data, " "))),
            ("data:a", Some((Field::Data, "a"))),
            ("data: a: b", Some((Field::Data, "a: b"))),
            ("data::", Some((Field::Data, ":"))),
            ("data:\ta", Some((Field::Data, "\ta"))),
            ("event: x", Some((Field::Event, "x"))),
            ("id: x", Some((Field::Id, "x"))),
            ("retry: 1", Some((Field::Retry, "1"))),
            ("", None),
            (":", None),
            (": data: x", None),
            ("data :x", None),
            (" data:x", None),
            ("Data:x", None),
            ("dat", None),
            ("dat:a", None),
            ("datax:a", None),
            ("ident: 1", None),
            ("eventdata", None),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|(field, value)| (field, value.as_bytes()));
            assert_eq!(split(line.as_bytes()), expected, "{line:?}");
        }
    }

    /// The state of a line after `pieces`, and what is left of the last one.
    fn read<'a>(pieces: &[&'a str]) -> (Line, &'a str) {
        let mut line = Line::Empty;
        let mut left = "";
        for piece in pieces {
            if let (Line::Empty, Some(first)) = (line, piece.bytes().next()) {
                line = Field::beginning_with(first).map_or(Line::Skipped, |field| Line::Name(Name::of(field)));
            }
            left = piece;
            if let Line::Name(name) = line {
                let read;
                (line, read) = name.read(piece.as_bytes());
                left = &piece[read..];
            }
        }
        (line, left)
    }

    #[test]
    fn a_name_is_known_only_when_it_is_exact() {
        for (text, expected) in [
            ("data", Some(Field::Data)),
            ("event", Some(Field::Event)),
            ("id", Some(Field::Id)),
            ("retry", Some(Field::Retry)),
            ("dat", None),
            ("dataa", None),
            ("Data", None),
            ("events", None),
            ("ident", None),
            ("retry5", None),
            ("x", None),
        ] {
            for cut in 0..=text.len() {
                let (start, end) = text.split_at(cut);
                let name = if let (Line::Name(name), _) = read(&[start, end]) { name.field() } else { None };
                assert_eq!(name, expected, "{start:?}, {end:?}");
                let end = [end, ": x"].concat();
                let (line, left) = read(&[start, &end]);
                let colon = if let Line::Colon(field) = line { Some(field) } else { None };
                assert_eq!(colon, expected, "{start:?}, {end:?}");
                assert!(colon.is_none() || left == " x", "{left:?}");
            }
        }
    }

    #[test]
    fn a_retry_value_is_digits_only_and_saturates() {
        for (value, expected) in [
            ("", None),
            ("0", Some(0)),
            ("007", Some(7)),
            ("5000", Some(5000)),
            ("18446744073709551614", Some(u64::MAX - 1)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("99999999999999999999999999x", None),
            ("+1", None),
            ("-1", None),
            ("1.5", None),
            (" 1", None),
            ("1 ", None),
            ("1x", None),
            ("\u{0661}", None),
        ] {
            assert_eq!(RetryValue::default().read(value.as_bytes()).milliseconds(), expected, "{value:?}");
        }
    }
}
