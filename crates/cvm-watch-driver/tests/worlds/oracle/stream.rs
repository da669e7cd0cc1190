//! Events: every one that was said and came through, once, in order, and as it was said.

use cvm_watch_driver::core::Event;

use super::{Conclusion, Law, Stage, Unsure};
use crate::speech::{Said, Spoken};
use crate::world::{MILLI, SECOND};

impl Law {
    /// The caller was handed an event.
    pub(super) fn event(&mut self, id: &str, event: &Event) {
        self.events += 1;
        let Some(spoken) = self.next_event() else {
            return self.broken("an event that the server did not say, or not yet");
        };
        if !spoken.is_seen_as(event, self.rules.max_event_bytes) {
            self.broken(&format!("an event that is not the next one, {spoken:?}"));
        }
        self.must(self.current().concluded.is_none(), "an event after the stream's conclusion");
        self.learn(&spoken);
        self.must(self.last_id.sure == id, "an event with another id than the stream's last");
        self.attempt().read += 1;
        let over = self.current().concluded.is_some();
        self.must(!over || !self.current().open, "a stream that has concluded is still open");
    }

    /// The next event that the bytes so far hold, after what comes before it.
    fn next_event(&mut self) -> Option<Spoken> {
        loop {
            let max = self.rules.max_event_bytes;
            let attempt = self.attempt();
            let line = attempt.line.borrow();
            let spoken = line.spoken.get(attempt.read)?.clone();
            // That one is too large is known somewhere within it.
            let needed = if spoken.size > max { spoken.begins + 1 } else { spoken.ends };
            if needed > line.delivered {
                return None;
            }
            drop(line);
            if spoken.is_event() {
                return Some(spoken);
            }
            attempt.read += 1;
            self.learn(&spoken);
        }
    }

    /// All bytes that were handed to the driver were read: what they hold was handed out.
    pub(super) fn settle(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        if self.stage != Stage::Streaming || attempt.concluded.is_some() {
            return;
        }
        let delivered = attempt.line.borrow().delivered;
        if let Some(event) = self.next_event()
            && event.ends <= delivered
        {
            self.broken(&format!("an event was lost: {event:?}"));
        }
        self.attempt().reading = false;
    }

    /// It cannot be known whether the last bytes were read.
    pub(super) fn settle_perhaps(&mut self) {
        let (retry, id) = (self.server_retry.sure, self.last_id.sure.clone());
        // What follows an event that was not handed out was not read.
        let _ = self.next_event();
        let (retry_if_read, id_if_read) = (self.server_retry.sure, self.last_id.sure.clone());
        self.server_retry = Unsure { sure: retry, or: Some(retry_if_read) };
        self.last_id = Unsure { sure: id, or: Some(id_if_read) };
    }

    fn learn(&mut self, spoken: &Spoken) {
        if spoken.size > self.rules.max_event_bytes {
            return;
        }
        if let Some(id) = &spoken.id {
            self.last_id.is(id.clone());
        }
        let (now, target) = (self.now(), self.rules.target.clone());
        match &spoken.what {
            Said::Retry(millis) => {
                let asked = millis.saturating_mul(MILLI).clamp(SECOND, 30 * SECOND);
                self.server_retry.is(Some(asked));
            }
            Said::State(told) => {
                let is_target = told.status.eq_ignore_ascii_case(&target);
                self.last_state = Some(told.clone());
                let since = &mut self.attempt().at_target_since;
                *since = is_target.then(|| since.unwrap_or(now));
            }
            Said::Complete { status } if status.eq_ignore_ascii_case(&target) => {
                self.attempt().concluded = Some((now, Conclusion::Completed(status.clone())));
            }
            Said::Complete { status } => {
                self.attempt().concluded = Some((now, Conclusion::Elsewhere(status.clone())));
            }
            Said::Timeout => self.attempt().concluded = Some((now, Conclusion::Timeout)),
            _ => {}
        }
    }
}
