//! The reference model of a watch: small, slow, and written from the rows of `docs/semantics.md`. At each step it
//! decodes the whole stream again with the reference decoder. It has no jitter, but a range in which a delay must
//! lie.
//!
//! It shares the public types and `Event::parse` with the core; the latter is compared with its own reference.

mod consequences;
mod expected;
mod rules;
mod stream;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use cvm_watch_core::{CloseCause, CvmState, Failure, Phase, RetryCause, TlsFault, Wake, WakeReason};

pub use expected::{Expected, ExpectedFailure};
pub use rules::Rules;
use rules::{after, at};
use stream::{Item, Stream};

use crate::checks::answer::Head;

const SECOND: Duration = Duration::from_secs(1);
const MAX_ERROR_BODY: usize = 64 << 10;

/// A watch by the rows.
#[derive(Debug)]
pub struct Model {
    rules: Rules,
    started: u64,
    now: u64,
    stage: Stage,
    attempts: u64,
    retries: u64,
    /// Failed attempts in a row since a healthy one.
    streak: u32,
    /// The last `retry:` line.
    server_retry: Option<Duration>,
    last_event_id: String,
    last_state: Option<CvmState>,
    /// The boot error of the first state.
    first_boot_error: Option<Option<String>>,
    /// Whether a status other than the target was seen, or a steady target counts.
    changed: bool,
    /// Since when the target is seen.
    steady_since: Option<u64>,
    /// Since when every report was at the target.
    stable_since: Option<u64>,
    /// Since when status and boot progress are the same.
    unchanged_since: Option<u64>,
    /// The unreachable states in a row: the attempt and the time of each.
    unreachable_row: Vec<(u64, u64)>,
    /// How many attempts since the last state had a `complete` and no state.
    completed_wordless: u32,
    last_cause: Option<RetryCause>,
    last_error: Option<String>,
    queue: VecDeque<Expected>,
}

/// A phase with its data.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Stage {
    Queued,
    Connecting(Attempt),
    Streaming(Attempt, Stream),
    ReadingError(Attempt, ErrorAnswer),
    Waiting { from: u64, delay: RangeInclusive<Duration> },
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    number: u64,
    began: u64,
    /// The timeout that was sent, and 10 seconds.
    may_live: Duration,
    /// Whether its connection is open.
    open: bool,
}

#[derive(Debug)]
struct ErrorAnswer {
    head: Head,
    body: Vec<u8>,
    since: u64,
}

/// How an attempt ended, as far as the rows distinguish it.
enum Over {
    Lost(RetryCause),
    /// A refused certificate.
    Refused(Failure),
    /// No more of an error answer will arrive.
    Answered,
    Yielded,
    Suspended,
    OverallDeadline,
}

impl Model {
    pub fn new(rules: Rules, now: u64) -> Self {
        let mut model = Self {
            rules,
            started: now,
            now,
            stage: Stage::Queued,
            attempts: 0,
            retries: 0,
            streak: 0,
            server_retry: None,
            last_event_id: String::new(),
            last_state: None,
            first_boot_error: None,
            changed: false,
            steady_since: None,
            stable_since: None,
            unchanged_since: None,
            unreachable_row: Vec::new(),
            completed_wordless: 0,
            last_cause: None,
            last_error: None,
            queue: VecDeque::new(),
        };
        model.enqueue();
        model
    }

    pub fn abort(&mut self, now: u64) {
        self.now = self.now.max(now);
        if self.ended() {
            return;
        }
        // Row 21: actions that were not polled are dropped, except a `Disconnect`.
        self.disconnect();
        self.queue.retain(|action| matches!(action, Expected::Disconnect(_)));
        self.end(Expected::Fail(ExpectedFailure::Exactly(Failure::Aborted)));
    }

    /// The deadlines, then the timers that input may have stopped, then the next attempt.
    pub fn tick(&mut self, now: u64) {
        if self.in_time(now) {
            self.timers();
        }
        self.retry_if_due();
    }

    fn retry_if_due(&mut self) {
        if let Stage::Waiting { from, delay } = &self.stage
            && self.now >= after(*from, *delay.start())
        {
            self.enqueue();
        }
    }

    pub fn permit(&mut self, now: u64) {
        if self.in_time(now) && matches!(self.stage, Stage::Queued) {
            self.queue.retain(|action| !matches!(action, Expected::AskPermit));
            self.connect();
        }
    }

    /// The time slice is over.
    pub fn yield_slot(&mut self, now: u64, attempt: u64) {
        if self.concerns(now, attempt) && self.in_time(now) {
            self.over(match &self.stage {
                Stage::Connecting(_) => Over::Lost(RetryCause::ConnectTimeout),
                Stage::ReadingError(..) => Over::Answered,
                _ => Over::Yielded,
            });
            self.retry_if_due();
        }
    }

    /// The machine was suspended: a connection may be dead, and a delay may have passed.
    pub fn resumed(&mut self, now: u64) {
        self.now = self.now.max(now);
        if self.is_overdue() {
            return;
        }
        match &self.stage {
            Stage::Connecting(_) | Stage::Streaming(..) if !self.connect_is_unsent() => self.over(Over::Suspended),
            Stage::Waiting { from, delay } if self.now >= after(*from, *delay.start()) => self.enqueue(),
            _ => {}
        }
    }

    pub fn head(&mut self, now: u64, attempt: u64, head: Head) {
        if !self.concerns(now, attempt) || !self.in_time(now) {
            return;
        }
        let Stage::Connecting(current) = self.stage else { return };
        match head.refused_at_once() {
            Some(refusal) => {
                self.disconnect();
                self.end(Expected::Fail(ExpectedFailure::Rejected(refusal)));
            }
            None if head.status == 200 => {
                self.stage = Stage::Streaming(current, Stream::new(&self.last_event_id, self.now));
            }
            None => {
                let answer = ErrorAnswer { head, body: Vec::new(), since: self.now };
                self.stage = Stage::ReadingError(current, answer);
            }
        }
    }

    pub fn closed(&mut self, now: u64, attempt: u64, cause: CloseCause) {
        // The connection has already ended.
        self.queue.retain(|action| !matches!(action, Expected::Disconnect(number) if *number == attempt));
        if !self.concerns(now, attempt) {
            return;
        }
        if let Stage::Connecting(current) | Stage::Streaming(current, _) | Stage::ReadingError(current, _) =
            &mut self.stage
        {
            current.open = false;
        }
        if self.in_time(now) {
            self.over(match (cause, &self.stage) {
                (CloseCause::Tls(fault), Stage::Connecting(_)) if fault != TlsFault::Other => {
                    Over::Refused(Failure::Tls(fault))
                }
                (CloseCause::ProxyAuthentication, Stage::Connecting(_)) => Over::Refused(Failure::ProxyAuthentication),
                (CloseCause::Ended, Stage::Connecting(_)) => Over::Lost(RetryCause::NoAnswer),
                (_, Stage::ReadingError(..)) => Over::Answered,
                _ => Over::Lost(RetryCause::Closed(cause)),
            });
        }
    }

    /// How many bytes the watch must take, if the model knows.
    ///
    /// For a stream it does not: the caller reports how many the watch took with [`took`](Self::took), and the model
    /// derives what that means.
    pub fn offered(&mut self, now: u64, attempt: u64, bytes: &[u8]) -> Option<usize> {
        if !self.concerns(now, attempt) {
            return Some(bytes.len());
        }
        if self.queue.iter().any(|action| matches!(action, Expected::Emit { .. })) {
            return Some(0);
        }
        if bytes.is_empty() || !self.in_time(now) {
            return Some(bytes.len());
        }
        match &mut self.stage {
            Stage::ReadingError(_, answer) => {
                let room = MAX_ERROR_BODY - answer.body.len();
                answer.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if answer.body.len() == MAX_ERROR_BODY {
                    self.over(Over::Answered);
                }
                Some(bytes.len())
            }
            Stage::Streaming(_, stream) => {
                stream.last_byte = self.now;
                None
            }
            _ => Some(bytes.len()),
        }
    }

    /// The watch took these bytes of the stream. Returns how many events they contain.
    pub fn took(&mut self, bytes: &[u8]) -> usize {
        let Stage::Streaming(attempt, stream) = &mut self.stage else { return 0 };
        let number = attempt.number;
        let items = stream.take(&self.rules, bytes);
        self.last_event_id = stream.last_event_id.clone();
        let bare = stream.bare_errors(false);
        bare.into_iter().for_each(|error| self.heard(error));
        let mut events = 0;
        for item in items {
            match item {
                Item::Retry(millis) => {
                    self.server_retry = Some(Duration::from_millis(millis).clamp(SECOND, 30 * SECOND));
                }
                Item::Event { id, event } => {
                    events += 1;
                    self.queue.push_back(Expected::Emit { attempt: number, id, event: event.clone() });
                    self.event(event);
                }
            }
        }
        events
    }

    /// The next action, if there must be one. The model adopts the delay that the watch chose.
    pub fn pop(&mut self, delay: Option<Duration>) -> Option<Expected> {
        let action = self.queue.pop_front();
        if let (Some(Expected::Retrying { .. }), Some(picked), Stage::Waiting { delay, .. }) =
            (&action, delay, &mut self.stage)
        {
            *delay = picked..=picked;
        }
        action
    }

    /// Whether the time of the next attempt is known; a jittered delay is known only from the watch.
    pub fn knows_its_delay(&self) -> bool {
        match &self.stage {
            Stage::Waiting { delay, .. } => delay.start() == delay.end(),
            _ => true,
        }
    }

    pub fn ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    pub fn phase(&self) -> Phase {
        match self.stage {
            Stage::Queued => Phase::Queued,
            Stage::Connecting(_) => Phase::Connecting,
            Stage::Streaming(..) => Phase::Streaming,
            Stage::ReadingError(..) => Phase::ReadingError,
            Stage::Waiting { .. } => Phase::Waiting,
            Stage::Ended => Phase::Ended,
        }
    }

    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The earliest timer; of two at the same time the one that is listed first.
    pub fn next_wake(&self) -> Option<Wake> {
        let overall = self.rules.deadline.map(|deadline| (after(self.started, deadline), WakeReason::Deadline));
        let mut timers = Vec::from_iter(overall);
        let unsent = self.connect_is_unsent();
        match &self.stage {
            Stage::Ended => timers.clear(),
            Stage::Queued => {}
            Stage::Connecting(_) | Stage::Streaming(..) | Stage::ReadingError(..) if unsent => {}
            Stage::Connecting(attempt) => {
                timers.push((after(attempt.began, attempt.may_live), WakeReason::AttemptTimeout));
                timers.push((after(attempt.began, self.rules.connect_timeout), WakeReason::ConnectTimeout));
            }
            Stage::Streaming(attempt, stream) => {
                timers.push((after(attempt.began, attempt.may_live), WakeReason::AttemptTimeout));
                if let Some((since, _)) = &stream.at_target {
                    timers.push((after(*since, self.rules.complete_grace), WakeReason::CompleteGrace));
                }
                if let Some(moment) = self.stable_at().filter(|_| stream.settling) {
                    timers.push((moment, WakeReason::StableTarget));
                }
                if let Some(moment) = self.steady_at().filter(|_| stream.steady) {
                    let moment = moment.max(self.stable_at().unwrap_or(0));
                    timers.push((moment, WakeReason::SteadyTarget));
                }
                if let Some(idle) = self.rules.idle_timeout {
                    timers.push((after(stream.last_byte, idle), WakeReason::IdleTimeout));
                }
            }
            Stage::ReadingError(attempt, answer) => {
                timers.push((after(attempt.began, attempt.may_live), WakeReason::AttemptTimeout));
                timers.push((after(answer.since, 2 * SECOND), WakeReason::ErrorBody));
            }
            Stage::Waiting { from, delay } => timers.push((after(*from, *delay.start()), WakeReason::Retry)),
        }
        let first = timers.into_iter().min_by_key(|(moment, _)| *moment);
        first.map(|(moment, reason)| Wake { at: at(moment), reason })
    }

    /// Whether input of `attempt` counts; otherwise it is ignored.
    fn concerns(&mut self, now: u64, attempt: u64) -> bool {
        self.now = self.now.max(now);
        !self.connect_is_unsent() && self.live_attempt().is_some_and(|current| current.number == attempt)
    }

    /// Checks the deadlines, which come before any input. Returns false if the input is too late.
    fn in_time(&mut self, now: u64) -> bool {
        self.now = self.now.max(now);
        if self.is_overdue() {
            return false;
        }
        if let Some(attempt) = self.live_attempt()
            && !self.connect_is_unsent()
            && self.now >= after(attempt.began, attempt.may_live)
        {
            self.over(Over::Lost(RetryCause::AttemptTimeout));
            return false;
        }
        true
    }

    /// Whether the watch has ended, by the overall deadline or before.
    fn is_overdue(&mut self) -> bool {
        if !self.ended() && self.rules.deadline.is_some_and(|deadline| self.now >= after(self.started, deadline)) {
            self.over(Over::OverallDeadline);
        }
        self.ended()
    }

    fn timers(&mut self) {
        let due = |since: u64, wait: Duration| self.now >= after(since, wait);
        let over = match &self.stage {
            Stage::Connecting(attempt)
                if !self.connect_is_unsent() && due(attempt.began, self.rules.connect_timeout) =>
            {
                Over::Lost(RetryCause::ConnectTimeout)
            }
            Stage::Streaming(_, stream) => {
                let grace = stream.at_target.as_ref().is_some_and(|(since, _)| due(*since, self.rules.complete_grace));
                let is_stable = self.stable_at().is_none_or(|moment| self.now >= moment);
                let steady = stream.steady && is_stable && self.steady_at().is_some_and(|moment| self.now >= moment);
                let idle = self.rules.idle_timeout.is_some_and(|idle| due(stream.last_byte, idle));
                if !grace && steady {
                    return self.steady_for_long_enough();
                }
                if stream.settling && is_stable {
                    return self.stable_for_long_enough();
                }
                if !grace && !idle {
                    return;
                }
                Over::Lost(RetryCause::IdleTimeout)
            }
            Stage::ReadingError(_, answer) if due(answer.since, 2 * SECOND) => Over::Answered,
            _ => return,
        };
        self.over(over);
    }
}
