//! Events: each one that was delivered is emitted once, in order and unchanged.

use cvm_watch_driver::cvm_watch_core::Event;

use super::{Conclusion, Oracle, Stage, Unsure};
use crate::message::{Message, SentMessage};
use crate::simulation::{MILLI, SECOND};

impl Oracle {
    /// The caller received an event.
    pub(super) fn event(&mut self, id: &str, event: &Event) {
        self.events += 1;
        let Some(sent_messages) = self.next_event() else {
            return self.broken("an event that was not delivered, or not yet");
        };
        if !sent_messages.matches(event, self.rules.max_event_bytes) {
            self.broken(&format!("an event that is not the next one, {sent_messages:?}"));
        }
        self.must(self.current().concluded.is_none(), "an event after the stream's conclusion");
        self.learn(&sent_messages);
        self.must(self.last_id.sure == id, "an event with another id than the stream's last");
        self.attempt().read += 1;
        let over = self.current().concluded.is_some();
        self.must(!over || !self.current().open, "a stream that has concluded is still open");
    }

    /// The next event in the bytes delivered so far, after processing the messages before it.
    fn next_event(&mut self) -> Option<SentMessage> {
        loop {
            let max = self.rules.max_event_bytes;
            let attempt = self.attempt();
            let connection = attempt.connection.borrow();
            let sent_messages = connection.sent_messages.get(attempt.read)?.clone();
            // The watch reports an event over the limit before its end.
            let needed = if sent_messages.size > max { sent_messages.begins + 1 } else { sent_messages.ends };
            if needed > connection.delivered {
                return None;
            }
            drop(connection);
            if sent_messages.is_event() {
                return Some(sent_messages);
            }
            attempt.read += 1;
            self.learn(&sent_messages);
        }
    }

    /// Checks that each event in the bytes given to the driver was emitted.
    pub(super) fn settle(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if self.stage != Stage::Streaming || attempt.concluded.is_some() {
            return;
        }
        let delivered = attempt.connection.borrow().delivered;
        if let Some(event) = self.next_event()
            && event.ends <= delivered
        {
            self.broken(&format!("an event was lost: {event:?}"));
        }
        self.attempt().reading = false;
    }

    /// As [`Self::settle`], when the last bytes may or may not have been read.
    pub(super) fn settle_perhaps(&mut self) {
        let (retry, id) = (self.server_retry.sure, self.last_id.sure.clone());
        // Bytes after an event that was not emitted were not read.
        let _ = self.next_event();
        let (retry_if_read, id_if_read) = (self.server_retry.sure, self.last_id.sure.clone());
        self.server_retry = Unsure { sure: retry, or: Some(retry_if_read) };
        self.last_id = Unsure { sure: id, or: Some(id_if_read) };
    }

    fn learn(&mut self, sent_messages: &SentMessage) {
        if sent_messages.size > self.rules.max_event_bytes {
            return;
        }
        if let Some(id) = &sent_messages.id {
            self.last_id.is(id.clone());
        }
        let (now, target) = (self.now(), self.rules.target.clone());
        match &sent_messages.what {
            Message::Retry(millis) => {
                let asked = millis.saturating_mul(MILLI).clamp(SECOND, 30 * SECOND);
                self.server_retry.is(Some(asked));
            }
            Message::State(status) => {
                let is_target = status.status.eq_ignore_ascii_case(&target);
                self.last_state = Some(status.clone());
                self.attempt().has_state = true;
                let since = &mut self.attempt().at_target_since;
                *since = is_target.then(|| since.unwrap_or(now));
            }
            Message::Complete { status } if status.eq_ignore_ascii_case(&target) => {
                self.attempt().concluded = Some((now, Conclusion::Completed(status.clone())));
            }
            Message::Complete { status } => {
                self.attempt().concluded = Some((now, Conclusion::Elsewhere(status.clone())));
            }
            Message::Timeout => self.attempt().concluded = Some((now, Conclusion::Timeout)),
            _ => {}
        }
    }
}
