//! The transitions from one phase to another. Attempts fail only in [`State::attempt_failed`], and the watch ends
//! only in
//! [`State::end`].

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::bare_json::BareJson;
use super::stage::{Attempt, Stage};
use super::transitions::{self, Phase, Trigger};
use super::{Context, State};
use crate::action::{End, Retrying};
use crate::credential::Credential;
use crate::cvm_state::CvmState;
use crate::error::{Failure, Rejection, RetryCause};
use crate::event::Event;
use crate::input::AttemptId;
use crate::judge::{Judge, Verdict};
use crate::policy::{Mode, Policy};
use crate::request;
use crate::response::Answer;
use crate::sse;
use crate::timer::{ATTEMPT_MARGIN, LONG_LIVED};

/// After this many streams in a row without an event, [`Mode::Auto`] polls.
const SILENT_STREAMS: u8 = 3;
const BOM: &[u8] = b"\xef\xbb\xbf";

impl State {
    /// Begins the next attempt, or asks for a permit if the watch needs one.
    pub(super) fn enter_queue(&mut self, cx: &mut Context<'_>) {
        // A new watch is in the queue already.
        if self.phase() == Phase::Waiting {
            self.go(Trigger::RetryDue, Stage::Queued);
        }
        self.ask_or_connect(cx);
    }

    fn ask_or_connect(&mut self, cx: &mut Context<'_>) {
        if self.permits_asked {
            cx.out.ask_permit = true;
        } else {
            self.connect(cx);
        }
    }

    pub(super) fn permit(&mut self, cx: &mut Context<'_>) {
        if self.phase() == Phase::Queued {
            cx.out.ask_permit = false;
            self.connect(cx);
        }
    }

    fn connect(&mut self, cx: &mut Context<'_>) {
        let timeout = match self.polls {
            true => cx.policy.connect_timeout(),
            false => request::timeout_to_send(cx.policy, self.time_left(cx.now)),
        };
        self.attempts += 1;
        let asks = self.credentials.is_some();
        if asks {
            cx.out.connect = Some(Box::new((AttemptId(self.attempts), None)));
        } else {
            self.send_request(cx.policy.credential(), timeout, cx);
        }
        let deadline = cx.now + (timeout + ATTEMPT_MARGIN);
        let attempt = Attempt { started: cx.now, deadline, closed: false, asking: asks };
        self.go(Trigger::Permit, Stage::Connecting(attempt));
    }

    /// The credential that the attempt asked for.
    pub(super) fn credential(&mut self, credential: &Credential, cx: &mut Context<'_>) {
        let Stage::Connecting(attempt) = &mut self.stage else { return };
        let Some(credentials) = self.credentials.as_mut().filter(|_| core::mem::take(&mut attempt.asking)) else {
            return;
        };
        if let Some(rejection) = credentials.give(credential, cx.policy) {
            // No connection was opened.
            attempt.closed = true;
            return self.end(Trigger::Rejected, End::Failed(Failure::Rejected(rejection)), cx);
        }
        let timeout = attempt.deadline.since(attempt.started).saturating_sub(ATTEMPT_MARGIN);
        self.send_request(Some(credential), timeout, cx);
    }

    fn send_request(&self, credential: Option<&Credential>, timeout: Duration, cx: &mut Context<'_>) {
        let request = if self.polls {
            request::immediate(cx.policy, cx.id, credential)
        } else {
            let redactor = self.redactor(cx.policy);
            let last_event_id = self.decoder.last_event_id();
            request::build(cx.policy, cx.id, timeout, credential, redactor, last_event_id)
        };
        cx.out.connect = Some(Box::new((AttemptId(self.attempts), Some(request))));
    }

    /// No more of the error answer will be read.
    pub(super) fn answered(&mut self, cx: &mut Context<'_>) {
        let Stage::ReadingError(_, answer) = &mut self.stage else {
            return;
        };
        let head = answer.head.clone();
        let body = core::mem::take(&mut answer.body);
        match head.judge(&body, self.redactor(cx.policy)) {
            Answer::Reject(rejection)
                if rejection.is_not_found() && self.create_until.is_some_and(|until| cx.now < until) =>
            {
                self.last_error = rejection.message.clone().or(self.last_error.take());
                self.attempt_failed(RetryCause::NotCreated { message: rejection.message }, None, cx);
            }
            Answer::Reject(rejection) if rejection.status == 401 && self.may_ask_again(&rejection) => {
                let message = rejection.message;
                self.last_error = message.clone().or(self.last_error.take());
                self.attempt_failed(RetryCause::CredentialRefused { message }, None, cx);
            }
            Answer::Reject(rejection) => {
                self.end(Trigger::Rejected, End::Failed(Failure::Rejected(Box::new(rejection))), cx);
            }
            Answer::Retry { cause, retry_after } => {
                // An answer without a message does not replace an earlier one.
                self.last_error = cause.server_message().map(ToString::to_string).or(self.last_error.take());
                self.attempt_failed(cause, retry_after, cx);
            }
        }
    }

    /// Returns whether the provider may have another credential than the one that was refused.
    fn may_ask_again(&mut self, rejection: &Rejection) -> bool {
        self.credentials.as_mut().is_some_and(|credentials| credentials.refuse(rejection))
    }

    /// Every failed attempt goes through here.
    pub(super) fn attempt_failed(&mut self, cause: RetryCause, retry_after: Option<Duration>, cx: &mut Context<'_>) {
        self.keep_unfinished_error(cx);
        let mut routine = false;
        let switches = self.is_silent_again(&cause, cx.policy);
        if let Stage::Streaming(attempt, _) = &self.stage {
            // If the latest state is at the target, the watch resolves, however the stream ends. Only a `complete`
            // with another status prevents that.
            if self.has_reached() && !matches!(cause, RetryCause::CompletedElsewhere { .. }) {
                return self.reached(cx);
            }
            let has_reported = self.judge.latest() != Verdict::Unknown;
            let is_long_lived = cx.now.since(attempt.started) >= LONG_LIVED;
            // The server ends streams now and then, which is not a failure of a healthy one.
            routine = cause == RetryCause::ServerTimeout || (is_long_lived && has_reported);
            // A stream that yielded after a state counts as healthy.
            if routine || is_long_lived || (cause == RetryCause::Yielded && has_reported) {
                self.delays.reset();
            }
        }
        if self.time_left(cx.now) == Some(Duration::ZERO) {
            self.last_cause = Some(cause);
            return self.deadline_exceeded(cx);
        }
        self.close(cx);
        let delay = match &cause {
            // Nothing went wrong, so there is no delay.
            RetryCause::Yielded | RetryCause::Suspended | RetryCause::CredentialRefused { .. } => None,
            RetryCause::NotReady | RetryCause::NotChanged | RetryCause::NotStable => Some(cx.policy.interval()),
            RetryCause::NotCreated { .. } => Some(self.delays.next(cx.policy, retry_after)),
            // In a fleet it means that the server has no free slot, so it does not count as a retry.
            RetryCause::TooManyStreams { .. } if self.permits_asked => Some(self.delays.next(cx.policy, retry_after)),
            _ if cx.policy.max_retries().is_some_and(|most| self.retries >= most) => {
                return self.retries_used_up(cause, cx);
            }
            _ => {
                self.retries += 1;
                Some(match routine {
                    true => self.delays.next_after_routine_end(cx.policy),
                    false => self.delays.next(cx.policy, retry_after),
                })
            }
        };
        if switches {
            self.polls = true;
            cx.out.switched = true;
        }
        if cause == RetryCause::Yielded {
            self.go(Trigger::Yield, Stage::Queued);
            return self.ask_or_connect(cx);
        }
        self.last_cause = Some(cause.clone());
        let is_refused = matches!(cause, RetryCause::CredentialRefused { .. });
        let reported = delay.unwrap_or_default();
        let reported = self.time_left(cx.now).map_or(reported, |left| left.min(reported));
        cx.out.retrying =
            Some(Box::new(Retrying { attempt: AttemptId(self.attempts), delay: reported, cause, routine }));
        match delay {
            None => {
                self.go(if is_refused { Trigger::AskAgain } else { Trigger::Suspended }, Stage::Queued);
                self.ask_or_connect(cx);
            }
            Some(delay) => self.go(Trigger::AttemptFailed, Stage::Waiting { until: cx.now + delay }),
        }
    }

    /// The machine was suspended: the server may have closed the connection, and a retry delay may have passed.
    pub(super) fn resumed(&mut self, cx: &mut Context<'_>) {
        match &self.stage {
            Stage::Connecting(_) if cx.out.connect.is_some() => {}
            Stage::Connecting(_) | Stage::Streaming(..) | Stage::ReadingState(..) => {
                self.attempt_failed(RetryCause::Suspended, None, cx);
            }
            Stage::ReadingError(..) | Stage::Waiting { .. } | Stage::Queued | Stage::Ended => self.judge_retry(cx),
        }
    }

    /// Counts streams in a row that ended without an event. Returns whether the watch polls from now on.
    fn is_silent_again(&mut self, cause: &RetryCause, policy: &Policy) -> bool {
        if policy.mode() != Mode::Auto || self.polls || *cause == RetryCause::Suspended {
            return false;
        }
        let is_silent = self.phase() == Phase::Streaming && !self.has_event;
        self.silent_streams = if is_silent { self.silent_streams.saturating_add(1) } else { 0 };
        self.silent_streams >= SILENT_STREAMS
    }

    /// An answer in immediate mode is complete: it is judged like a `state`.
    pub(super) fn polled(&mut self, cx: &mut Context<'_>) {
        let Stage::ReadingState(_, body) = &mut self.stage else { return };
        let body = core::mem::take(body);
        let text = String::from_utf8_lossy(body.strip_prefix(BOM).unwrap_or(&body));
        let mut event = Event::read(&sse::Event::new("state", &text, ""), cx.policy.keep_raw());
        let verdict = self.judge.event(&event, self.last_state.as_deref(), cx.policy, cx.now);
        event.redact(&text, self.redactor(cx.policy));
        cx.out.steady |= self.judge.take_steady();
        match &event {
            Event::State(state) => {
                self.last_state = Some(Arc::clone(state));
                match verdict {
                    Verdict::Unreachable => self.unreachable(state, cx),
                    Verdict::Stalled => self.stalled(state, cx),
                    Verdict::Reached => self.reached(cx),
                    _ => {
                        self.close(cx);
                        self.delays.reset();
                        self.go(Trigger::Polled, Stage::Waiting { until: cx.now + cx.policy.interval() });
                    }
                }
            }
            Event::Malformed { reason, .. } => {
                return self.attempt_failed(RetryCause::Unreadable { reason: *reason }, None, cx);
            }
            // An event by this name is one of the two.
            _ => {}
        }
        cx.out.emit = Some((AttemptId(self.attempts), String::new(), event));
    }

    fn retries_used_up(&mut self, last_cause: RetryCause, cx: &mut Context<'_>) {
        let last_error = self.last_error.take();
        let failure = Failure::MaxRetriesExceeded { attempts: self.retries + 1, last_cause, last_error };
        self.end(Trigger::RetriesUsedUp, End::Failed(failure), cx);
    }

    /// The target cannot be reached.
    pub(super) fn unreachable(&mut self, state: &CvmState, cx: &mut Context<'_>) {
        let failure = Failure::TargetUnreachable {
            target: cx.policy.targets().collect::<Vec<_>>().join(","),
            status: state.status.clone(),
            boot_error: state.boot_error.clone(),
            attempts: self.attempts,
        };
        self.end(Trigger::TargetUnreachable, End::Failed(failure), cx);
    }

    /// The CVM makes no progress.
    pub(super) fn stalled(&mut self, state: &CvmState, cx: &mut Context<'_>) {
        let failure = Failure::Stalled {
            after: cx.policy.stall_timeout().unwrap_or_default(),
            status: state.status.clone(),
            boot_progress: state.boot_progress.clone(),
            attempts: self.attempts,
        };
        self.end(Trigger::Stalled, End::Failed(failure), cx);
    }

    /// The latest state is at the target, and the watch does not wait for `complete` any longer.
    pub(super) fn reached(&mut self, cx: &mut Context<'_>) {
        let state = self.last_state();
        self.end(Trigger::TargetSeen, End::Resolved(state), cx);
    }

    /// Reads the line of JSON that the stream ended in.
    fn keep_unfinished_error(&mut self, cx: &Context<'_>) {
        if let Some(error) = self.bare_json.finish() {
            self.keep_error(&error, cx);
        }
    }

    pub(super) fn deadline_exceeded(&mut self, cx: &mut Context<'_>) {
        self.keep_unfinished_error(cx);
        let failure = Failure::DeadlineExceeded {
            deadline: cx.policy.deadline().unwrap_or_default(),
            attempts: self.attempts,
            last_status: self.last_state.as_ref().map(|state| state.status.clone()),
            last_cause: self.last_cause.take(),
            last_error: self.last_error.take(),
        };
        self.end(Trigger::DeadlinePassed, End::Failed(failure), cx);
    }

    pub(super) fn abort(&mut self, cx: &mut Context<'_>) {
        if self.phase() != Phase::Ended {
            self.close(cx);
            cx.out.discard();
            self.end(Trigger::Abort, End::Failed(Failure::Aborted), cx);
        }
    }

    /// Every end of a watch goes through here.
    pub(super) fn end(&mut self, trigger: Trigger, end: End, cx: &mut Context<'_>) {
        self.close(cx);
        cx.out.end = Some(Box::new(end));
        cx.out.ask_permit = false;
        self.last_state = None;
        self.judge = Judge::default();
        self.go(trigger, Stage::Ended);
    }

    /// Closes the connection: removes the `Connect` if it was not polled, else queues a `Disconnect` unless the
    /// connection has ended.
    pub(super) fn close(&mut self, cx: &mut Context<'_>) {
        let Some(attempt) = self.stage.attempt_mut() else { return };
        let never_opened = cx.out.connect.take().is_some();
        let owed = !never_opened && !attempt.closed;
        attempt.closed = true;
        if owed {
            cx.out.disconnect = Some(AttemptId(self.attempts));
        }
        self.decoder.reset();
        self.bare_json = BareJson::new();
    }

    pub(super) fn note_closed(&mut self) {
        if let Some(attempt) = self.stage.attempt_mut() {
            attempt.closed = true;
        }
    }

    pub(super) fn go(&mut self, trigger: Trigger, to: Stage) {
        let from = self.phase();
        self.stage = to;
        debug_assert!(
            transitions::allowed(from, trigger, self.phase()),
            "no transition {from:?} --{trigger:?}--> {:?}",
            self.phase()
        );
        #[cfg(test)]
        self.trail.push((from, trigger, self.phase()));
    }
}
