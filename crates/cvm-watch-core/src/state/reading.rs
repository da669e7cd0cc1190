//! Reads the events of a stream and acts on them.

use alloc::string::ToString;
use alloc::sync::Arc;

use super::credentials::Credentials;
use super::transitions::Trigger;
use super::{Context, State};
use crate::action::End;
use crate::cvm_state::CvmState;
use crate::error::RetryCause;
use crate::event::Event;
use crate::input::AttemptId;
use crate::judge::Verdict;
use crate::redact::redacted_and_cut;
use crate::sse;

/// The most characters of an error's text that are kept for the final failure.
const MAX_ERROR_TEXT: usize = 512;

impl State {
    /// Reads up to the end of one event.
    pub(super) fn read_stream(&mut self, attempt: AttemptId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let redactor = Credentials::redactor(self.credentials.as_deref(), cx.policy);
        let mut chunk = sse::Chunk::new(bytes);
        while let Some(item) = self.decoder.decode(&mut chunk) {
            let (event, verdict, id) = match item {
                sse::Item::Retry(millis) => {
                    self.delays.server_asked(millis);
                    continue;
                }
                sse::Item::Event(received) => {
                    let id = redactor.redact(received.id).to_string();
                    let mut event = Event::read(&received, cx.policy.keep_raw());
                    // Judged before redaction, since a secret may be part of a status.
                    let verdict = self.judge.event(&event, self.last_state.as_deref(), cx.policy, cx.now);
                    event.redact(received.data, redactor);
                    (event, verdict, id)
                }
                sse::Item::TooLarge { limit } => {
                    let id = redactor.redact(self.decoder.last_event_id()).to_string();
                    (Event::too_large(limit), Verdict::Unknown, id)
                }
                // A later version of the decoder may add kinds of items; a watch ignores them.
                _ => continue,
            };
            let taken = bytes.len() - chunk.rest().len();
            if taken == bytes.len() {
                // The next event is seconds away. Freeing the buffers matters with many watches.
                self.has_event = true;
                self.decoder.free_event();
            }
            self.read_bare_json(bytes, taken, cx);
            self.follow(&event, verdict, cx);
            cx.out.emit = Some((attempt, id, event));
            return taken;
        }
        self.decoder.free_event();
        let taken = bytes.len() - chunk.rest().len();
        self.read_bare_json(bytes, taken, cx);
        taken
    }

    fn read_bare_json(&mut self, bytes: &[u8], taken: usize, cx: &Context<'_>) {
        if let Some(error) = self.bare_json.read(bytes.get(..taken).unwrap_or(bytes)) {
            self.keep_error(&error, cx);
        }
    }

    /// Keeps the text of an error for the final failure.
    pub(super) fn keep_error(&mut self, text: &str, cx: &Context<'_>) {
        self.last_error = Some(redacted_and_cut(self.redactor(cx.policy), text, MAX_ERROR_TEXT));
    }

    /// Acts on an event.
    fn follow(&mut self, event: &Event, verdict: Verdict, cx: &mut Context<'_>) {
        cx.out.steady |= self.judge.take_steady();
        match event {
            Event::State(state) => {
                self.last_state = Some(Arc::clone(state));
                match verdict {
                    Verdict::Unreachable => self.unreachable(state, cx),
                    Verdict::Stalled => self.stalled(state, cx),
                    _ => {}
                }
            }
            Event::Complete(complete) => self.complete(&complete.status, verdict, cx),
            _ if event.is_timeout() => self.attempt_failed(RetryCause::ServerTimeout, None, cx),
            _ => {
                if let Some(text) = event.error_text() {
                    self.keep_error(&text, cx);
                }
            }
        }
    }

    fn complete(&mut self, status: &str, verdict: Verdict, cx: &mut Context<'_>) {
        let status = status.to_string();
        let cause = match verdict {
            Verdict::NotReady => RetryCause::NotReady,
            Verdict::NotChanged => RetryCause::NotChanged,
            Verdict::NotStable => RetryCause::NotStable,
            Verdict::Completed => {
                let state = CvmState { status, ..self.last_state() };
                return self.end(Trigger::Completed, End::Resolved(state), cx);
            }
            _ => RetryCause::CompletedElsewhere { status },
        };
        self.attempt_failed(cause, None, cx);
    }
}
