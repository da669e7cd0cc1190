//! The state of a watch and every transition it can make.
//!
//! Read [`State::handle`] and [`State::receive`] first: what can happen. Then the section
//! "transitions": what follows. Every attempt that is lost goes through [`State::lose`], and every
//! way to the end through [`State::end`]. `docs/state-machine.md` draws [`TRANSITIONS`], and a test
//! holds the drawing, the table and the code together.

pub(crate) mod transitions;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use transitions::Phase;
use transitions::Trigger;

use crate::action::{End, Pending};
use crate::backoff::Delays;
use crate::config::Config;
use crate::cvm::CvmState;
use crate::error::{CloseCause, Failure, RetryCause, TlsFault};
use crate::event::{Event, MalformedReason, Meaning, Reader};
use crate::input::{AttemptId, Input};
use crate::request;
use crate::response::{self, Answer, ErrorHead, MAX_BODY, ResponseHead, Verdict};
use crate::secret::masked_and_cut;
use crate::sse;
use crate::time::{Timestamp, UnixSeconds};
use crate::timer::{ATTEMPT_MARGIN, ERROR_BODY_TIME, LONG_LIVED, Wake, WakeReason, earliest};

/// The most characters of an error's text that are kept for the final failure.
const MAX_ERROR_TEXT: usize = 512;

/// All that a watch remembers.
#[derive(Debug)]
pub(crate) struct State {
    stage: Stage,
    /// The overall deadline, if there is one.
    deadline: Option<Timestamp>,
    /// Whether each attempt asks for a permit first.
    permits_asked: bool,
    /// How many attempts were started; the number of the current one.
    attempts: u64,
    /// How many losses have counted as a retry.
    retries: u64,
    delays: Delays,
    decoder: sse::Decoder,
    /// The last state of any attempt.
    last_state: Option<Arc<CvmState>>,
    /// Why the last attempt was lost.
    last_cause: Option<RetryCause>,
    /// What the server last said went wrong.
    last_error: Option<String>,
    #[cfg(test)]
    pub(crate) trail: Vec<(Phase, Trigger, Phase)>,
}

/// A phase with what only it needs.
#[derive(Debug)]
enum Stage {
    Queued,
    Connecting(Attempt),
    Streaming(Attempt, Stream),
    ReadingError(Attempt, Box<ErrorAnswer>),
    Waiting { until: Timestamp },
    Ended,
}

/// One attempt, from its `Connect` to its loss.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    started: Timestamp,
    /// When it has outlived the timeout it asked for.
    deadline: Timestamp,
    /// Whether the transport has said `Closed`, so that no `Disconnect` is owed.
    closed: bool,
}

/// What matters of an event stream.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// When the last byte came, or the head.
    heard: Timestamp,
    /// Whether the latest `state` is the target.
    at_target: bool,
    /// When a stream at its target has waited long enough for `complete`.
    grace_ends: Option<Timestamp>,
}

#[derive(Debug)]
struct ErrorAnswer {
    head: ErrorHead,
    body: Vec<u8>,
    until: Timestamp,
}

/// Whether the loss of an attempt counts as a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    AsRetry,
    Not,
}

/// What a step has to work with: the rules, the time, and where its actions go.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) now: Timestamp,
    pub(crate) out: &'a mut Pending,
}

impl State {
    pub(crate) fn new(seed: u64, permits_asked: bool, mut cx: Context<'_>) -> Self {
        let mut limits = sse::Limits::default();
        limits = limits.max_event_bytes(cx.config.max_event_bytes()).max_id_bytes(request::MAX_LAST_EVENT_ID);
        let mut state = Self {
            stage: Stage::Queued,
            deadline: cx.config.deadline().map(|deadline| cx.now + deadline),
            permits_asked,
            attempts: 0,
            retries: 0,
            delays: Delays::new(seed),
            decoder: sse::Decoder::new(limits),
            last_state: None,
            last_cause: None,
            last_error: None,
            #[cfg(test)]
            trail: Vec::new(),
        };
        state.enter_queue(&mut cx);
        state
    }

    // ---- what can happen ----

    /// Everything but bytes. Deadlines are judged before the input, the other timers only by
    /// `Tick`, after whatever was ready came in.
    pub(crate) fn handle(&mut self, input: Input<'_>, mut cx: Context<'_>) {
        let cx = &mut cx;
        if let Input::Closed { attempt, .. } = input
            && cx.out.disconnect == Some(attempt)
        {
            // It went by itself before the order to close it was given out.
            cx.out.disconnect = None;
        }
        if let Input::Closed { attempt, .. } | Input::Head { attempt, .. } | Input::Yield { attempt } = input
            && !self.is_open(attempt, cx)
        {
            return;
        }
        if let Input::Closed { .. } = input {
            self.note_closed();
        }
        let too_late = !matches!(input, Input::Abort) && self.judge_deadlines(cx);
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
            Input::Permit => self.permit(cx),
            Input::Yield { .. } => self.lose(RetryCause::Yielded, None, Counts::Not, cx),
        }
    }

    /// Bytes of a body. Takes them up to the end of one event, and none while an event waits to be
    /// polled; late bytes are taken and dropped.
    pub(crate) fn receive(&mut self, attempt: AttemptId, bytes: &[u8], mut cx: Context<'_>) -> usize {
        let cx = &mut cx;
        if !self.is_open(attempt, cx) {
            return bytes.len();
        }
        if cx.out.emit.is_some() {
            return 0;
        }
        if bytes.is_empty() || self.judge_deadlines(cx) {
            return bytes.len();
        }
        match &mut self.stage {
            Stage::Streaming(_, stream) => {
                stream.heard = cx.now;
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
            // A body before its head: the transport is at fault, and there is nothing to read it as.
            Stage::Connecting(_) | Stage::Queued | Stage::Waiting { .. } | Stage::Ended => bytes.len(),
        }
    }

    /// When to tick next, and for what. Nothing here looks at what was received.
    pub(crate) fn next_wake(&self, config: &Config, out: &Pending) -> Option<Wake> {
        let wake = |at: Option<Timestamp>, reason| at.map(|at| Wake { at, reason });
        let overall = wake(self.deadline, WakeReason::Deadline);
        let attempt = |attempt: &Attempt| wake(Some(attempt.deadline), WakeReason::AttemptTimeout);
        match &self.stage {
            Stage::Ended => None,
            // An attempt that no driver has heard of yet has no time running.
            Stage::Queued => overall,
            Stage::Connecting(_) if out.connect.is_some() => overall,
            Stage::Connecting(current) => {
                let head = current.started + config.connect_timeout();
                earliest([overall, attempt(current), wake(Some(head), WakeReason::ConnectTimeout)])
            }
            Stage::Streaming(current, stream) => {
                let idle = config.idle_timeout().map(|idle| stream.heard + idle);
                let grace = wake(stream.grace_ends, WakeReason::CompleteGrace);
                earliest([overall, attempt(current), grace, wake(idle, WakeReason::IdleTimeout)])
            }
            Stage::ReadingError(current, answer) => {
                earliest([overall, attempt(current), wake(Some(answer.until), WakeReason::ErrorBody)])
            }
            Stage::Waiting { until } => earliest([overall, wake(Some(*until), WakeReason::Retry)]),
        }
    }

    // ---- what is judged ----

    /// The deadlines that stand above whatever comes in: overall, then the attempt's. True if one
    /// has passed, and the input with it.
    fn judge_deadlines(&mut self, cx: &mut Context<'_>) -> bool {
        let overall = self.deadline.is_some_and(|deadline| deadline <= cx.now);
        let attempt = match &self.stage {
            Stage::Connecting(_) if cx.out.connect.is_some() => false,
            Stage::Connecting(attempt) | Stage::Streaming(attempt, _) | Stage::ReadingError(attempt, _) => {
                attempt.deadline <= cx.now
            }
            Stage::Queued | Stage::Waiting { .. } | Stage::Ended => false,
        };
        match &self.stage {
            Stage::Ended => return false,
            // The server has answered; what came of its body says how.
            Stage::ReadingError(..) if overall || attempt => self.answered(cx),
            Stage::Streaming(_, stream) if stream.at_target && (overall || attempt) => self.reached(cx),
            _ if attempt && !overall => self.lose(RetryCause::AttemptTimeout, None, Counts::AsRetry, cx),
            _ => {}
        }
        if overall && self.phase() != Phase::Ended {
            self.deadline_exceeded(cx);
        }
        overall || attempt
    }

    /// The timers that only count when nothing else came first.
    fn judge_timers(&mut self, cx: &mut Context<'_>) {
        let due = |at: Timestamp| at <= cx.now;
        match &self.stage {
            Stage::Connecting(attempt)
                if cx.out.connect.is_none() && due(attempt.started + cx.config.connect_timeout()) =>
            {
                self.lose(RetryCause::ConnectTimeout, None, Counts::AsRetry, cx);
            }
            Stage::Streaming(_, stream) => {
                if stream.grace_ends.is_some_and(due) {
                    self.reached(cx);
                } else if cx.config.idle_timeout().is_some_and(|idle| due(stream.heard + idle)) {
                    self.lose(RetryCause::IdleTimeout, None, Counts::AsRetry, cx);
                }
            }
            Stage::ReadingError(_, answer) if due(answer.until) => self.answered(cx),
            _ => {}
        }
    }

    /// After the other timers: a loss without a delay is followed by the next attempt in one tick,
    /// so that each tick at the wake moves the wake on.
    fn judge_retry(&mut self, cx: &mut Context<'_>) {
        if let Stage::Waiting { until } = &self.stage
            && *until <= cx.now
        {
            self.enter_queue(cx);
        }
    }

    /// The answer to an attempt has begun.
    fn head(&mut self, head: &ResponseHead<'_>, wall: Option<UnixSeconds>, cx: &mut Context<'_>) {
        let Stage::Connecting(attempt) = self.stage else {
            return;
        };
        match response::judge(head, wall, cx.config.secrets()) {
            Verdict::Stream => {
                let stream = Stream { heard: cx.now, at_target: false, grace_ends: None };
                self.go(Trigger::EventStream, Stage::Streaming(attempt, stream));
            }
            Verdict::ReadBody(head) => {
                let until = cx.now + ERROR_BODY_TIME;
                let answer = ErrorAnswer { head, body: Vec::new(), until };
                self.go(Trigger::ErrorStatus, Stage::ReadingError(attempt, Box::new(answer)));
            }
            Verdict::Reject(rejection) => {
                self.end(Trigger::Rejected, End::Failed(Failure::Rejected(Box::new(rejection))), cx);
            }
        }
    }

    /// The connection is over.
    fn closed(&mut self, cause: CloseCause, cx: &mut Context<'_>) {
        match (&self.stage, cause) {
            (Stage::ReadingError(..), _) => self.answered(cx),
            (Stage::Connecting(_), CloseCause::Tls(fault @ (TlsFault::Certificate | TlsFault::HostName))) => {
                self.end(Trigger::CertificateRefused, End::Failed(Failure::Tls(fault)), cx);
            }
            (Stage::Connecting(_), CloseCause::Ended) => {
                self.lose(RetryCause::NoAnswer, None, Counts::AsRetry, cx);
            }
            _ => self.lose(RetryCause::Closed(cause), None, Counts::AsRetry, cx),
        }
    }

    /// Reads up to the end of one event.
    fn read_stream(&mut self, attempt: AttemptId, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let reader =
            Reader { target: cx.config.target(), keep_raw: cx.config.keep_raw(), secrets: cx.config.secrets() };
        let mut rest = bytes;
        while let Some(item) = self.decoder.decode(&mut rest) {
            let (meaning, event, id) = match item {
                sse::Item::Retry(millis) => {
                    self.delays.server_asked(millis);
                    continue;
                }
                sse::Item::Event(event) => {
                    let id = cx.config.secrets().mask(event.id).to_string();
                    let (meaning, event) = reader.read(&event);
                    (meaning, event, id)
                }
                sse::Item::TooLarge { limit } => {
                    let reason = MalformedReason::EventTooLarge { limit };
                    let event = Event::Malformed { name: String::new(), data: String::new(), reason };
                    let id = cx.config.secrets().mask(self.decoder.last_event_id()).to_string();
                    (Meaning::Nothing, event, id)
                }
            };
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
            self.last_error = Some(masked_and_cut(cx.config.secrets(), text, MAX_ERROR_TEXT));
        }
    }

    /// Does what an event asks for.
    fn follow(&mut self, meaning: Meaning, event: &Event, cx: &mut Context<'_>) {
        match (meaning, event, &mut self.stage) {
            (Meaning::State { at_target }, _, Stage::Streaming(_, stream)) => {
                stream.at_target = at_target;
                let ends = cx.now + cx.config.complete_grace();
                // A repeated state does not begin the grace anew; another status ends it.
                stream.grace_ends = at_target.then(|| stream.grace_ends.unwrap_or(ends));
            }
            (Meaning::Complete { at_target: true }, Event::Complete(complete), _) => {
                let status = complete.status.clone();
                let state = CvmState { status, ..self.last_state() };
                self.end(Trigger::Completed, End::Resolved(state), cx);
            }
            (Meaning::Complete { at_target: false }, Event::Complete(complete), _) => {
                let status = complete.status.clone();
                self.lose(RetryCause::CompletedElsewhere { status }, None, Counts::AsRetry, cx);
            }
            (Meaning::Timeout, ..) => self.lose(RetryCause::ServerTimeout, None, Counts::AsRetry, cx),
            _ => {}
        }
    }

    // ---- transitions ----

    /// The next attempt may begin as soon as it has a permit; a lone watch always has one.
    fn enter_queue(&mut self, cx: &mut Context<'_>) {
        // At the very start the watch is in the queue already.
        if self.phase() != Phase::Queued {
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

    fn permit(&mut self, cx: &mut Context<'_>) {
        if self.phase() == Phase::Queued {
            cx.out.ask_permit = false;
            self.connect(cx);
        }
    }

    fn connect(&mut self, cx: &mut Context<'_>) {
        let timeout = request::timeout_to_send(cx.config, self.time_left(cx.now));
        let request = request::build(cx.config, timeout, self.decoder.last_event_id());
        self.attempts += 1;
        cx.out.connect = Some((AttemptId(self.attempts), request));
        let deadline = cx.now + (timeout + ATTEMPT_MARGIN);
        self.go(Trigger::Permit, Stage::Connecting(Attempt { started: cx.now, deadline, closed: false }));
    }

    /// The error answer is as whole as it will be.
    fn answered(&mut self, cx: &mut Context<'_>) {
        let Stage::ReadingError(_, answer) = &mut self.stage else {
            return;
        };
        let head = answer.head.clone();
        let body = core::mem::take(&mut answer.body);
        match head.judge(&body, cx.config.secrets()) {
            Answer::Reject(rejection) => {
                self.end(Trigger::Rejected, End::Failed(Failure::Rejected(Box::new(rejection))), cx);
            }
            Answer::Retry { status, message, retry_after } => {
                // An answer without words does not take back those said before it.
                self.last_error = message.clone().or(self.last_error.take());
                self.lose(RetryCause::Status { status, message }, retry_after, Counts::AsRetry, cx);
            }
        }
    }

    /// The one place where an attempt is lost.
    fn lose(&mut self, cause: RetryCause, retry_after: Option<Duration>, counts: Counts, cx: &mut Context<'_>) {
        if let Stage::Streaming(attempt, stream) = &self.stage {
            // A stream whose latest state is the target has told what was asked, however it ends;
            // only a `complete` with another status takes that back.
            if stream.at_target && !matches!(cause, RetryCause::CompletedElsewhere { .. }) {
                return self.reached(cx);
            }
            if cause == RetryCause::ServerTimeout || cx.now.since(attempt.started) >= LONG_LIVED {
                self.delays.reset();
            }
        }
        if self.time_left(cx.now) == Some(Duration::ZERO) {
            self.last_cause = Some(cause);
            return self.deadline_exceeded(cx);
        }
        self.hang_up(cx);
        let attempt = AttemptId(self.attempts);
        if counts == Counts::Not {
            self.go(Trigger::Yield, Stage::Queued);
            return self.ask_or_connect(cx);
        }
        if cx.config.max_retries().is_some_and(|most| self.retries >= most) {
            let failure = Failure::MaxRetriesExceeded {
                attempts: self.attempts,
                last_cause: cause,
                last_error: self.last_error.take(),
            };
            return self.end(Trigger::RetriesUsedUp, End::Failed(failure), cx);
        }
        self.retries += 1;
        let delay = self.delays.next(cx.config, retry_after);
        self.last_cause = Some(cause.clone());
        let reported = self.time_left(cx.now).map_or(delay, |left| left.min(delay));
        cx.out.retrying = Some((attempt, reported, cause));
        self.go(Trigger::Lost, Stage::Waiting { until: cx.now + delay });
    }

    /// The latest state is the target, and no `complete` will follow it.
    fn reached(&mut self, cx: &mut Context<'_>) {
        let state = self.last_state();
        self.end(Trigger::TargetSeen, End::Resolved(state), cx);
    }

    fn deadline_exceeded(&mut self, cx: &mut Context<'_>) {
        let failure = Failure::DeadlineExceeded {
            deadline: cx.config.deadline().unwrap_or_default(),
            attempts: self.attempts,
            last_status: self.last_state.as_ref().map(|state| state.status.clone()),
            last_cause: self.last_cause.take(),
            last_error: self.last_error.take(),
        };
        self.end(Trigger::DeadlinePassed, End::Failed(failure), cx);
    }

    fn abort(&mut self, cx: &mut Context<'_>) {
        if self.phase() != Phase::Ended {
            self.hang_up(cx);
            cx.out.discard();
            self.end(Trigger::Abort, End::Failed(Failure::Aborted), cx);
        }
    }

    /// The one way to the end.
    fn end(&mut self, trigger: Trigger, end: End, cx: &mut Context<'_>) {
        self.hang_up(cx);
        cx.out.end = Some(Box::new(end));
        cx.out.ask_permit = false;
        self.last_state = None;
        self.go(trigger, Stage::Ended);
    }

    /// Lets go of the connection: takes its `Connect` back if no driver has seen it, else orders
    /// its end if it has not ended by itself.
    fn hang_up(&mut self, cx: &mut Context<'_>) {
        let attempt = match &mut self.stage {
            Stage::Connecting(attempt) | Stage::Streaming(attempt, _) | Stage::ReadingError(attempt, _) => attempt,
            Stage::Queued | Stage::Waiting { .. } | Stage::Ended => return,
        };
        let never_opened = cx.out.connect.take().is_some();
        let owed = !never_opened && !attempt.closed;
        attempt.closed = true;
        if owed {
            cx.out.disconnect = Some(AttemptId(self.attempts));
        }
        self.decoder.reset();
    }

    fn note_closed(&mut self) {
        if let Stage::Connecting(attempt) | Stage::Streaming(attempt, _) | Stage::ReadingError(attempt, _) =
            &mut self.stage
        {
            attempt.closed = true;
        }
    }

    fn go(&mut self, trigger: Trigger, to: Stage) {
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

    // ---- what it is ----

    /// Whether `attempt` is the current one and its connection is the driver's to speak of.
    fn is_open(&self, attempt: AttemptId, cx: &Context<'_>) -> bool {
        let live = matches!(self.phase(), Phase::Connecting | Phase::Streaming | Phase::ReadingError);
        live && attempt.0 == self.attempts && cx.out.connect.is_none()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Queued => Phase::Queued,
            Stage::Connecting(_) => Phase::Connecting,
            Stage::Streaming(..) => Phase::Streaming,
            Stage::ReadingError(..) => Phase::ReadingError,
            Stage::Waiting { .. } => Phase::Waiting,
            Stage::Ended => Phase::Ended,
        }
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
