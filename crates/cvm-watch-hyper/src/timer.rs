//! Time on tokio.

use std::time::Duration;

use cvm_watch_driver::core::Timestamp;
use cvm_watch_driver::{BootClock, Timer};

/// Sleeps on tokio's timer, and tells the time by a clock that goes on while the machine is
/// suspended.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer(BootClock);

impl TokioTimer {
    /// A timer whose epoch is now.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Timer for TokioTimer {
    type Sleep = tokio::time::Sleep;

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
        tokio::time::sleep(at.since(self.now()))
    }
}
