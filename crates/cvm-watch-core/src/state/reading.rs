//! What the events of a stream tell, and what they ask for.

use alloc::string::{String, ToString};
use alloc::sync::Arc;

use super::stage::{Latest, Stage};
use super::transitions::Trigger;
use super::{Context, State};
use crate::action::End;
use crate::cvm::CvmState;
use crate::error::RetryCause;
use crate::event::{Event, MalformedReason, Meaning, Reader};
use crate::goal::{Look, Standing};
use crate::input::AttemptId;
use crate::redact::redacted_and_cut;
use crate::sse;

/// The most characters of an error's text that are kept for the final failure.
const MAX_ERROR_TEXT: usize = 512;

impl State {
    /// Reads up to the end of one event.
    pub(super) fn read_stream(&mut self, attempt: AttemptId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let reader = Reader::new(cx.policy);
        let mut rest = bytes;
        while let Some(item) = self.decoder.decode(&mut rest) {
            let (meaning, event, id) = match item {
                sse::Item::Retry(millis) => {
                    self.delays.server_asked(millis);
                    continue;
                }
                sse::Item::Event(event) => {
                    let id = cx.policy.redactor().redact(event.id).to_string();
                    let (meaning, event) = reader.read(&event);
                    (meaning, event, id)
                }
                sse::Item::TooLarge { limit } => {
                    let reason = MalformedReason::EventTooLarge { limit };
                    let event = Event::Malformed { name: String::new(), data: String::new(), reason };
                    let id = cx.policy.redactor().redact(self.decoder.last_event_id()).to_string();
                    (Meaning::Nothing, event, id)
                }
                // A kind that the decoder may add later carries nothing that a watch acts on.
                _ => continue,
            };
            // The next event is seconds away, and watches are many.
            self.decoder.free_event();
            self.learn(meaning, &event, cx);
            self.follow(meaning, &event, cx);
            cx.out.emit = Some((attempt, id, event));
            break;
        }
        bytes.len() - rest.len()
    }

    /// Keeps of an event what the end may need.
    fn learn(&mut self, meaning: Meaning, event: &Event, cx: &Context<'_>) {
        if let Event::State(state) = event {
            self.last_state = Some(Arc::clone(state));
        }
        if meaning == Meaning::Error
            && let Some(text) = event.error_text()
        {
            self.last_error = Some(redacted_and_cut(cx.policy.redactor(), text, MAX_ERROR_TEXT));
        }
    }

    /// Does what an event asks for.
    fn follow(&mut self, meaning: Meaning, event: &Event, cx: &mut Context<'_>) {
        match (meaning, event) {
            (Meaning::State(look), Event::State(state)) => self.state(look, state, cx),
            (Meaning::Complete { at_target }, Event::Complete(complete)) => {
                self.complete(at_target, complete.status.clone(), cx);
            }
            (Meaning::Timeout, _) => self.lose(RetryCause::ServerTimeout, None, cx),
            _ => {}
        }
    }

    fn state(&mut self, look: Look, state: &CvmState, cx: &mut Context<'_>) {
        let is_first = self.latest() == Latest::Nothing;
        let mut standing = self.progress.state(look, state, is_first, cx.policy, cx.now);
        let is_steady = look.at_target && look.ready && !self.progress.has_changed(cx.policy);
        if is_steady && self.progress.steady_at(cx.policy).is_some_and(|at| at <= cx.now) {
            self.accept_steady(cx);
            standing = Standing::Reached;
        }
        let latest = match standing {
            Standing::Hopeless => return self.unreachable(state, cx),
            Standing::Reached => Latest::Reached,
            Standing::NotYet if is_steady => Latest::Steady,
            Standing::NotYet => Latest::NotYet,
        };
        if let Stage::Streaming(_, stream) = &mut self.stage {
            stream.latest = latest;
            let ends = cx.now + cx.policy.complete_grace();
            // A repeated state does not begin the grace anew; another status ends it.
            stream.grace_ends = (latest == Latest::Reached).then(|| stream.grace_ends.unwrap_or(ends));
        }
    }

    /// The server says that it is done, with this status.
    fn complete(&mut self, at_target: bool, status: String, cx: &mut Context<'_>) {
        self.progress.completed(at_target, cx.now);
        if !at_target {
            return self.lose(RetryCause::CompletedElsewhere { status }, None, cx);
        }
        let said_state = self.latest() != Latest::Nothing;
        let state = CvmState { status, ..self.last_state() };
        if !Look::at(&state, cx.policy).ready && (said_state || !self.progress.is_unreported()) {
            return self.lose(RetryCause::NotReady, None, cx);
        }
        if !self.progress.has_changed(cx.policy) {
            if self.progress.steady_at(cx.policy).is_none_or(|at| at > cx.now) {
                return self.lose(RetryCause::NotChanged, None, cx);
            }
            self.accept_steady(cx);
        }
        self.end(Trigger::Completed, End::Resolved(state), cx);
    }
}
