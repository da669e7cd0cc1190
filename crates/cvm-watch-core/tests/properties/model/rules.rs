//! The parameters of a watch in plain values, and the arithmetic on them.

use std::ops::RangeInclusive;
use std::time::Duration;

use cvm_watch_core::{Backoff, CvmId, CvmState, FailEarly, Policy, Timestamp};

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
    pub fail_on: Option<&'static [&'static str]>,
    pub fail_on_boot_errors: bool,
    pub ready: bool,
    pub after_change: Option<Duration>,
    pub or_target: Option<&'static str>,
    pub wait_for_create: Option<Duration>,
    pub stable_for: Option<Duration>,
    pub stall_timeout: Option<Duration>,
}

impl Rules {
    /// The CVM's id in the type of the core.
    pub fn id(&self) -> CvmId {
        self.id.parse().expect("a valid id")
    }

    /// The other parameters in the type of the core.
    pub fn policy(&self) -> Policy {
        let mut builder = Policy::builder(&self.target)
            .interval(Duration::from_secs(self.interval))
            .timeout(self.timeout)
            .connect_timeout(self.connect_timeout)
            .complete_grace(self.complete_grace)
            .max_event_bytes(self.max_event_bytes)
            .keep_raw(self.keep_raw)
            .ready(self.ready);
        if let Some(statuses) = self.fail_on {
            let early = FailEarly::on(statuses.iter().copied()).boot_errors(self.fail_on_boot_errors);
            builder = builder.fail_early(early);
        }
        if let Some(target) = self.or_target {
            builder = builder.or_target(target);
        }
        if let Some(time) = self.wait_for_create {
            builder = builder.wait_for_create(time);
        }
        if let Some(time) = self.stable_for {
            builder = builder.stable_for(time);
        }
        if let Some(timeout) = self.stall_timeout {
            builder = builder.stall_timeout(timeout);
        }
        if let Some(steady) = self.after_change {
            builder = builder.after_change(steady);
        }
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

    /// Readiness: the boot is done or not reported, without an error.
    pub fn is_ready(&self, state: &CvmState) -> bool {
        let booted = matches!(state.boot_progress.as_deref(), None | Some("done"));
        !self.ready || !state.is("running") || (booted && state.boot_error.is_none())
    }

    /// Row 28.
    pub fn is_target(&self, status: &str) -> bool {
        let is = |target: &str| target.eq_ignore_ascii_case(status);
        is(&self.target) || self.or_target.is_some_and(is)
    }

    /// The targets in a failure.
    pub fn targets(&self) -> String {
        [Some(self.target.as_str()), self.or_target].into_iter().flatten().collect::<Vec<_>>().join(",")
    }

    /// Whether the target cannot be reached from a state; `before` is the boot error of the first state.
    pub fn is_unreachable(&self, state: &CvmState, before: Option<&str>) -> bool {
        let Some(statuses) = self.fail_on else { return false };
        let error = state.boot_error.as_deref();
        let booting = state.boot_progress.as_deref() != Some("done");
        let boot_failed = self.fail_on_boot_errors && booting && error.is_some() && error != before;
        !self.is_target(&state.status) && (statuses.iter().any(|status| state.is(status)) || boot_failed)
    }

    /// Row 11: the range of the delay before the next attempt. A deadline cuts it.
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

/// The time `wait` after `since`, saturating.
pub fn after(since: u64, wait: Duration) -> u64 {
    since.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
}

pub fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}
