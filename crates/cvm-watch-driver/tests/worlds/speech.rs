//! What a server says on a stream: the bytes, and which of them say what.

use cvm_watch_driver::core::{Event, MalformedReason};

use crate::random::Random;

/// One thing that was said, and the bytes of the stream that say it.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    pub(crate) what: Said,
    /// The id that its block sets.
    pub(crate) id: Option<String>,
    /// The bytes of its type, id and data.
    pub(crate) size: usize,
    /// It begins after so many bytes of the stream, and is whole after so many.
    pub(crate) begins: usize,
    pub(crate) ends: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    State(Told),
    Complete {
        status: String,
    },
    Timeout,
    Error {
        text: String,
    },
    Other {
        name: String,
        data: String,
    },
    Malformed {
        name: String,
        data: String,
        reason: MalformedReason,
    },
    /// A block without data: nothing is handed out, its id counts.
    NoData,
    /// A `retry:` line, in milliseconds.
    Retry(u64),
}

/// What a `state` tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) status: String,
    pub(crate) boot_progress: Option<String>,
    pub(crate) boot_error: Option<String>,
}

impl Spoken {
    /// Whether a caller must get to see it.
    pub(crate) fn is_event(&self) -> bool {
        !matches!(self.what, Said::NoData | Said::Retry(_))
    }

    pub(crate) fn is_seen_as(&self, event: &Event, max_event_bytes: usize) -> bool {
        if self.size > max_event_bytes {
            return *event == Event::too_large(max_event_bytes);
        }
        match (&self.what, event) {
            (Said::State(told), Event::State(state)) => {
                state.status == told.status
                    && state.boot_progress == told.boot_progress
                    && state.boot_error == told.boot_error
            }
            (Said::Complete { status }, Event::Complete(complete)) => complete.status == *status,
            (Said::Timeout, Event::Timeout(timeout)) => timeout.error.as_deref() == Some("timeout"),
            (Said::Error { text }, Event::Error(error)) => error.message.as_ref() == Some(text),
            (Said::Other { name, data }, Event::Other { name: seen, data: seen_data, .. }) => {
                name == seen && data == seen_data
            }
            (Said::Malformed { name, data, reason }, Event::Malformed { name: n, data: d, reason: r, .. }) => {
                (name, data, reason) == (n, d, r)
            }
            _ => false,
        }
    }
}

/// Writes the blocks of one stream in one style.
#[derive(Debug)]
pub(crate) struct Writer {
    line_end: &'static str,
    space: &'static str,
    chatty: bool,
    bytes: Vec<u8>,
    spoken: Vec<Spoken>,
    /// How many bytes of the stream were taken before.
    taken: usize,
}

impl Writer {
    pub(crate) fn new(random: &mut Random) -> Self {
        let bytes = if random.chance(10) { "\u{feff}".into() } else { Vec::new() };
        Self {
            line_end: random.pick(&["\n", "\n", "\r\n", "\r"]),
            space: random.pick(&[" ", " ", ""]),
            chatty: random.chance(20),
            bytes,
            spoken: Vec::new(),
            taken: 0,
        }
    }

    pub(crate) fn take(&mut self) -> (Vec<u8>, Vec<Spoken>) {
        self.taken += self.bytes.len();
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.spoken))
    }

    pub(crate) fn comment(&mut self, text: &str) {
        self.line(&format!(":{text}"));
        self.line("");
    }

    pub(crate) fn retry(&mut self, millis: u64) {
        let begins = self.at();
        self.field("retry", &millis.to_string());
        self.spoke(Said::Retry(millis), None, 0, begins);
    }

    /// A block with data, which may have line feeds in it.
    pub(crate) fn event(&mut self, name: &str, data: &str, id: Option<String>, what: Said) {
        let begins = self.at();
        if let Some(id) = &id {
            self.field("id", id);
        }
        if self.chatty {
            self.line(": so it is");
        }
        if !name.is_empty() {
            self.field("event", name);
        }
        for line in data.split('\n') {
            self.field("data", line);
            if self.chatty {
                self.field("weight", "12");
            }
        }
        self.line("");
        let size = name.len() + data.len() + id.as_ref().map_or(0, String::len);
        self.spoke(what, id, size, begins);
    }

    pub(crate) fn id_alone(&mut self, id: String) {
        let begins = self.at();
        self.field("id", &id);
        self.line("");
        self.spoke(Said::NoData, Some(id), 0, begins);
    }

    /// An event that will never be whole.
    pub(crate) fn unfinished(&mut self, data: &str) {
        self.field("id", "unfinished");
        self.field("event", "complete");
        self.field("data", data);
    }

    fn spoke(&mut self, what: Said, id: Option<String>, size: usize, begins: usize) {
        // A line is over with the first byte of its end.
        let ends = self.at() - (self.line_end.len() - 1);
        self.spoken.push(Spoken { what, id, size, begins, ends });
    }

    fn at(&self) -> usize {
        self.taken + self.bytes.len()
    }

    fn field(&mut self, name: &str, value: &str) {
        self.line(&format!("{name}:{}{value}", self.space));
    }

    fn line(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(self.line_end.as_bytes());
    }
}
