//! The delay before the next attempt: arithmetic and a seeded random generator.

use core::time::Duration;

use crate::policy::{Backoff, Policy};

/// The delay that is used when neither the caller nor the server gave one.
pub(crate) const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The limits of a stream's `retry:` field.
const SERVER_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The most jitter before a reconnect when nothing went wrong.
const ROUTINE_JITTER: Duration = Duration::from_secs(1);
/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The state from which the next delay is computed. It is kept across attempts.
#[derive(Clone, Debug)]
pub(crate) struct Delays {
    rng: SplitMix64,
    /// The last `retry:` of any stream of this watch.
    server: Option<Duration>,
    /// Failed attempts in a row since the last healthy one.
    streak: u32,
}

impl Delays {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: SplitMix64(seed), server: None, streak: 0 }
    }

    /// Stores the stream's `retry:` field, in milliseconds.
    pub(crate) fn server_asked(&mut self, millis: u64) {
        let (least, most) = SERVER_RETRY;
        self.server = Some(Duration::from_millis(millis).clamp(least, most));
    }

    /// Restarts exponential backoff from its base, after a healthy attempt.
    pub(crate) fn reset(&mut self) {
        self.streak = 0;
    }

    /// Returns the delay after one more failed attempt. `retry_after` can lengthen it, never shorten it.
    pub(crate) fn next(&mut self, policy: &Policy, retry_after: Option<Duration>) -> Duration {
        let base = policy.retry_delay().or(self.server).unwrap_or(DEFAULT_RETRY_DELAY);
        let delay = match (policy.backoff(), policy.retry_delay()) {
            (Some(backoff), _) => self.exponential(base, backoff),
            (None, Some(exact)) => exact,
            (None, None) => base + self.up_to(base / 5),
        };
        self.streak = self.streak.saturating_add(1);
        delay.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
    }

    /// The delay after a healthy stream ended as streams do: as given, else only what spreads the
    /// reconnects of many watches. Call [`reset`](Self::reset) first.
    pub(crate) fn next_after_routine_end(&mut self, policy: &Policy) -> Duration {
        match policy.retry_delay() {
            Some(_) => self.next(policy, None),
            None => self.up_to(ROUTINE_JITTER),
        }
    }

    /// Equal jitter: half of the doubled base, plus a random part of the other half.
    fn exponential(&mut self, base: Duration, backoff: Backoff) -> Duration {
        let cap = backoff.max_delay().max(base);
        // 64 doublings are enough from one nanosecond to any cap.
        let doublings = self.streak.min(96);
        let full = (0..doublings).fold(base, |delay, _| delay.saturating_mul(2).min(cap));
        full / 2 + self.up_to(full - full / 2)
    }

    /// Returns a random duration from zero to `most`, both included.
    fn up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let picked = (u128::from(self.rng.next()) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(picked).unwrap_or(nanos))
    }
}

/// Steele, Lea and Flood's `SplitMix64`: one word of state, and random enough to spread reconnects.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyBuilder;
    use alloc::vec::Vec;

    fn policy(set: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
        set(Policy::builder("running")).build().unwrap()
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_given_delay_is_used_exactly_even_zero() {
        for given in [0, 1, 3600].map(secs) {
            let policy = policy(|c| c.retry_delay(given));
            let mut delays = Delays::new(1);
            delays.server_asked(9000);
            assert_eq!(delays.next(&policy, None), given);
        }
    }

    #[test]
    fn without_one_it_is_five_seconds_and_up_to_a_fifth_more() {
        let policy = policy(|c| c);
        let delays: Vec<_> = (0..200).map(|seed| Delays::new(seed).next(&policy, None)).collect();
        assert!(delays.iter().all(|delay| (secs(5)..=secs(6)).contains(delay)));
        let early = delays.iter().filter(|delay| **delay < Duration::from_millis(5500)).count();
        assert!((60..140).contains(&early), "not spread: {early} of 200 in the first half");
    }

    #[test]
    fn the_streams_retry_line_is_held_within_one_and_thirty_seconds() {
        let policy = policy(|c| c);
        for (asked, least, most) in [(0, 1.0, 1.2), (7000, 7.0, 8.4), (u64::MAX, 30.0, 36.0)] {
            let mut delays = Delays::new(7);
            delays.server_asked(asked);
            let delay = delays.next(&policy, None).as_secs_f64();
            assert!((least..=most).contains(&delay), "{asked} ms gave {delay} s");
        }
    }

    #[test]
    fn backoff_doubles_to_its_cap_with_equal_jitter_and_starts_again_after_a_reset() {
        let policy = policy(|c| c.retry_delay(secs(1)).backoff(Backoff::default()));
        for seed in 0..50 {
            let mut delays = Delays::new(seed);
            for full in [1, 2, 4, 8, 16, 30, 30, 30].map(secs) {
                let delay = delays.next(&policy, None);
                assert!((full / 2..=full).contains(&delay), "{delay:?} of {full:?}");
            }
            delays.reset();
            assert!(delays.next(&policy, None) <= secs(1));
        }
    }

    #[test]
    fn backoff_from_nothing_stays_nothing_and_from_little_grows_by_doubling_only() {
        let nothing = policy(|c| c.retry_delay(secs(0)).backoff(Backoff::default()));
        let little = policy(|c| c.retry_delay(Duration::from_nanos(1)).backoff(Backoff::default()));
        let after_losses = |streak, policy| Delays { streak, ..Delays::new(1) }.next(policy, None);
        for streak in [0, 31, 32, 33, 64, u32::MAX] {
            assert_eq!(after_losses(streak, &nothing), secs(0), "after {streak} losses");
        }
        let doubled = Duration::from_nanos(1 << 33);
        assert!((doubled / 2..=doubled).contains(&after_losses(33, &little)));
        assert!(after_losses(40, &little) >= secs(15));
    }

    #[test]
    fn backoff_survives_a_streak_of_any_length() {
        let policy = policy(|c| c.backoff(Backoff::default()));
        let mut delays = Delays { streak: u32::MAX - 1, ..Delays::new(3) };
        for _ in 0..3 {
            assert!((secs(15)..=secs(30)).contains(&delays.next(&policy, None)));
        }
    }

    #[test]
    fn after_a_routine_end_there_is_only_jitter_unless_a_delay_was_given() {
        let policy_of = |set: fn(PolicyBuilder) -> PolicyBuilder| policy(set);
        for policy in [policy_of(|c| c), policy_of(|c| c.backoff(Backoff::default()))] {
            let delay = |seed| {
                let mut delays = Delays::new(seed);
                delays.server_asked(30_000);
                delays.next_after_routine_end(&policy)
            };
            let drawn: Vec<_> = (0..200).map(delay).collect();
            assert!(drawn.iter().all(|delay| *delay <= secs(1)), "{drawn:?}");
            let early = drawn.iter().filter(|delay| **delay < Duration::from_millis(500)).count();
            assert!((60..140).contains(&early), "not spread: {early} of 200 in the first half");
        }
        assert_eq!(Delays::new(1).next_after_routine_end(&policy(|c| c.retry_delay(secs(7)))), secs(7));
    }

    #[test]
    fn retry_after_lengthens_up_to_five_minutes_and_never_shortens() {
        let policy = policy(|c| c.retry_delay(secs(10)));
        for (asked, expected) in [(0, 10), (9, 10), (11, 11), (300, 300), (86_400, 300)] {
            assert_eq!(Delays::new(1).next(&policy, Some(secs(asked))), secs(expected));
        }
    }

    #[test]
    fn both_ends_of_a_jitter_can_be_drawn() {
        let draws: Vec<_> = (0..64).map(|seed| Delays::new(seed).up_to(Duration::from_nanos(1)).as_nanos()).collect();
        assert!(draws.contains(&0) && draws.contains(&1) && draws.iter().all(|draw| *draw <= 1), "{draws:?}");
    }

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut rng = SplitMix64(1_234_567);
        let numbers: Vec<_> = (0..3).map(|_| rng.next()).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        let policy = policy(|c| c.backoff(Backoff::default()));
        let run = |seed| {
            let mut delays = Delays::new(seed);
            (0..9).map(|_| delays.next(&policy, None)).collect::<Vec<_>>()
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }
}
