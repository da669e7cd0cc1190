//! A small terminal: as much of one as the program uses.

/// How a character is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// The number of the colour, 0 to 7 as in Select Graphic Rendition.
    pub(super) colour: Option<u8>,
    pub(super) bold: bool,
    pub(super) dim: bool,
}

/// One line of the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(pub(super) Vec<(char, Style)>);

impl Row {
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(char, _)| *char).collect()
    }
}

/// What a terminal shows. It never scrolls.
pub(super) struct Screen {
    columns: usize,
    rows: Vec<Row>,
    row: usize,
    column: usize,
    style: Style,
    /// The beginning of a character or sequence whose rest is to come.
    pending: Vec<u8>,
}

impl Screen {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, rows: vec![Row::default()], row: 0, column: 0, style: Style::default(), pending: Vec::new() }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let valid = match std::str::from_utf8(&pending) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = std::str::from_utf8(&pending[..valid]).unwrap();
        let mut rest = text;
        while let Some(char) = rest.chars().next() {
            if char == '\x1b' {
                let is_last = |(_, char): &(usize, char)| char.is_ascii_alphabetic();
                let Some((end, last)) = rest.char_indices().find(is_last) else { break };
                let parameters = rest[1..end].strip_prefix('[').unwrap();
                self.control(parameters, last);
                rest = &rest[end + 1..];
            } else {
                self.put(char);
                rest = &rest[char.len_utf8()..];
            }
        }
        self.pending = pending[text.len() - rest.len()..].to_vec();
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let trimmed = |row: &Row| {
            let end = row.0.iter().rposition(|(char, _)| *char != ' ').map_or(0, |last| last + 1);
            Row(row.0[..end].to_vec())
        };
        self.rows.iter().map(trimmed).collect()
    }

    fn put(&mut self, char: char) {
        match char {
            '\r' => self.column = 0,
            '\n' => self.down(1),
            char => {
                // A full line is left when the next character comes, not before.
                if self.column == self.columns {
                    self.down(1);
                    self.column = 0;
                }
                let row = &mut self.rows[self.row].0;
                if row.len() <= self.column {
                    row.resize(self.column + 1, (' ', Style::default()));
                }
                row[self.column] = (char, self.style);
                self.column += 1;
            }
        }
    }

    fn down(&mut self, lines: usize) {
        self.row += lines;
        if self.rows.len() <= self.row {
            self.rows.resize(self.row + 1, Row::default());
        }
    }

    fn control(&mut self, parameters: &str, last: char) {
        let number = || parameters.parse().unwrap_or(1);
        match last {
            'A' => self.row = self.row.saturating_sub(number()),
            'B' => self.down(number()),
            'K' => {
                let from = if parameters == "2" { 0 } else { self.column };
                self.rows[self.row].0.truncate(from);
            }
            'J' => {
                self.rows[self.row].0.truncate(self.column);
                self.rows.truncate(self.row + 1);
            }
            'm' => parameters.split(';').for_each(|parameter| self.rendition(parameter)),
            // Whether the cursor is shown, and other modes.
            'h' | 'l' => {}
            other => panic!("a sequence that this terminal does not know: {parameters:?} {other:?}"),
        }
    }

    fn rendition(&mut self, parameter: &str) {
        match parameter.parse() {
            Err(_) | Ok(0) => self.style = Style::default(),
            Ok(1) => self.style.bold = true,
            Ok(2) => self.style.dim = true,
            Ok(22) => (self.style.bold, self.style.dim) = (false, false),
            Ok(colour @ 30..=37) => self.style.colour = Some(colour - 30),
            Ok(39) => self.style.colour = None,
            Ok(other) => panic!("a rendition that this terminal does not know: {other}"),
        }
    }
}
