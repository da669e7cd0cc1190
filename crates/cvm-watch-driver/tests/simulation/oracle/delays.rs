//! Failed attempts: why, whether a retry may follow, and when.

use cvm_watch_driver::cvm_watch_core::{CloseCause, RetryCause};

use super::{Conclusion, ERROR_BODY, MAX_ERROR_BODY, Oracle, Stage};
use crate::server::Class;
use crate::simulation::{Nanos, SECOND};

impl Oracle {
    /// The caller received that an attempt failed and a retry follows.
    pub(super) fn lost(&mut self, delay: Nanos, cause: &RetryCause, routine: bool) {
        let failed_at = self.judge_failure(cause);
        self.must(!self.current().open, "the connection of a failed attempt is still open");
        self.must(self.rules.max_retries.is_none_or(|most| self.retries < most), "more retries than allowed");
        let left = self.overall_deadline().map_or(Nanos::MAX, |deadline| deadline.saturating_sub(failed_at));
        self.must(left > 0, "a retry after the deadline");
        self.retries += 1;

        let attempt = self.attempt();
        let lived = failed_at - attempt.started;
        let retry_after = attempt.answered.as_ref().map_or(0, |answered| answered.retry_after.min(300 * SECOND));
        let has_state = attempt.has_state;
        let ended_by_timeout = *cause == RetryCause::ServerTimeout;
        if self.stage == Stage::Streaming && (ended_by_timeout || lived >= 60 * SECOND) {
            self.streak = 0;
        }
        let healthy = self.stage == Stage::Streaming && (ended_by_timeout || (lived >= 60 * SECOND && has_state));
        self.must(routine == healthy, "a routine end that is none, or is not reported");
        let is_routine = routine && self.rules.retry_delay.is_none();
        let allowed = [Some(self.server_retry.sure), self.server_retry.or].into_iter().flatten().any(|asked| {
            let (least, most) = if is_routine { (0, SECOND) } else { self.delay_range(asked) };
            let (least, most) = (least.max(retry_after).min(left), most.max(retry_after).min(left));
            (least..=most).contains(&delay)
        });
        self.must(allowed, "not the delay of the contract");
        self.streak += u32::from(!is_routine);
        // If the deadline cuts the delay, the watch ends after it.
        self.stage = Stage::Waiting { due: failed_at + delay };
        if let Some(opened) = self.unannounced.take() {
            self.begin(opened);
        }
    }

    fn delay_range(&self, asked: Option<Nanos>) -> (Nanos, Nanos) {
        let base = self.rules.retry_delay.or(asked).unwrap_or(5 * SECOND);
        if let Some(cap) = self.rules.backoff_cap {
            let full = (0..self.streak.min(64)).fold(base, |full, _| (full * 2).min(cap.max(base)));
            (full / 2, full)
        } else if self.rules.retry_delay.is_some() {
            (base, base)
        } else {
            (base, base + base / 5)
        }
    }

    /// Checks that the attempt failed, and for that reason; returns when.
    pub(super) fn judge_failure(&mut self, cause: &RetryCause) -> Nanos {
        let now = self.now();
        let unread_is_fine = matches!(cause, RetryCause::AttemptTimeout);
        if unread_is_fine {
            self.settle_perhaps();
        } else {
            self.settle();
        }
        let (stage, rules) = (self.stage, self.rules.clone());
        let attempt = self.attempt();
        let waited_for_target = attempt.at_target_since.is_some();
        let failed_at = attempt.concluded.as_ref().map_or(now, |(at, _)| *at);
        let is_true = match cause {
            RetryCause::Closed(cause) => match stage {
                Stage::Connecting => attempt.broke == Some(Some(*cause)) && *cause != CloseCause::Ended,
                Stage::Streaming => {
                    attempt.broke == Some(Some(*cause)) || {
                        *cause == CloseCause::Ended && attempt.broke == Some(None)
                    }
                }
                _ => false,
            },
            RetryCause::NoAnswer => stage == Stage::Connecting && attempt.broke == Some(Some(CloseCause::Ended)),
            RetryCause::ServerTimeout => {
                matches!(attempt.concluded, Some((_, Conclusion::Timeout)))
            }
            RetryCause::CompletedElsewhere { status } => {
                matches!(&attempt.concluded, Some((_, Conclusion::Elsewhere(said))) if said == status)
            }
            RetryCause::Status { .. } | RetryCause::TooManyStreams { .. } => {
                attempt.answered.as_ref().is_some_and(|answered| {
                    let whole = attempt.error_bytes == answered.length;
                    let read = attempt.broke.is_some()
                        || now >= answered.at + ERROR_BODY
                        || now >= attempt.deadline
                        || attempt.error_bytes >= MAX_ERROR_BODY;
                    // `error_code` makes a 409 final, and may have been cut off.
                    let conflict = answered.status == 409 && (!whole || answered.message.is_none());
                    (answered.class == Class::Retried || conflict)
                        && Some(answered.status) == cause.http_status()
                        && read
                        && (!whole
                            || answered.message.is_none()
                            || same_message(answered.message.as_deref(), cause.server_message()))
                })
            }
            RetryCause::ConnectTimeout => stage == Stage::Connecting && now >= attempt.started + rules.connect_timeout,
            RetryCause::AttemptTimeout => now >= attempt.deadline,
            RetryCause::IdleTimeout => {
                stage == Stage::Streaming && rules.idle_timeout.is_some_and(|idle| now >= attempt.heard.0 + idle)
            }
            _ => false,
        };
        self.must(is_true, &format!("an attempt failed for a cause that did not happen, {cause}"));
        let takes_back = matches!(cause, RetryCause::CompletedElsewhere { .. });
        self.must(stage != Stage::Streaming || !waited_for_target || takes_back, "an attempt at its target failed");
        failed_at
    }
}

/// Whether the reported message is the one sent, with or without the prefix for answers of proxies.
fn same_message(sent: Option<&str>, reported: Option<&str>) -> bool {
    const PREFIX: &str = "a proxy or CDN answered, not the API: ";
    sent == reported.map(|message| message.strip_prefix(PREFIX).unwrap_or(message))
}
