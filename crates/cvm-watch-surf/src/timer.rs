//! Time on async-std.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use cvm_watch_driver::core::Timestamp;
use cvm_watch_driver::{BootClock, Timer};

/// Sleeps on async-std's timer, and tells the time by a clock that goes on while the machine is
/// suspended.
///
/// ```
/// use std::time::Duration;
/// use cvm_watch_surf::AsyncStdTimer;
/// use cvm_watch_surf::driver::Timer;
///
/// let timer = AsyncStdTimer::new();
/// let at = timer.now() + Duration::from_millis(5);
/// async_std::task::block_on(timer.sleep_until(at));
/// assert!(timer.now() >= at);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AsyncStdTimer(BootClock);

impl AsyncStdTimer {
    /// A timer whose epoch is now.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Timer for AsyncStdTimer {
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn suspended(&self) -> Duration {
        self.0.suspended()
    }

    fn longest_sleep(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn sleep_until(&self, at: Timestamp) -> Self::Sleep {
        Box::pin(async_std::task::sleep(at.since(self.now())))
    }
}
