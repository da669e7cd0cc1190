//! A simple JSON reader by the grammar of RFC 8259. It has no depth limit, and represents values that Rust's types
//! cannot hold.

/// A value, with `None` for one that Rust's types cannot hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Literal,
    /// `None`: beyond the range of `f64`.
    Number(Option<f64>),
    /// `None`: it holds half a surrogate pair.
    Text(Option<String>),
    Array(Vec<Json>),
    Object(Vec<(Option<String>, Json)>),
}

/// Parses `text`; `None` if it is not JSON.
pub fn parse(text: &str) -> Option<Json> {
    let mut reader = Reader(text.as_bytes());
    let value = reader.value()?;
    reader.space();
    reader.0.is_empty().then_some(value)
}

impl Json {
    /// The nesting depth of arrays and objects.
    pub fn depth(&self) -> usize {
        let inner = match self {
            Self::Literal | Self::Number(_) | Self::Text(_) => return 0,
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(fields) => fields.iter().map(|(_, value)| value.depth()).max(),
        };
        1 + inner.unwrap_or(0)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn eat(&mut self, token: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(token)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        match self.0.first()? {
            b'{' => self.items(b'{', b'}', Self::field).map(Json::Object),
            b'[' => self.items(b'[', b']', Self::value).map(Json::Array),
            b'"' => self.text().map(Json::Text),
            b't' => self.eat(b"true").map(|()| Json::Literal),
            b'f' => self.eat(b"false").map(|()| Json::Literal),
            b'n' => self.eat(b"null").map(|()| Json::Literal),
            _ => self.number().map(Json::Number),
        }
    }

    fn items<T>(&mut self, open: u8, close: u8, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.eat(&[open])?;
        self.space();
        if self.eat(&[close]).is_some() {
            return Some(Vec::new());
        }
        let mut items = Vec::new();
        loop {
            items.push(item(self)?);
            self.space();
            if self.eat(&[close]).is_some() {
                return Some(items);
            }
            self.eat(b",")?;
        }
    }

    fn field(&mut self) -> Option<(Option<String>, Json)> {
        self.space();
        let name = self.text()?;
        self.space();
        self.eat(b":")?;
        Some((name, self.value()?))
    }

    fn text(&mut self) -> Option<Option<String>> {
        self.eat(b"\"")?;
        let mut units = Vec::new();
        let mut bytes = Vec::new();
        loop {
            let byte = self.byte()?;
            if byte == b'"' || byte == b'\\' {
                units.extend(std::str::from_utf8(&bytes).ok()?.encode_utf16());
                bytes.clear();
            }
            match byte {
                b'"' => return Some(String::from_utf16(&units).ok()),
                b'\\' => units.push(self.escape()?),
                0..=0x1f => return None,
                byte => bytes.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        Some(match self.byte()? {
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            byte @ (b'"' | b'\\' | b'/') => byte.into(),
            b'u' => {
                let digits = [self.byte()?, self.byte()?, self.byte()?, self.byte()?];
                let digits = digits.iter().map(|digit| char::from(*digit).to_digit(16));
                digits.collect::<Option<Vec<_>>>()?.iter().fold(0, |unit, digit| unit << 4 | *digit as u16)
            }
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<Option<f64>> {
        let whole = self.0;
        _ = self.eat(b"-");
        match self.byte()? {
            b'0' => {}
            b'1'..=b'9' => _ = self.digits(),
            _ => return None,
        }
        if self.eat(b".").is_some() {
            self.digits()?;
        }
        if let [b'e' | b'E', rest @ ..] = self.0 {
            self.0 = rest;
            if let [b'+' | b'-', rest @ ..] = self.0 {
                self.0 = rest;
            }
            self.digits()?;
        }
        let text = std::str::from_utf8(&whole[..whole.len() - self.0.len()]).ok()?;
        Some(text.parse().ok().filter(|number: &f64| number.is_finite()))
    }

    /// At least one digit.
    fn digits(&mut self) -> Option<()> {
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[count..];
        (count > 0).then_some(())
    }
}
