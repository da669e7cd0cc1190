//! The end: one, for the right reason, with nothing left open.

use cvm_watch_driver::WatchError;
use cvm_watch_driver::core::{CloseCause, CvmState, Failure, Rejection};

use super::{Conclusion, ERROR_BODY, Law, MAX_ERROR_BODY, Stage};
use crate::server::Class;

impl Law {
    /// The watch is over.
    pub(crate) fn ended(&mut self, outcome: &Result<CvmState, WatchError>) {
        match outcome {
            Ok(state) => self.note(format_args!("reaches {}", state.status)),
            Err(error) => self.note(format_args!("fails: {error}")),
        }
        self.must(self.stage != Stage::Ended, "a second end");
        self.must(!self.is_open(), "a connection is open after the end");
        match outcome {
            Ok(state) => self.succeeded(state),
            Err(WatchError::Failed { failure, .. }) => self.failed(failure),
            Err(WatchError::Stopped(_)) => {
                self.must(self.rules.stops_after == Some(self.events + 1), "stopped, though nobody asked");
            }
            Err(error) => self.broken(&format!("an end that is unheard of, {error}")),
        }
        self.stage = Stage::Ended;
    }

    /// The caller dropped the handle.
    pub(crate) fn dropped(&mut self) {
        self.note(format_args!("is dropped"));
        self.must(!self.is_open(), "a connection is open after the drop");
        self.stage = Stage::Ended;
    }

    fn succeeded(&mut self, state: &CvmState) {
        let now = self.now();
        let last = self.last_state.clone().unwrap_or_default();
        let deadline = self.overall_deadline();
        let (stage, rules) = (self.stage, self.rules.clone());
        self.must(stage == Stage::Streaming, "a success without a stream");
        let attempt = self.attempt();
        let told = if let Some((_, Conclusion::Completed(status))) = &attempt.concluded {
            crate::speech::Told { status: status.clone(), ..last }
        } else {
            let over = attempt.broke.is_some()
                || matches!(attempt.concluded, Some((_, Conclusion::Timeout)))
                || attempt.at_target_since.is_some_and(|since| now >= since + rules.grace)
                || rules.idle_timeout.is_some_and(|idle| now >= attempt.heard.0 + idle)
                || now >= attempt.deadline
                || deadline.is_some_and(|deadline| now >= deadline);
            let at_target = attempt.at_target_since.is_some();
            let in_time = now < attempt.deadline && deadline.is_none_or(|deadline| now < deadline);
            self.must(at_target, "a success that the server did not tell");
            self.must(over, "a success while the stream goes on and its grace lasts");
            if in_time {
                self.settle();
            }
            last
        };
        self.must(told.status.eq_ignore_ascii_case(&rules.target), "a success with another status than the target");
        self.must(
            (&state.status, &state.boot_progress, &state.boot_error)
                == (&told.status, &told.boot_progress, &told.boot_error),
            "a success with another state than the last",
        );
    }

    fn failed(&mut self, failure: &Failure) {
        let now = self.now();
        match failure {
            Failure::Aborted => {
                self.must(self.aborted.is_some(), "aborted, though nobody asked");
                self.must(self.updates_after_abort == 0, "updates after an abort");
            }
            Failure::DeadlineExceeded { attempts, last_status, .. } => {
                self.must(
                    self.overall_deadline().is_some_and(|deadline| deadline <= now),
                    "a deadline before its time",
                );
                self.must(*attempts == self.attempts, "a wrong number of attempts");
                let last = self.last_state.as_ref().map(|told| &told.status);
                self.must(last_status.as_ref() == last, "another last status than was seen");
                let missed = self.stage == Stage::Streaming && self.current().at_target_since.is_some();
                let taken_back = matches!(
                    self.attempt.as_ref().and_then(|attempt| attempt.concluded.as_ref()),
                    Some((_, Conclusion::Elsewhere(_)))
                );
                self.must(!missed || taken_back, "a failure though the target was told");
            }
            Failure::MaxRetriesExceeded { attempts, last_cause, .. } => {
                self.must(self.rules.max_retries == Some(self.retries), "gave up too soon");
                self.must(*attempts == self.attempts && *attempts == self.retries + 1, "a wrong number of attempts");
                self.judge_loss(last_cause);
            }
            Failure::Rejected(rejection) => self.rejected(rejection),
            Failure::Tls(fault) => {
                let told = Some(Some(CloseCause::Tls(*fault)));
                self.must(
                    self.stage == Stage::Connecting && self.current().broke == told,
                    "a certificate was refused that nobody showed",
                );
            }
            _ => self.broken("a failure that is unheard of"),
        }
    }

    fn rejected(&mut self, rejection: &Rejection) {
        let now = self.now();
        let overall = self.overall_deadline();
        let attempt = self.attempt();
        let Some(answered) = attempt.answered.clone() else {
            return self.broken("rejected without an answer");
        };
        let read = answered.class == Class::FinalAtOnce
            || attempt.broke.is_some()
            || attempt.error_bytes >= MAX_ERROR_BODY
            || now >= answered.at + ERROR_BODY
            || now >= attempt.deadline
            || overall.is_some_and(|deadline| now >= deadline);
        let whole = attempt.error_bytes == answered.length;
        self.must(
            matches!(answered.class, Class::Final | Class::FinalAtOnce),
            "rejected by an answer that is not final",
        );
        self.must(rejection.status == answered.status, "rejected with another status");
        self.must(read, "rejected before the body was read");
        let words_count = answered.class == Class::Final && whole && answered.words.is_some();
        self.must(!words_count || rejection.message == answered.words, "rejected with other words");
    }
}
