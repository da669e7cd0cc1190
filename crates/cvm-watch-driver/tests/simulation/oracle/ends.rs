//! The end of a watch: exactly one, for the right reason, with no connection left open.

use cvm_watch_driver::WatchError;
use cvm_watch_driver::cvm_watch_core::{CloseCause, CvmState, Failure, Rejection};

use super::{Conclusion, ERROR_BODY, MAX_ERROR_BODY, Oracle, Stage};
use crate::server::Class;

impl Oracle {
    /// The watch ended.
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
                self.must(self.rules.stops_after == Some(self.events + 1), "stopped without a request");
            }
            Err(error) => self.broken(&format!("an unknown end, {error}")),
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
        let status = if let Some((_, Conclusion::Completed(status))) = &attempt.concluded {
            crate::message::Status { status: status.clone(), ..last }
        } else {
            let over = attempt.broke.is_some()
                || matches!(attempt.concluded, Some((_, Conclusion::Timeout)))
                || attempt.at_target_since.is_some_and(|since| now >= since + rules.grace)
                || rules.idle_timeout.is_some_and(|idle| now >= attempt.heard.0 + idle)
                || now >= attempt.deadline
                || deadline.is_some_and(|deadline| now >= deadline);
            let at_target = attempt.at_target_since.is_some();
            let in_time = now < attempt.deadline && deadline.is_none_or(|deadline| now < deadline);
            self.must(at_target, "a success without a state at the target");
            self.must(over, "a success while the stream goes on and before its grace has passed");
            if in_time {
                self.settle();
            }
            last
        };
        self.must(status.status.eq_ignore_ascii_case(&rules.target), "a success with another status than the target");
        self.must(
            (&state.status, &state.boot_progress, &state.boot_error)
                == (&status.status, &status.boot_progress, &status.boot_error),
            "a success with another state than the last",
        );
    }

    fn failed(&mut self, failure: &Failure) {
        let now = self.now();
        match failure {
            Failure::Aborted => {
                self.must(self.aborted.is_some(), "aborted without a request");
                self.must(self.updates_after_abort == 0, "updates after an abort");
            }
            Failure::DeadlineExceeded { attempts, last_status, .. } => {
                self.must(
                    self.overall_deadline().is_some_and(|deadline| deadline <= now),
                    "a deadline before its time",
                );
                self.must(*attempts == self.attempts, "a wrong number of attempts");
                let last = self.last_state.as_ref().map(|status| &status.status);
                self.must(last_status.as_ref() == last, "not the last status");
                let missed = self.stage == Stage::Streaming && self.current().at_target_since.is_some();
                let taken_back = matches!(
                    self.attempt.as_ref().and_then(|attempt| attempt.concluded.as_ref()),
                    Some((_, Conclusion::Elsewhere(_)))
                );
                self.must(!missed || taken_back, "a failure although the target was reported");
            }
            Failure::MaxRetriesExceeded { attempts, last_cause, .. } => {
                self.must(self.rules.max_retries == Some(self.retries), "gave up too soon");
                self.must(*attempts == self.attempts && *attempts == self.retries + 1, "a wrong number of attempts");
                self.judge_failure(last_cause);
            }
            Failure::Rejected(rejection) => self.rejected(rejection),
            Failure::Tls(defect) => {
                let status = Some(Some(CloseCause::Tls(*defect)));
                self.must(
                    self.stage == Stage::Connecting && self.current().broke == status,
                    "a TLS failure without a certificate fault",
                );
            }
            _ => self.broken("an unknown failure"),
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
        let message_counts = answered.class == Class::Final && whole && answered.message.is_some();
        self.must(!message_counts || rejection.message == answered.message, "rejected with another message");
    }
}
