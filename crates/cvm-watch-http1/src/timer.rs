//! The timer of a runtime's network.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use cvm_watch_driver::cvm_watch_core::Timestamp;
use cvm_watch_driver::{BootClock, Timer};

use crate::connect::Net;

/// The timer of the runtime `N`. Its clock includes the time during which the machine was suspended.
///
/// Under tokio's paused clock (`#[tokio::test(start_paused = true)]`) a wait of hours takes no time.
/// async-std has no clock that can be paused.
pub struct NetTimer<N> {
    epoch: Instant,
    clock: BootClock,
    net: PhantomData<fn() -> N>,
}

impl<N: Net> NetTimer<N> {
    /// Makes a timer whose epoch is now.
    pub fn new() -> Self {
        Self { epoch: N::now(), clock: BootClock::new(), net: PhantomData }
    }
}

impl<N: Net> Timer for NetTimer<N> {
    type Sleep = N::Sleep;

    fn now(&self) -> Timestamp {
        Timestamp::ZERO + N::now().saturating_duration_since(self.epoch) + self.clock.suspended()
    }

    fn suspended(&self) -> Duration {
        self.clock.suspended()
    }

    /// Timers of runtimes pause while the machine is suspended, so a watch notices a resume within 5 seconds.
    fn longest_sleep(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn sleep_until(&self, at: Timestamp) -> Self::Sleep {
        N::sleep(at.since(self.now()))
    }
}

impl<N> Clone for NetTimer<N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for NetTimer<N> {}

impl<N: Net> Default for NetTimer<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N> fmt::Debug for NetTimer<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NetTimer").field(&self.clock).finish()
    }
}
