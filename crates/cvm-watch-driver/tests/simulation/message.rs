//! The messages that a server sends on a stream, and which bytes encode each of them.

use cvm_watch_driver::cvm_watch_core::{Event, MalformedReason};

use crate::random::Random;

/// One message, and the bytes of the stream that encode it.
#[derive(Clone, Debug)]
pub(crate) struct SentMessage {
    pub(crate) what: Message,
    /// The id that its block sets.
    pub(crate) id: Option<String>,
    /// The bytes of its type, id and data.
    pub(crate) size: usize,
    /// How many bytes of the stream come before it, and after how many it is complete.
    pub(crate) begins: usize,
    pub(crate) ends: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    State(Status),
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
    /// A block without data: no event, but its id counts.
    NoData,
    /// A `retry:` line, in milliseconds.
    Retry(u64),
}

/// The content of a `state` event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    pub(crate) status: String,
    pub(crate) boot_progress: Option<String>,
    pub(crate) boot_error: Option<String>,
}

impl SentMessage {
    /// Whether the caller must receive it.
    pub(crate) fn is_event(&self) -> bool {
        !matches!(self.what, Message::NoData | Message::Retry(_))
    }

    pub(crate) fn matches(&self, event: &Event, max_event_bytes: usize) -> bool {
        if self.size > max_event_bytes {
            return *event == Event::too_large(max_event_bytes);
        }
        match (&self.what, event) {
            (Message::State(status), Event::State(state)) => {
                state.status == status.status
                    && state.boot_progress == status.boot_progress
                    && state.boot_error == status.boot_error
            }
            (Message::Complete { status }, Event::Complete(complete)) => complete.status == *status,
            (Message::Timeout, Event::Timeout(timeout)) => timeout.error.as_deref() == Some("timeout"),
            (Message::Error { text }, Event::Error(error)) => error.message.as_ref() == Some(text),
            (Message::Other { name, data }, Event::Other { name: seen, data: seen_data, .. }) => {
                name == seen && data == seen_data
            }
            (Message::Malformed { name, data, reason }, Event::Malformed { name: n, data: d, reason: r, .. }) => {
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
    sent_messages: Vec<SentMessage>,
    /// How many bytes of the stream were written before.
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
            sent_messages: Vec::new(),
            taken: 0,
        }
    }

    pub(crate) fn take(&mut self) -> (Vec<u8>, Vec<SentMessage>) {
        self.taken += self.bytes.len();
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.sent_messages))
    }

    pub(crate) fn comment(&mut self, text: &str) {
        self.line(&format!(":{text}"));
        self.line("");
    }

    pub(crate) fn retry(&mut self, millis: u64) {
        let begins = self.at();
        self.field("retry", &millis.to_string());
        self.sent(Message::Retry(millis), None, 0, begins);
    }

    /// Writes a block with data, which may contain line feeds.
    pub(crate) fn event(&mut self, name: &str, data: &str, id: Option<String>, what: Message) {
        let begins = self.at();
        if let Some(id) = &id {
            self.field("id", id);
        }
        if self.chatty {
            self.line(": a comment");
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
        self.sent(what, id, size, begins);
    }

    pub(crate) fn id_alone(&mut self, id: String) {
        let begins = self.at();
        self.field("id", &id);
        self.line("");
        self.sent(Message::NoData, Some(id), 0, begins);
    }

    /// Writes an event that is never completed.
    pub(crate) fn unfinished(&mut self, data: &str) {
        self.field("id", "unfinished");
        self.field("event", "complete");
        self.field("data", data);
    }

    fn sent(&mut self, what: Message, id: Option<String>, size: usize, begins: usize) {
        // A line ends at the first byte of its line end.
        let ends = self.at() - (self.line_end.len() - 1);
        self.sent_messages.push(SentMessage { what, id, size, begins, ends });
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
