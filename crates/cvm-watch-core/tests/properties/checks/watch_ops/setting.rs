//! Parameters and times of a case.

use std::time::Duration;

use crate::checks::choices::Choices;
use crate::model::Rules;

const NANO: Duration = Duration::from_nanos(1);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The first of each list is the usual value.
pub fn rules(choices: &mut Choices<'_>) -> Rules {
    let backoff_max = choices.pick(&[None, None, Some(secs(400)), Some(secs(4000))]);
    // With a nanosecond, jitter would decide whether there is a delay at all.
    let shortest = if backoff_max.is_some() { secs(2) } else { NANO };
    let retry_delay = choices.pick(&[None, Some(secs(5)), Some(Duration::ZERO), Some(shortest), Some(secs(400))]);
    let mut rules = Rules {
        id: "my-cvm".into(),
        target: choices.pick(&["running", "Stopped"]).into(),
        interval: choices.pick(&[5, 30]),
        timeout: choices.pick(&[secs(300), secs(10), secs(600)]),
        max_retries: choices.pick(&[None, Some(0), Some(1), Some(3)]),
        retry_delay,
        backoff_max,
        connect_timeout: choices.pick(&[secs(30), NANO, secs(1000)]),
        idle_timeout: choices.pick(&[None, None, Some(secs(20)), Some(secs(1)), Some(NANO)]),
        deadline: choices.pick(&[None, None, Some(secs(100)), Some(secs(5)), Some(NANO), Some(Duration::MAX)]),
        complete_grace: choices.pick(&[secs(2), Duration::ZERO, secs(1000)]),
        max_event_bytes: choices.pick(&[4 << 20, 1, 40]),
        keep_raw: choices.flag(),
        permits: false,
        fail_on: None,
        fail_on_boot_errors: false,
        ready: false,
        after_change: None,
        or_target: None,
        wait_for_create: None,
        stable_for: None,
        stall_timeout: None,
    };
    let asked = choices.byte();
    // Most cases ask for none of these.
    if asked & 3 == 3 {
        rules.or_target = [None, Some("starting")][usize::from(asked >> 2 & 1)];
        rules.wait_for_create = [None, Some(secs(20))][usize::from(asked >> 3 & 1)];
        rules.stable_for = [None, Some(NANO), Some(secs(20)), Some(secs(20))][usize::from(asked >> 4 & 3)];
        rules.stall_timeout = [None, Some(NANO), Some(secs(20)), Some(secs(20))][usize::from(asked >> 6)];
    }
    let more = choices.byte();
    rules.permits = more & 1 == 1;
    rules.ready = more >> 1 & 1 == 1 && rules.target == "running";
    let boot = ["error", "exited", "removing"].as_slice();
    rules.fail_on = [None, Some(boot), Some(&[]), Some(&["starting"])][usize::from(more >> 2 & 3)];
    rules.fail_on_boot_errors = rules.fail_on.is_some_and(|statuses| statuses != ["starting"]);
    if rules.fail_on.is_some_and(|statuses| statuses.iter().any(|status| rules.is_target(status))) {
        rules.fail_on = None;
    }
    rules.after_change = [None, Some(NANO), Some(secs(20)), Some(secs(1000))][usize::from(more >> 4 & 3)];
    rules
}

/// When the watch begins; the last value is so late that some sums saturate.
pub fn start(choices: &mut Choices<'_>) -> u64 {
    choices.pick(&[0, 0, 0, 1_000_000_000_000, u64::MAX - 400_000_000_000])
}

/// A time span from zero to hours, with those that the rows name.
pub fn span(choices: &mut Choices<'_>) -> u64 {
    const MILLI: u64 = 1_000_000;
    let named = [0, 1, MILLI, 999 * MILLI, 1000 * MILLI, 2000 * MILLI, 5000 * MILLI, 10_000 * MILLI, 20_000 * MILLI];
    match choices.byte() {
        index @ 0..9 => named[usize::from(index)],
        seconds @ 9..=250 => u64::from(seconds) * 1000 * MILLI,
        large => u64::from(large) * 100_000 * MILLI,
    }
}
