//! What follows from events and from the end of an attempt.

use std::time::Duration;

use cvm_watch_core::{CvmState, Event, Failure, RetryCause};

use super::rules::after;
use super::stream::Stream;
use super::{Attempt, Expected, ExpectedFailure, Model, Over, SECOND, Stage};
use crate::checks::answer::{Answer, Asked, Refusal, cut, error_in_object};

impl Model {
    pub(super) fn event(&mut self, event: Event) {
        let Stage::Streaming(attempt, stream) = &mut self.stage else { return };
        let (attempt, said_a_state) = (attempt.number, stream.said_a_state);
        match event {
            Event::State(state) => {
                let since = stream.at_target.as_ref().map(|(since, _)| *since);
                stream.said_a_state = true;
                self.state(CvmState::clone(&state), attempt, since);
            }
            Event::Complete(complete) if self.rules.is_target(&complete.status) => {
                self.steady_since.get_or_insert(self.now);
                let mut state = self.last_state.clone().unwrap_or_default();
                state.status = complete.status;
                if !self.rules.is_ready(&state) {
                    // The second attempt without a state: the server does not report the boot.
                    if !said_a_state {
                        self.completed_wordless += 1;
                    }
                    if said_a_state || self.completed_wordless < 2 {
                        return self.over(Over::Lost(RetryCause::NotReady));
                    }
                }
                self.stable_since.get_or_insert(self.now);
                if !self.has_changed() {
                    if self.steady_at().is_none_or(|moment| self.now < moment) {
                        return self.over(Over::Lost(RetryCause::NotChanged));
                    }
                    self.accept_steady();
                }
                if self.stable_at().is_some_and(|moment| self.now < moment) {
                    return self.over(Over::Lost(RetryCause::NotStable));
                }
                self.disconnect();
                self.end(Expected::Resolve(state));
            }
            Event::Complete(complete) => {
                self.changed = true;
                self.stable_since = None;
                // Row 3 applies only if no `complete` follows the state at the target.
                stream.at_target = None;
                self.over(Over::Lost(RetryCause::CompletedElsewhere { status: complete.status }));
            }
            Event::Timeout(_) => self.over(Over::Lost(RetryCause::ServerTimeout)),
            Event::Error(error) => {
                let text = error.message.filter(|text| !text.is_empty()).or(error.error);
                self.heard(text.unwrap_or_default());
            }
            Event::Malformed { name, data, .. } if name == "error" => {
                self.heard(data);
            }
            Event::Other { name, data, .. } if name == "message" => {
                self.heard(error_in_object(&data).unwrap_or_default());
            }
            Event::Malformed { name, .. } if name == "timeout" => {
                self.over(Over::Lost(RetryCause::ServerTimeout));
            }
            _ => {}
        }
    }

    /// A state arrived; `since` is when this stream reached the target without another status after it.
    fn state(&mut self, state: CvmState, attempt: u64, since: Option<u64>) {
        let before = self.first_boot_error.get_or_insert_with(|| state.boot_error.clone()).clone();
        let same = |last: &CvmState| last.is(&state.status) && last.boot_progress == state.boot_progress;
        let is_same = self.last_state.as_ref().is_some_and(same);
        let unchanged_since = self.unchanged_since.filter(|_| is_same).unwrap_or(self.now);
        self.unchanged_since = Some(unchanged_since);
        self.last_state = Some(state.clone());
        if self.rules.is_target(&state.status) {
            self.steady_since.get_or_insert(self.now);
        } else {
            self.changed = true;
        }
        self.completed_wordless = 0;
        if self.rules.is_unreachable(&state, before.as_deref()) {
            self.unreachable_row.push((attempt, self.now));
        } else {
            self.unreachable_row.clear();
        }
        if self.is_unreachable() {
            self.disconnect();
            return self.end(Expected::Fail(ExpectedFailure::Exactly(Failure::TargetUnreachable {
                target: self.rules.targets(),
                status: state.status,
                boot_error: state.boot_error,
                attempts: self.attempts,
            })));
        }
        let counts = self.rules.is_target(&state.status) && self.rules.is_ready(&state);
        self.stable_since = counts.then(|| self.stable_since.unwrap_or(self.now));
        if let Some(limit) = self.rules.stall_timeout
            && !counts
            && is_same
            && self.now >= after(unchanged_since, limit)
        {
            self.disconnect();
            return self.end(Expected::Fail(ExpectedFailure::Exactly(Failure::Stalled {
                after: limit,
                status: state.status,
                boot_progress: state.boot_progress,
                attempts: self.attempts,
            })));
        }
        if counts && !self.has_changed() && self.steady_at().is_some_and(|moment| self.now >= moment) {
            self.accept_steady();
        }
        let (changed, now) = (self.has_changed(), self.now);
        let stable = self.stable_at().is_none_or(|moment| now >= moment);
        let Stage::Streaming(_, stream) = &mut self.stage else { return };
        stream.at_target = (counts && changed && stable).then(|| (since.unwrap_or(now), state));
        stream.settling = counts && changed && !stable;
        stream.steady = counts && !changed;
    }

    /// Whether the last two unreachable states are of one stream, or an interval apart.
    fn is_unreachable(&self) -> bool {
        let [.., (before, _), (last, moment)] = self.unreachable_row[..] else { return false };
        // A second less, for network jitter.
        let interval = Duration::from_secs(self.rules.interval - 1);
        before == last || moment >= after(self.unreachable_row[0].1, interval)
    }

    fn has_changed(&self) -> bool {
        self.changed || self.rules.after_change.is_none()
    }

    /// When a target that was seen without a break has been stable.
    pub(super) fn stable_at(&self) -> Option<u64> {
        Some(after(self.stable_since?, self.rules.stable_for?))
    }

    /// When a steady target counts.
    pub(super) fn steady_at(&self) -> Option<u64> {
        if self.has_changed() {
            return None;
        }
        Some(after(self.steady_since?, self.rules.after_change?))
    }

    fn accept_steady(&mut self) {
        self.changed = true;
        self.queue.extend(self.rules.after_change.map(Expected::SteadyTarget));
    }

    pub(super) fn steady_for_long_enough(&mut self) {
        self.accept_steady();
        self.stable_for_long_enough();
    }

    pub(super) fn stable_for_long_enough(&mut self) {
        self.disconnect();
        self.end(Expected::Resolve(self.last_state.clone().unwrap_or_default()));
    }

    /// Row 6: the text of an `error` event is kept.
    pub(super) fn heard(&mut self, words: String) {
        if !words.is_empty() {
            self.last_error = Some(cut(&words, 512));
        }
    }

    /// Rows 3, 4, 13, 16 and 20: what the end of an attempt means.
    pub(super) fn over(&mut self, over: Over) {
        if let Stage::Streaming(_, stream) = &mut self.stage {
            let unfinished = stream.bare_errors(true);
            unfinished.into_iter().for_each(|error| self.heard(error));
        }
        self.disconnect();
        let attempt = self.live_attempt();
        match (std::mem::replace(&mut self.stage, Stage::Queued), over) {
            (Stage::Streaming(_, Stream { at_target: Some((_, state)), .. }), _) => self.end(Expected::Resolve(state)),
            (Stage::Streaming(attempt, stream), Over::Yielded) => {
                self.went_well(attempt, None);
                // A stream that yielded after a state counts as healthy.
                if stream.said_a_state {
                    self.streak = 0;
                }
                self.enqueue();
            }
            (_, Over::Yielded) => self.enqueue(),
            (stage, Over::Suspended) => {
                let mut routine = false;
                if let Stage::Streaming(attempt, stream) = stage {
                    self.went_well(attempt, None);
                    routine = stream.said_a_state && self.now - attempt.began >= 60_000_000_000;
                }
                let Some(attempt) = attempt else { return };
                let (cause, delay) = (RetryCause::Suspended, Duration::ZERO..=Duration::ZERO);
                self.last_cause = Some(cause.clone());
                self.queue.push_back(Expected::Retrying { attempt: attempt.number, delay, cause, routine });
                self.enqueue();
            }
            (Stage::ReadingError(attempt, answer), over) => match answer.head.judge(&answer.body) {
                Answer::Rejected(refusal) if self.may_be_missing(&refusal) => {
                    let message = refusal.message;
                    self.last_error = message.clone().or(self.last_error.take());
                    let cause = RetryCause::NotCreated { message };
                    self.last_cause = Some(cause.clone());
                    match over {
                        Over::OverallDeadline => self.out_of_time(),
                        _ => self.lost(attempt, cause, Asked::Nothing, false),
                    }
                }
                Answer::Rejected(refusal) => self.end(Expected::Fail(ExpectedFailure::Rejected(refusal))),
                Answer::Retried { message, retry_after } => {
                    self.last_error = message.clone().or(self.last_error.take());
                    let cause = match answer.head.status {
                        429 => RetryCause::TooManyStreams { message },
                        status => RetryCause::Status { status, message },
                    };
                    self.last_cause = Some(cause.clone());
                    match over {
                        Over::OverallDeadline => self.out_of_time(),
                        _ => self.lost(attempt, cause, retry_after, false),
                    }
                }
            },
            (_, Over::OverallDeadline) => self.out_of_time(),
            (_, Over::Refused(failure)) => {
                self.end(Expected::Fail(ExpectedFailure::Exactly(failure)));
            }
            (stage, Over::Lost(cause)) => {
                let mut routine = false;
                if let Stage::Streaming(attempt, stream) = stage {
                    self.went_well(attempt, Some(&cause));
                    let lived = self.now - attempt.began >= 60_000_000_000;
                    routine = cause == RetryCause::ServerTimeout || (lived && stream.said_a_state);
                }
                let Some(attempt) = attempt else { return };
                self.lost(attempt, cause, Asked::Nothing, routine);
            }
            (_, Over::Answered) => unreachable!("only an error has an answer"),
        }
    }

    /// Row 11: a stream that lasted long, or ended by the server's timeout, counts as healthy.
    fn went_well(&mut self, attempt: Attempt, cause: Option<&RetryCause>) {
        if self.now - attempt.began >= 60_000_000_000 || cause == Some(&RetryCause::ServerTimeout) {
            self.streak = 0;
        }
    }

    /// Row 29.
    fn may_be_missing(&self, refusal: &Refusal) -> bool {
        let is_missing = refusal.status == 404 && matches!(refusal.error_code.as_deref(), None | Some("ERR-03-001"));
        is_missing && self.rules.wait_for_create.is_some_and(|time| self.now < after(self.started, time))
    }

    fn out_of_time(&mut self) {
        self.end(Expected::Fail(ExpectedFailure::Exactly(Failure::DeadlineExceeded {
            deadline: self.rules.deadline.unwrap_or_default(),
            attempts: self.attempts,
            last_status: self.last_state.as_ref().map(|state| state.status.clone()),
            last_cause: self.last_cause.clone(),
            last_error: self.last_error.clone(),
        })));
    }

    /// Rows 10 and 11.
    fn lost(&mut self, attempt: Attempt, cause: RetryCause, retry_after: Asked, routine: bool) {
        self.last_cause = Some(cause.clone());
        if matches!(cause, RetryCause::NotReady | RetryCause::NotChanged | RetryCause::NotStable) {
            // The watch checks again as often as the server does.
            let wait = Duration::from_secs(self.rules.interval).min(self.time_left().unwrap_or(Duration::MAX));
            self.queue.push_back(Expected::Retrying { attempt: attempt.number, delay: wait..=wait, cause, routine });
            self.stage = Stage::Waiting { from: self.now, delay: wait..=wait };
            return;
        }
        let no_place = self.rules.permits && matches!(cause, RetryCause::TooManyStreams { .. })
            || matches!(cause, RetryCause::NotCreated { .. });
        if !no_place && self.rules.max_retries.is_some_and(|most| self.retries >= most) {
            self.end(Expected::Fail(ExpectedFailure::Exactly(Failure::MaxRetriesExceeded {
                attempts: self.retries + 1,
                last_cause: cause,
                last_error: self.last_error.clone(),
            })));
            return;
        }
        self.retries += u64::from(!no_place);
        let delay = if routine && self.rules.retry_delay.is_none() {
            // Jitter is zero with a chance of one in a thousand million.
            Duration::from_nanos(1)..=SECOND.min(self.time_left().unwrap_or(SECOND))
        } else {
            self.streak += 1;
            self.rules.delay(self.server_retry, self.streak - 1, retry_after, self.time_left())
        };
        self.queue.push_back(Expected::Retrying { attempt: attempt.number, delay: delay.clone(), cause, routine });
        self.stage = Stage::Waiting { from: self.now, delay };
    }

    pub(super) fn enqueue(&mut self) {
        self.stage = Stage::Queued;
        if self.rules.permits {
            self.queue.push_back(Expected::AskPermit);
        } else {
            self.connect();
        }
    }

    pub(super) fn connect(&mut self) {
        self.attempts += 1;
        let timeout = self.rules.timeout_to_send(self.time_left());
        self.queue.push_back(Expected::Connect {
            attempt: self.attempts,
            path: self.rules.path(timeout),
            last_event_id: self.rules.can_be_sent(&self.last_event_id).then(|| self.last_event_id.clone()),
        });
        let may_live = timeout + 10 * SECOND;
        self.stage = Stage::Connecting(Attempt { number: self.attempts, began: self.now, may_live, open: true });
    }

    fn time_left(&self) -> Option<Duration> {
        let until = after(self.started, self.rules.deadline?);
        Some(Duration::from_nanos(until.saturating_sub(self.now)))
    }

    pub(super) fn live_attempt(&self) -> Option<Attempt> {
        match &self.stage {
            Stage::Connecting(attempt) | Stage::Streaming(attempt, _) | Stage::ReadingError(attempt, _) => {
                Some(*attempt)
            }
            _ => None,
        }
    }

    /// An attempt whose `Connect` was not polled yet.
    pub(super) fn connect_is_unsent(&self) -> bool {
        self.queue.iter().any(|action| matches!(action, Expected::Connect { .. }))
    }

    /// Closes an open connection.
    pub(super) fn disconnect(&mut self) {
        if let Some(attempt) = self.live_attempt().filter(|attempt| attempt.open)
            && !self.connect_is_unsent()
        {
            self.queue.push_back(Expected::Disconnect(attempt.number));
        }
    }

    /// The last action. A `Connect` that was not polled is dropped.
    pub(super) fn end(&mut self, end: Expected) {
        self.queue.retain(|action| !matches!(action, Expected::Connect { .. } | Expected::AskPermit));
        self.queue.push_back(end);
        self.stage = Stage::Ended;
    }
}
