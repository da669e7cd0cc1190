/// The fields that mean something. Names are matched byte for byte, as the standard asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Data,
    Event,
    Id,
    Retry,
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
    /// Its first bytes, which do not hold a colon yet.
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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    bytes: [u8; 5],
    len: u8,
}

impl Name {
    /// The line's state after one more `byte`. A name longer than any known one is not stored.
    pub(super) fn read(mut self, byte: u8) -> Line {
        if byte == b':' {
            return self.field().map_or(Line::Skipped, Line::Colon);
        }
        let Some(place) = self.bytes.get_mut(usize::from(self.len)) else {
            return Line::Skipped;
        };
        *place = byte;
        self.len += 1;
        Line::Name(self)
    }

    /// The field that has exactly this name.
    pub(super) fn field(self) -> Option<Field> {
        split(self.bytes.get(..usize::from(self.len))?).map(|(field, _)| field)
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

    #[test]
    fn a_name_is_known_only_when_it_is_exact() {
        for (name, expected) in [
            ("data", Some(Field::Data)),
            ("event", Some(Field::Event)),
            ("id", Some(Field::Id)),
            ("retry", Some(Field::Retry)),
            ("", None),
            ("dat", None),
            ("dataa", None),
            ("events", None),
            ("retry5", None),
        ] {
            let mut line = Line::Name(Name::default());
            for byte in name.bytes() {
                line = if let Line::Name(name) = line { name.read(byte) } else { line };
            }
            let colon = if let Line::Name(name) = line { name.read(b':') } else { line };
            assert_eq!(if let Line::Colon(field) = colon { Some(field) } else { None }, expected, "{name:?}");
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
