//! One attempt's stream: every byte of it, read again from the start whenever more came.

use std::sync::Arc;

use cvm_watch_core::{CvmState, Event, sse};

use super::Rules;
use crate::checks::reference::{self, ReferenceItem};

const BOM: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// How many of its items were already reported.
    reported: usize,
    id_before: String,
    pub(super) last_event_id: String,
    pub(super) last_byte: u64,
    /// Since when it has reported the target without a break, and its latest state.
    pub(super) at_target: Option<(u64, CvmState)>,
    /// Whether its latest state would be the target if another status had been seen before.
    pub(super) steady: bool,
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
            id_before: last_event_id.into(),
            last_event_id: last_event_id.into(),
            last_byte: now,
            at_target: None,
            steady: false,
            said_a_state: false,
        }
    }

    /// What these further bytes complete.
    pub(super) fn take(&mut self, rules: &Rules, bytes: &[u8]) -> Vec<Item> {
        self.bytes.extend_from_slice(bytes);
        let (items, last_event_id) = reference::read(&self.with_id_before(), rules.max_event_bytes, 1024);
        // As long as the mark is cut the id from before could not be put behind it.
        let is_cut_mark = self.bytes.len() < BOM.len() && BOM.starts_with(&self.bytes);
        self.last_event_id = if is_cut_mark { self.id_before.clone() } else { last_event_id };
        let new = items.into_iter().skip(self.reported).collect::<Vec<_>>();
        self.reported += new.len();
        new.into_iter().map(|item| self.understood(rules, item)).collect()
    }

    /// The stream as if its own first block had set the id that an earlier stream left.
    fn with_id_before(&self) -> Vec<u8> {
        let (mark, rest) = match self.bytes.strip_prefix(BOM) {
            Some(rest) => (BOM, rest),
            None if BOM.starts_with(&self.bytes) => (self.bytes.as_slice(), &[][..]),
            None => (&[][..], self.bytes.as_slice()),
        };
        let id = format!("id: {}\n\n", self.id_before);
        // A cut mark is no text yet, and nothing may follow it.
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

/// The event as the library's own parser reads it.
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
