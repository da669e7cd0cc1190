//! Time limits: no watch waits beyond one, and none is woken late for one.

use super::{ERROR_BODY, MAX_ERROR_BODY, Oracle, Stage};
use crate::simulation::{Nanos, SECOND, shown};

/// The driver reads the clock at least this often if its sleeps pause during system sleep.
const LONGEST_SLEEP: Nanos = 30 * SECOND;

/// How late a wake-up must be to count as late, and how long the driver then reads before it judges a timer.
const LATE: Nanos = SECOND / 20;
const CATCH_UP: Nanos = SECOND / 1000;

impl Oracle {
    /// Checks that no limit has passed while the watch waits.
    pub(super) fn judge_limits(&self) {
        let now = self.now();
        if let Some((limit, name)) = self.limits().into_iter().filter(|(limit, _)| *limit <= now).min() {
            // After a late wake-up the runtime gets one moment to report what has arrived.
            let since = match self.catches_up.get() {
                // A system sleep in between is a late wake-up again.
                Some((late_for, since)) if late_for == limit => since.max(self.simulation.resumed_at().unwrap_or(0)),
                _ => now,
            };
            self.catches_up.set(Some((limit, since)));
            if limit + LATE > since || now >= since + CATCH_UP {
                self.broken(&format!("waits beyond its {name} of {}", shown(limit)));
            }
        }
        if let Some(attempt) = &self.attempt
            && attempt.open
        {
            self.must(attempt.broke.is_none(), "keeps a connection that has ended");
            self.must(attempt.concluded.is_none(), "keeps a stream that has concluded");
            self.must(attempt.error_bytes < MAX_ERROR_BODY, "reads more of an error body than allowed");
            self.must(attempt.connection.borrow().waits().is_none(), "does not read bytes that arrived");
        }
        if self.stage == Stage::New {
            self.broken("waits before it has begun");
        }
    }

    /// Checks that the watch was polled in time for its limits and its input.
    pub(super) fn judge_lateness(&self) {
        if self.excused {
            return;
        }
        let (now, slack) = (self.now(), self.simulation.timer_rules().slack);
        let mut limits = self.limits();
        if let Some(attempt) = &self.attempt
            && attempt.open
            && let Some(since) = attempt.connection.borrow().waits()
        {
            limits.push((since, "bytes"));
        }
        limits.extend(self.aborted.map(|at| (at, "abort")));
        let catches_up =
            self.catches_up.get().filter(|(late_for, _)| limits.iter().any(|(limit, _)| limit == late_for));
        let caught_up = catches_up.map_or(0, |(_, since)| since + CATCH_UP);
        for (limit, name) in limits {
            let allowed = if matches!(name, "bytes" | "abort") { 0 } else { slack };
            if limit.max(caught_up) + allowed < now {
                self.broken(&format!("was polled too late for its {name} of {}", shown(limit)));
            }
        }
    }

    /// Whether the machine resumed so recently that a sleep may still end late.
    pub(super) fn overslept(&self) -> bool {
        let slack = self.simulation.timer_rules().slack;
        self.simulation.resumed_at().is_some_and(|resumed| self.now() <= resumed + LONGEST_SLEEP + slack)
    }

    fn limits(&self) -> Vec<(Nanos, &'static str)> {
        let mut limits = Vec::new();
        if self.stage == Stage::New || self.stage == Stage::Ended {
            return limits;
        }
        limits.extend(self.overall_deadline().map(|deadline| (deadline, "deadline")));
        if let Stage::Waiting { due } = self.stage {
            limits.push((due, "retry"));
            return limits;
        }
        let Some(attempt) = &self.attempt else { return limits };
        limits.push((attempt.deadline, "attempt's deadline"));
        match self.stage {
            Stage::Connecting => limits.push((attempt.started + self.rules.connect_timeout, "connect timeout")),
            Stage::Streaming => {
                limits.extend(self.rules.idle_timeout.map(|idle| (attempt.heard.1 + idle, "idle timeout")));
                limits.extend(attempt.at_target_since.map(|since| (since + self.rules.grace, "grace")));
            }
            Stage::ReadingError => {
                limits.extend(attempt.answered.as_ref().map(|answered| (answered.at + ERROR_BODY, "error body time")));
            }
            _ => {}
        }
        limits
    }
}
