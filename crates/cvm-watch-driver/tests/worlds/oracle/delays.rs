//! Lost attempts: why, whether another may follow, and when.

use cvm_watch_driver::core::{CloseCause, RetryCause};

use super::{Conclusion, ERROR_BODY, Law, MAX_ERROR_BODY, Stage};
use crate::server::Class;
use crate::world::{Nanos, SECOND};

impl Law {
    /// The caller was told that an attempt was lost and another follows.
    pub(super) fn lost(&mut self, delay: Nanos, cause: &RetryCause) {
        let lost_at = self.judge_loss(cause);
        self.must(!self.current().open, "a lost attempt's connection is still open");
        self.must(self.rules.max_retries.is_none_or(|most| self.retries < most), "more retries than allowed");
        let left = self.overall_deadline().map_or(Nanos::MAX, |deadline| deadline.saturating_sub(lost_at));
        self.must(left > 0, "a retry after the deadline");
        self.retries += 1;

        let attempt = self.attempt();
        let lived = lost_at - attempt.started;
        let retry_after = attempt.answered.as_ref().map_or(0, |answered| answered.retry_after.min(300 * SECOND));
        if self.stage == Stage::Streaming && (*cause == RetryCause::ServerTimeout || lived >= 60 * SECOND) {
            self.streak = 0;
        }
        let allowed = [Some(self.server_retry.sure), self.server_retry.or].into_iter().flatten().any(|asked| {
            let (least, most) = self.delay_range(asked);
            let (least, most) = (least.max(retry_after).min(left), most.max(retry_after).min(left));
            (least..=most).contains(&delay)
        });
        self.must(allowed, "another delay than the contract says");
        self.streak = self.streak.saturating_add(1);
        // A delay that the deadline cuts is followed by the end.
        self.stage = Stage::Waiting { due: lost_at + delay };
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

    /// Judges that the attempt was truly lost, and for that reason; answers when.
    pub(super) fn judge_loss(&mut self, cause: &RetryCause) -> Nanos {
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
        let lost_at = attempt.concluded.as_ref().map_or(now, |(at, _)| *at);
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
                    // A conflict is final by its `error_code`, which may have been cut off.
                    let conflict = answered.status == 409 && (!whole || answered.words.is_none());
                    (answered.class == Class::Retried || conflict)
                        && Some(answered.status) == cause.http_status()
                        && read
                        && (!whole
                            || answered.words.is_none()
                            || same_words(answered.words.as_deref(), cause.server_message()))
                })
            }
            RetryCause::ConnectTimeout => stage == Stage::Connecting && now >= attempt.started + rules.connect_timeout,
            RetryCause::AttemptTimeout => now >= attempt.deadline,
            RetryCause::IdleTimeout => {
                stage == Stage::Streaming && rules.idle_timeout.is_some_and(|idle| now >= attempt.heard.0 + idle)
            }
            _ => false,
        };
        self.must(is_true, &format!("an attempt is said to be lost for what did not happen, {cause}"));
        let takes_back = matches!(cause, RetryCause::CompletedElsewhere { .. });
        self.must(
            stage != Stage::Streaming || !waited_for_target || takes_back,
            "an attempt at its target is said to be lost",
        );
        lost_at
    }
}

/// Whether a message has the server's words, behind a remark about who answered if there is one.
fn same_words(words: Option<&str>, message: Option<&str>) -> bool {
    const REMARK: &str = "a proxy or CDN answered, not the API: ";
    words == message.map(|message| message.strip_prefix(REMARK).unwrap_or(message))
}
