//! The reference decoder: slow, whole input at once, written straight from the standard's text (HTML,
//! sections 9.2.5 and 9.2.6) and the rule of sizes. It shares no code with the decoder.

/// What a stream shows, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceItem {
    Event { name: String, data: String, id: String },
    Retry(u64),
    TooLarge,
}

/// All items that `input` shows, and the last event id after it.
pub fn read(input: &[u8], max_event_bytes: usize, max_id_bytes: usize) -> (Vec<ReferenceItem>, String) {
    let (lines, unfinished) = lines(input);
    let mut reference = Reference { max_event_bytes, max_id_bytes, ..Reference::default() };
    for line in lines {
        reference.line(&decode(line));
    }
    reference.unfinished_line(unfinished);
    (reference.items, reference.last_event_id)
}

/// "Lines must be separated by either a CRLF pair, a single LF, or a single CR." The second part
/// has no end yet.
fn lines(input: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    // "One leading U+FEFF BYTE ORDER MARK character must be ignored if any are present."
    let mut rest = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    // A mark that may still become whole is no text yet.
    if rest.len() < 3 && b"\xef\xbb\xbf".starts_with(rest) && rest.len() == input.len() {
        rest = b"";
    }
    let mut lines = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\r' || *byte == b'\n') {
        lines.push(&rest[..end]);
        rest = if rest[end..].starts_with(b"\r\n") { &rest[end + 2..] } else { &rest[end + 1..] };
    }
    (lines, rest)
}

/// "Streams must be decoded using the UTF-8 decode algorithm." No character spans a line end, so a
/// line at a time.
fn decode(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[derive(Default)]
struct Reference {
    max_event_bytes: usize,
    max_id_bytes: usize,
    items: Vec<ReferenceItem>,
    /// "Its data buffer": a LF after each line.
    data: String,
    event_type: String,
    /// The block's own id, if it has set one.
    id: Option<String>,
    last_event_id: String,
    too_large: bool,
}

impl Reference {
    fn line(&mut self, line: &str) {
        if line.is_empty() {
            self.dispatch();
        } else if !self.too_large {
            match line.split_once(':') {
                Some(("", _)) => {}
                Some((field, value)) => self.field(field, value.strip_prefix(' ').unwrap_or(value)),
                None => self.field(line, ""),
            }
            self.judge();
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => self.event_type = value.to_string(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if value.contains('\0') => {}
            "id" if self.is_too_long_an_id(value) => self.id = Some(String::new()),
            "id" => self.id = Some(value.to_string()),
            "retry" if !value.is_empty() && value.chars().all(|digit| digit.is_ascii_digit()) => {
                self.items.push(ReferenceItem::Retry(value.parse().unwrap_or(u64::MAX)));
            }
            _ => {}
        }
    }

    /// The id's own limit, which has no effect above the event's.
    fn is_too_long_an_id(&self, id: &str) -> bool {
        self.max_id_bytes <= self.max_event_bytes && id.len() > self.max_id_bytes
    }

    fn dispatch(&mut self) {
        if let Some(id) = self.id.take() {
            self.last_event_id = id;
        }
        let name = core::mem::take(&mut self.event_type);
        let data = core::mem::take(&mut self.data);
        self.too_large = false;
        if let Some(data) = data.strip_suffix('\n') {
            let (data, id) = (data.to_string(), self.last_event_id.clone());
            self.items.push(ReferenceItem::Event { name, data, id });
        }
    }

    /// The rule of sizes, judged at each line end: name, id of the block and joined data.
    fn judge(&mut self) {
        let id = self.id.as_deref().unwrap_or("");
        let data = self.data.strip_suffix('\n').unwrap_or("");
        if self.event_type.len() + id.len() + data.len() > self.max_event_bytes {
            self.items.push(ReferenceItem::TooLarge);
            self.event_type.clear();
            self.data.clear();
            self.id = None;
            self.too_large = true;
        }
    }

    /// What the start of a line proves however it goes on: no byte of a `data` or `event` value decodes
    /// to less than one.
    fn unfinished_line(&mut self, line: &[u8]) {
        let id = self.id.as_deref().unwrap_or("");
        let (value, others) = if let Some(value) = line.strip_prefix(b"data:") {
            (value, self.event_type.len() + self.data.len() + id.len())
        } else if let Some(value) = line.strip_prefix(b"event:") {
            (value, self.data.strip_suffix('\n').unwrap_or("").len() + id.len())
        } else {
            return;
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if !self.too_large && value.len() + others > self.max_event_bytes {
            self.items.push(ReferenceItem::TooLarge);
        }
    }
}
