//! What the watch was asked for, in plain values, and the arithmetic that follows from it.

use std::ops::RangeInclusive;
use std::time::Duration;

use cvm_watch_core::{Backoff, Config, Timestamp};

use crate::checks::answer::Asked;

const SECOND: Duration = Duration::from_secs(1);

/// The parameters of a watch.
#[derive(Clone, Debug)]
pub struct Rules {
    pub id: String,
    pub target: String,
    pub interval: u64,
    pub timeout: Duration,
    pub max_retries: Option<u64>,
    pub retry_delay: Option<Duration>,
    pub backoff_max: Option<Duration>,
    pub connect_timeout: Duration,
    pub idle_timeout: Option<Duration>,
    pub deadline: Option<Duration>,
    pub complete_grace: Duration,
    pub max_event_bytes: usize,
    pub keep_raw: bool,
    pub permits: bool,
}

impl Rules {
    /// The machine's own form of them.
    pub fn config(&self) -> Config {
        let mut builder = Config::builder(&self.id, &self.target)
            .interval(Duration::from_secs(self.interval))
            .timeout(self.timeout)
            .connect_timeout(self.connect_timeout)
            .complete_grace(self.complete_grace)
            .max_event_bytes(self.max_event_bytes)
            .keep_raw(self.keep_raw);
        if let Some(retries) = self.max_retries {
            builder = builder.max_retries(retries);
        }
        if let Some(delay) = self.retry_delay {
            builder = builder.retry_delay(delay);
        }
        if let Some(most) = self.backoff_max {
            builder = builder.backoff(Backoff::up_to(most));
        }
        if let Some(idle) = self.idle_timeout {
            builder = builder.idle_timeout(idle);
        }
        if let Some(deadline) = self.deadline {
            builder = builder.deadline(deadline);
        }
        builder.build().expect("the rules are within their ranges")
    }

    /// Row 11: where the delay of the next attempt must lie. A deadline cuts it.
    pub fn delay(
        &self,
        server_retry: Option<Duration>,
        streak: u32,
        retry_after: Asked,
        time_left: Option<Duration>,
    ) -> RangeInclusive<Duration> {
        let base = self.retry_delay.or(server_retry).unwrap_or(5 * SECOND);
        let (least, most) = match (self.backoff_max, self.retry_delay) {
            (Some(cap), _) => {
                let doubled = (0..streak).fold(base, |delay, _| delay.saturating_mul(2).min(cap.max(base)));
                (doubled / 2, doubled)
            }
            (None, Some(exact)) => (exact, exact),
            (None, None) => (base, base + base / 5),
        };
        let asked = match retry_after {
            Asked::Exactly(wait) => wait.min(300 * SECOND),
            Asked::Nothing => Duration::ZERO,
            Asked::Unclear => unreachable!("the cases have no unclear dates"),
        };
        let left = time_left.unwrap_or(Duration::MAX);
        least.max(asked).min(left)..=most.max(asked).min(left)
    }

    /// Row 20: whole seconds, rounded up, at least 10.
    pub fn timeout_to_send(&self, time_left: Option<Duration>) -> Duration {
        let left = time_left.unwrap_or(Duration::MAX);
        let rounded = left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0));
        self.timeout.min(Duration::from_secs(rounded.max(10)))
    }

    /// The ids and targets of the rules are unreserved characters, so nothing is encoded.
    pub fn path(&self, timeout: Duration) -> String {
        let Self { id, target, interval, .. } = self;
        format!("/cvms/{id}/state?target={target}&interval={interval}&timeout={}", timeout.as_secs())
    }

    /// Row 23.
    pub fn can_be_sent(&self, id: &str) -> bool {
        !id.is_empty() && id.chars().all(|char| char >= ' ' && char != '\u{7f}')
    }
}

/// The moment `wait` after `since`; the last moment there is if that is later.
pub fn after(since: u64, wait: Duration) -> u64 {
    since.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
}

pub fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}
