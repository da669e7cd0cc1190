//! The state of a watch, and how each input changes it.
//!
//! Start with [`State::handle`] and [`State::receive`], which take every input. `reading.rs` handles events, and
//! `moves.rs` has the transitions: every failed attempt goes through [`State::attempt_failed`], and every end of a
//! watch through [`State::end`].

mod bare_json;
mod credentials;
mod moves;
mod reading;
mod stage;
pub(crate) mod transitions;
mod wake;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bare_json::BareJson;
use credentials::Credentials;
use stage::{Attempt, ErrorAnswer, Stage};
pub use transitions::Phase;
use transitions::Trigger;

use crate::action::{End, Pending};
use crate::backoff::Delays;
use crate::close_cause::{CloseCause, TlsFault};
use crate::cvm_id::CvmId;
use crate::cvm_state::CvmState;
use crate::error::{Failure, RetryCause};
use crate::input::{AttemptId, Input};
use crate::judge::{Judge, Verdict};
use crate::malformed::MalformedReason;
use crate::policy::{Mode, Policy};
use crate::redact::Redactor;
use crate::request;
use crate::response::{self, HeadMeaning, MAX_BODY, ResponseHead};
use crate::sse;
use crate::time::{Timestamp, UnixSeconds};
use crate::timer::ERROR_BODY_TIME;

/// The state of a watch.
#[derive(Debug)]
pub(crate) struct State {
    stage: Stage,
    /// The overall deadline, if there is one.
    deadline: Option<Timestamp>,
    /// Until when the CVM may be missing.
    create_until: Option<Timestamp>,
    /// Whether each attempt asks for a permit first.
    permits_asked: bool,
    /// How many attempts were started; the number of the current one.
    attempts: u64,
    /// How many failed attempts counted as a retry.
    retries: u64,
    delays: Delays,
    /// Whether attempts are single requests.
    polls: bool,
    /// How many streams in a row have ended without an event.
    silent_streams: u8,
    /// Whether the current stream has brought an event.
    has_event: bool,
    decoder: sse::Decoder,
    /// Finds errors in lines that the decoder passes over.
    bare_json: BareJson,
    /// Decides whether the target is reached.
    judge: Judge,
    /// The last state of any attempt.
    last_state: Option<Arc<CvmState>>,
    /// Where the watch is given a credential before each attempt.
    credentials: Option<Box<Credentials>>,
    /// Why the last attempt failed.
    last_cause: Option<RetryCause>,
    /// The text of the last `error` event or error answer.
    last_error: Option<String>,
    #[cfg(test)]
    pub(crate) trail: Vec<(Phase, Trigger, Phase)>,
}

/// Which deadlines are judged before an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// Only the overall deadline.
    Overall,
    /// The overall deadline and the attempt's.
    Both,
}

/// What each step needs besides the state: the policy, the time and the queue of actions.
pub(crate) struct Context<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) id: &'a CvmId,
    pub(crate) now: Timestamp,
    pub(crate) out: &'a mut Pending,
}

impl State {
    pub(crate) fn new(seed: u64, permits_asked: bool, mut cx: Context<'_>) -> Self {
        let mut limits = sse::Limits::default();
        limits = limits.max_event_bytes(cx.policy.max_event_bytes()).max_id_bytes(request::MAX_LAST_EVENT_ID);
        let mut state = Self {
            stage: Stage::Queued,
            deadline: cx.policy.deadline().map(|deadline| cx.now + deadline),
            create_until: cx.policy.wait_for_create().map(|time| cx.now + time),
            permits_asked,
            attempts: 0,
            retries: 0,
            delays: Delays::new(seed),
            polls: cx.policy.mode() == Mode::Poll,
            silent_streams: 0,
            has_event: false,
            decoder: sse::Decoder::new(limits),
            bare_json: BareJson::new(),
            judge: Judge::default(),
            last_state: None,
            credentials: cx.policy.credential_per_attempt().then(Box::default),
            last_cause: None,
            last_error: None,
            #[cfg(test)]
            trail: Vec::new(),
        };
        state.enter_queue(&mut cx);
        state
    }

    // ---- inputs ----

    /// Takes every input but bytes. Deadlines are checked before the input; the other timers only at a `Tick`, after
    /// everything that was ready was read.
    pub(crate) fn handle(&mut self, input: Input<'_>, mut cx: Context<'_>) {
        let cx = &mut cx;
        if let Input::Closed { attempt, .. } = input
            && cx.out.disconnect == Some(attempt)
        {
            // The connection ended before its `Disconnect` was polled.
            cx.out.disconnect = None;
        }
        if let Input::Closed { attempt, .. }
        | Input::Head { attempt, .. }
        | Input::Yield { attempt }
        | Input::Credential { attempt, .. } = input
            && !self.is_open(attempt, cx)
        {
            return;
        }
        if let Input::Closed { .. } = input {
            self.note_closed();
        }
        let too_late = match input {
            Input::Abort => false,
            // An attempt deadline that passed during system sleep is not a failure.
            Input::Resumed => self.judge_deadlines(Judged::Overall, cx),
            _ => self.judge_deadlines(Judged::Both, cx),
        };
        match input {
            Input::Tick => {
                if !too_late {
                    self.judge_timers(cx);
                }
                self.judge_retry(cx);
            }
            _ if too_late => {}
            Input::Abort => self.abort(cx),
            Input::Closed { cause, .. } => self.closed(cause, cx),
            Input::Head { head, wall, .. } => self.head(&head, wall, cx),
            Input::Resumed => self.resumed(cx),
            Input::Permit => self.permit(cx),
            Input::Credential { credential, .. } => self.credential(&credential, cx),
            Input::Yield { .. } => self.yield_slot(cx),
        }
    }

    /// Takes bytes of a body up to the end of one event, and none while an event waits to be polled. Bytes of an
    /// attempt that has ended are taken and discarded.
    pub(crate) fn receive(&mut self, attempt: AttemptId, bytes: &[u8], mut cx: Context<'_>) -> usize {
        let cx = &mut cx;
        if !self.is_open(attempt, cx) {
            return bytes.len();
        }
        if cx.out.emit.is_some() {
            return 0;
        }
        if bytes.is_empty() || self.judge_deadlines(Judged::Both, cx) {
            return bytes.len();
        }
        match &mut self.stage {
            Stage::Streaming(_, heard) => {
                *heard = cx.now;
                self.read_stream(attempt, bytes, cx)
            }
            Stage::ReadingError(_, answer) => {
                let room = MAX_BODY - answer.body.len();
                let taken = bytes.split_at_checked(room).map_or(bytes, |(taken, _)| taken);
                answer.body.extend_from_slice(taken);
                if answer.body.len() == MAX_BODY {
                    self.answered(cx);
                }
                bytes.len()
            }
            Stage::ReadingState(_, body) => {
                body.extend_from_slice(bytes);
                let limit = cx.policy.max_event_bytes();
                if body.len() > limit {
                    let reason = MalformedReason::EventTooLarge { limit };
                    self.attempt_failed(RetryCause::Unreadable { reason }, None, cx);
                }
                bytes.len()
            }
            // A body before its head is a bug of the transport.
            Stage::Connecting(_) | Stage::Queued | Stage::Waiting { .. } | Stage::Ended => bytes.len(),
        }
    }

    // ---- deadlines and timers ----

    /// Checks the deadlines that precede any input: the overall one, then the attempt's. Returns whether one has
    /// passed, so that the input is too late.
    fn judge_deadlines(&mut self, which: Judged, cx: &mut Context<'_>) -> bool {
        let overall = self.deadline.is_some_and(|deadline| deadline <= cx.now);
        let is_judged = which == Judged::Both && cx.out.connect.is_none();
        let attempt = self.stage.attempt().is_some_and(|attempt| is_judged && attempt.deadline <= cx.now);
        match &self.stage {
            Stage::Ended => return false,
            // The server answered, so the part of the body that arrived decides.
            Stage::ReadingError(..) if overall || attempt => self.answered(cx),
            Stage::Streaming(..) if self.has_reached() && (overall || attempt) => self.reached(cx),
            _ if attempt && !overall => {
                let cause = if self.polls { RetryCause::AnswerTimeout } else { RetryCause::AttemptTimeout };
                self.attempt_failed(cause, None, cx);
            }
            _ => {}
        }
        if overall && self.phase() != Phase::Ended {
            self.deadline_exceeded(cx);
        }
        overall || attempt
    }

    /// Checks the timers that an input could have stopped.
    fn judge_timers(&mut self, cx: &mut Context<'_>) {
        let due = |at: Timestamp| at <= cx.now;
        match &self.stage {
            Stage::Connecting(attempt)
                if cx.out.connect.is_none() && due(attempt.started + cx.policy.connect_timeout()) =>
            {
                self.attempt_failed(RetryCause::ConnectTimeout, None, cx);
            }
            Stage::Streaming(_, heard) => {
                let is_idle = cx.policy.idle_timeout().is_some_and(|idle| due(*heard + idle));
                if self.judge.counts_now(cx.policy, cx.now) {
                    cx.out.steady |= self.judge.take_steady();
                    self.reached(cx);
                } else if is_idle {
                    self.attempt_failed(RetryCause::IdleTimeout, None, cx);
                }
            }
            Stage::ReadingError(_, answer) if due(answer.until) => self.answered(cx),
            _ => {}
        }
    }

    /// Runs after the other timers. After a failure without a delay the next attempt begins in the same tick, so that
    /// the next wake is later.
    fn judge_retry(&mut self, cx: &mut Context<'_>) {
        if let Stage::Waiting { until } = &self.stage
            && *until <= cx.now
        {
            self.enter_queue(cx);
        }
    }

    /// A response head arrived.
    fn head(&mut self, head: &ResponseHead<'_>, wall: Option<UnixSeconds>, cx: &mut Context<'_>) {
        // A head before its request is a bug of the transport.
        let Stage::Connecting(attempt @ Attempt { asking: false, .. }) = self.stage else {
            return;
        };
        match response::judge(head, wall, self.polls, self.redactor(cx.policy)) {
            HeadMeaning::Stream => {
                self.credentials.as_deref_mut().map(Credentials::accept).unwrap_or_default();
                self.judge.begin_stream();
                self.has_event = false;
                self.go(Trigger::EventStream, Stage::Streaming(attempt, cx.now));
            }
            HeadMeaning::State => {
                self.credentials.as_deref_mut().map(Credentials::accept).unwrap_or_default();
                self.judge.begin_stream();
                self.go(Trigger::ImmediateAnswer, Stage::ReadingState(attempt, Vec::new()));
            }
            HeadMeaning::ReadBody(head) => {
                let until = cx.now + ERROR_BODY_TIME;
                let answer = ErrorAnswer { head, body: Vec::new(), until };
                self.go(Trigger::ErrorStatus, Stage::ReadingError(attempt, Box::new(answer)));
            }
            HeadMeaning::Reject(rejection) => {
                self.end(Trigger::Rejected, End::Failed(Failure::Rejected(Box::new(rejection))), cx);
            }
        }
    }

    /// The connection ended.
    fn closed(&mut self, cause: CloseCause, cx: &mut Context<'_>) {
        match (&self.stage, cause) {
            (Stage::ReadingError(..), _) => self.answered(cx),
            (Stage::ReadingState(..), CloseCause::Ended) => self.polled(cx),
            (Stage::Connecting(_), CloseCause::Tls(fault)) if fault != TlsFault::Other => {
                self.end(Trigger::CertificateRefused, End::Failed(Failure::Tls(fault)), cx);
            }
            (Stage::Connecting(_), CloseCause::ProxyAuthentication) => {
                self.end(Trigger::CredentialsRefused, End::Failed(Failure::ProxyAuthentication), cx);
            }
            (Stage::Connecting(_), CloseCause::Ended) => {
                self.attempt_failed(RetryCause::NoAnswer, None, cx);
            }
            _ => self.attempt_failed(RetryCause::Closed(cause), None, cx),
        }
    }

    /// Another watch waits for the connection. A stream yields, which does not count as a retry.
    fn yield_slot(&mut self, cx: &mut Context<'_>) {
        match self.stage {
            Stage::Connecting(_) => self.attempt_failed(RetryCause::ConnectTimeout, None, cx),
            Stage::Streaming(..) => self.attempt_failed(RetryCause::Yielded, None, cx),
            Stage::ReadingError(..) => self.answered(cx),
            Stage::ReadingState(..) => self.attempt_failed(RetryCause::AnswerTimeout, None, cx),
            Stage::Queued | Stage::Waiting { .. } | Stage::Ended => {}
        }
        self.judge_retry(cx);
    }

    // ---- queries ----

    /// Returns whether `attempt` is the current one and its `Connect` was polled, so that the driver may report on it.
    fn is_open(&self, attempt: AttemptId, cx: &Context<'_>) -> bool {
        self.has_attempt() && attempt.0 == self.attempts && cx.out.connect.is_none()
    }

    /// Returns whether an attempt is running, even if its `Connect` was not polled yet.
    pub(crate) fn has_attempt(&self) -> bool {
        self.stage.attempt().is_some()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.stage.phase()
    }

    /// Returns the verdict on the latest state of the current stream.
    pub(crate) fn latest(&self) -> Verdict {
        if self.phase() == Phase::Streaming { self.judge.latest() } else { Verdict::Unknown }
    }

    fn has_reached(&self) -> bool {
        self.latest() == Verdict::Reached
    }

    /// Returns the redactor for the policy's secrets and every credential given.
    pub(crate) fn redactor<'a>(&'a self, policy: &'a Policy) -> &'a Redactor {
        Credentials::redactor(self.credentials.as_deref(), policy)
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.attempts
    }

    pub(crate) fn decoder(&self) -> &sse::Decoder {
        &self.decoder
    }

    fn last_state(&self) -> CvmState {
        self.last_state.as_deref().cloned().unwrap_or_default()
    }

    fn time_left(&self, now: Timestamp) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.since(now))
    }
}
