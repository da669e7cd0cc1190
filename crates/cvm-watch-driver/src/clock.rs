//! A clock for timers to use.

use cvm_watch_core::Timestamp;

/// A clock that goes on while the machine is suspended, so that a watch notices after a laptop's
/// nap that its deadlines have passed. On Linux it is `CLOCK_BOOTTIME`; elsewhere what
/// `std::time::Instant` does.
///
/// ```
/// let clock = cvm_watch_driver::BootClock::new();
/// let before = clock.now();
/// assert!(clock.now() >= before);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BootClock {
    #[cfg(target_os = "linux")]
    epoch: core::time::Duration,
    #[cfg(not(target_os = "linux"))]
    epoch: std::time::Instant,
}

impl BootClock {
    /// A clock whose epoch is now.
    pub fn new() -> Self {
        Self { epoch: read() }
    }

    /// The time since the clock was made.
    pub fn now(&self) -> Timestamp {
        #[cfg(target_os = "linux")]
        let elapsed = read().saturating_sub(self.epoch);
        #[cfg(not(target_os = "linux"))]
        let elapsed = self.epoch.elapsed();
        Timestamp::ZERO + elapsed
    }
}

impl Default for BootClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_os = "linux")]
fn read() -> core::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    core::time::Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

#[cfg(not(target_os = "linux"))]
fn read() -> std::time::Instant {
    std::time::Instant::now()
}
