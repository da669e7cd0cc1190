//! One attempt's stream: all of its bytes, decoded again from the start whenever more arrive.

use std::sync::Arc;

use cvm_watch_core::{CvmState, Event, sse};

use super::Rules;
use crate::checks::answer::{MAX_ERROR_JSON, error_in_object};
use crate::checks::reference::{self, ReferenceItem};

const BOM: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// How many of its items were already reported.
    reported: usize,
    /// How many of its lines of JSON without a field name were already reported.
    bare_reported: usize,
    id_before: String,
    pub(super) last_event_id: String,
    pub(super) last_byte: u64,
    /// Since when every state has been at the target, and the latest state.
    pub(super) at_target: Option<(u64, CvmState)>,
    /// Whether its latest state would count if another status had been seen before.
    pub(super) steady: bool,
    /// Whether its latest state would be the target if it had been seen for longer.
    pub(super) settling: bool,
    /// Whether it has said a state that could be read.
    pub(super) said_a_state: bool,
}

pub(super) enum Item {
    Retry(u64),
    Event { id: String, event: Event },
}

impl Stream {
    pub(super) fn new(last_event_id: &str, now: u64) -> Self {
        Self {
            bytes: Vec::new(),
            reported: 0,
            bare_reported: 0,
            id_before: last_event_id.into(),
            last_event_id: last_event_id.into(),
            last_byte: now,
            at_target: None,
            steady: false,
            settling: false,
            said_a_state: false,
        }
    }

    /// The events that these further bytes complete.
    pub(super) fn take(&mut self, rules: &Rules, bytes: &[u8]) -> Vec<Item> {
        self.bytes.extend_from_slice(bytes);
        let (items, last_event_id) = reference::read(&self.with_id_before(), rules.max_event_bytes, 1024);
        // While the byte order mark is incomplete, no id can be put after it.
        let is_cut_mark = self.bytes.len() < BOM.len() && BOM.starts_with(&self.bytes);
        self.last_event_id = if is_cut_mark { self.id_before.clone() } else { last_event_id };
        let new = items.into_iter().skip(self.reported).collect::<Vec<_>>();
        self.reported += new.len();
        new.into_iter().map(|item| self.understood(rules, item)).collect()
    }

    /// Row 6: the messages of the objects that stood bare in the stream since the last call.
    pub(super) fn bare_errors(&mut self, at_end: bool) -> Vec<String> {
        let objects = bare_objects(&self.bytes, at_end);
        let new = objects.iter().skip(self.bare_reported).filter_map(|object| error_in_object(object)).collect();
        self.bare_reported = objects.len();
        new
    }

    /// The stream with a first block that sets the id of the previous stream.
    fn with_id_before(&self) -> Vec<u8> {
        let (mark, rest) = match self.bytes.strip_prefix(BOM) {
            Some(rest) => (BOM, rest),
            None if BOM.starts_with(&self.bytes) => (self.bytes.as_slice(), &[][..]),
            None => (&[][..], self.bytes.as_slice()),
        };
        let id = format!("id: {}\n\n", self.id_before);
        // An incomplete mark is not text yet, and nothing may follow it.
        let id = if mark.is_empty() || mark == BOM { id.as_bytes() } else { &[] };
        [mark, id, rest].concat()
    }

    fn understood(&self, rules: &Rules, item: ReferenceItem) -> Item {
        match item {
            ReferenceItem::Retry(millis) => Item::Retry(millis),
            ReferenceItem::TooLarge => {
                Item::Event { id: self.last_event_id.clone(), event: Event::too_large(rules.max_event_bytes) }
            }
            ReferenceItem::Event { name, data, id } => Item::Event { id, event: parse(&name, &data, rules.keep_raw) },
        }
    }
}

/// The event as `Event::parse` reads it.
fn parse(name: &str, data: &str, keep_raw: bool) -> Event {
    let mut event = Event::parse(&sse::Event::new(name, data, ""));
    if !keep_raw {
        match &mut event {
            Event::State(state) => Arc::make_mut(state).raw = None,
            Event::Complete(complete) => complete.raw = None,
            Event::Timeout(timeout) => timeout.raw = None,
            Event::Error(error) => error.raw = None,
            _ => {}
        }
    }
    event
}

/// The lines that begin with a brace, each with those after it up to one that closes it.
fn bare_objects(bytes: &[u8], at_end: bool) -> Vec<String> {
    if bytes.len() < BOM.len() && BOM.starts_with(bytes) {
        return Vec::new();
    }
    let text =
        String::from_utf8_lossy(bytes.strip_prefix(BOM).unwrap_or(bytes)).replace("\r\n", "\n").replace('\r', "\n");
    let mut objects = Vec::new();
    let mut open: Option<String> = None;
    for line in text.split_inclusive('\n') {
        let (line, is_whole) = line.strip_suffix('\n').map_or((line, false), |line| (line, true));
        let is_first = open.is_none();
        if is_first && !line.starts_with('{') {
            continue;
        }
        let object = open.get_or_insert_default();
        object.push_str(line);
        let line = line.trim_ascii_end();
        let closes = if is_first { line.ends_with('}') } else { line.starts_with('}') || line.is_empty() };
        if is_whole && (closes || object.len() > MAX_ERROR_JSON) {
            objects.extend(open.take());
        }
    }
    objects.extend(open.filter(|_| at_end));
    objects
}
