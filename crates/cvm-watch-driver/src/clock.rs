//! A clock for timers to use.

use core::time::Duration;

use cvm_watch_core::Timestamp;

/// A clock that includes the time during which the machine was suspended, so that deadlines go on during system sleep.
/// It is `CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC` on Apple's systems, and `std::time::Instant` elsewhere.
///
/// ```
/// let clock = cvm_watch_driver::BootClock::new();
/// let before = clock.now();
/// assert!(clock.now() >= before);
/// assert!(clock.suspended().as_secs() < 60);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BootClock {
    epoch: system::Epoch,
}

impl BootClock {
    /// Makes a clock whose epoch is now.
    pub fn new() -> Self {
        Self { epoch: system::Epoch::now() }
    }

    /// Returns the time since the clock was made.
    pub fn now(&self) -> Timestamp {
        Timestamp::ZERO + self.epoch.elapsed()
    }

    /// Returns for how much of that time the machine was suspended; zero where that cannot be known.
    pub fn suspended(&self) -> Duration {
        self.epoch.suspended()
    }
}

impl Default for BootClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod system {
    use core::time::Duration;
    use std::time::Instant;

    use rustix::time::{ClockId, clock_gettime};

    /// On Apple's systems this clock includes system sleep (source: their manual page of `clock_gettime`).
    #[cfg(target_os = "linux")]
    const GOES_ON: ClockId = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    const GOES_ON: ClockId = ClockId::Monotonic;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Epoch {
        boot: Duration,
        /// The same time on a clock that does not include system sleep, as that of the standard library on these
        /// systems.
        awake: Instant,
    }

    impl Epoch {
        pub(super) fn now() -> Self {
            Self { boot: read(), awake: Instant::now() }
        }

        pub(super) fn elapsed(&self) -> Duration {
            read().saturating_sub(self.boot)
        }

        pub(super) fn suspended(&self) -> Duration {
            // Read first, so that the time between the two readings does not count as suspended.
            let elapsed = self.elapsed();
            elapsed.saturating_sub(self.awake.elapsed())
        }
    }

    #[cfg(test)]
    impl Epoch {
        /// Shifts the clock as if the machine had been suspended for five seconds.
        pub(super) fn five_seconds_ago_but_asleep(self) -> Self {
            Self { boot: self.boot.saturating_sub(Duration::from_secs(5)), ..self }
        }
    }

    fn read() -> Duration {
        let time = clock_gettime(GOES_ON);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod system {
    use core::time::Duration;
    use std::time::Instant;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Epoch(Instant);

    impl Epoch {
        pub(super) fn now() -> Self {
            Self(Instant::now())
        }

        pub(super) fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }

        pub(super) fn suspended(&self) -> Duration {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_goes_as_fast_as_the_clock_of_the_standard_library() {
        let outer = Instant::now();
        let clock = BootClock::new();
        let inner = Instant::now();
        while inner.elapsed() < Duration::from_millis(3) {}
        let least = inner.elapsed();
        let told = clock.now().since(Timestamp::ZERO);
        // The two are of one rate, but not of one resolution.
        let slack = Duration::from_micros(100);
        assert!(told + slack >= least && told <= outer.elapsed() + slack, "{told:?} in {least:?}");
    }

    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    #[test]
    fn what_the_other_clock_has_missed_was_slept_through() {
        let now = system::Epoch::now();
        let clock = BootClock { epoch: now.five_seconds_ago_but_asleep() };
        let slept = clock.suspended();
        assert!(slept > Duration::ZERO && slept <= Duration::from_millis(5001), "{slept:?}");
        assert!(clock.now() >= Timestamp::from_secs(5));
    }
}
