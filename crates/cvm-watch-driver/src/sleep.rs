//! Sleeping until the next wake, and noticing that the machine was suspended.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use cvm_watch_core::Timestamp;

use crate::transport::Timer;

/// A shorter suspension is not noticed, because the two clocks that show it are not read at the same
/// moment.
const SHORTEST_SYSTEM_SLEEP: Duration = Duration::from_secs(1);

/// After a wake-up this much too late, the runtime may not have polled for ready I/O yet: the process was stopped
/// (Ctrl-Z, a frozen container), or had no CPU.
const LATE: Duration = Duration::from_millis(50);
/// How long to sleep so that the runtime does so.
const CATCH_UP: Duration = Duration::from_millis(1);

/// A sleep until a time of the timer's clock.
pub(crate) struct SleepUntil<C: Timer> {
    sleep: Option<(Timestamp, Pin<Box<C::Sleep>>)>,
    catch_up: Option<Pin<Box<C::Sleep>>>,
    last_check: Timestamp,
    /// For how long the machine had been suspended at that time.
    suspended: Duration,
}

impl<C: Timer> SleepUntil<C> {
    pub(crate) fn new(timer: &C) -> Self {
        Self { sleep: None, catch_up: None, last_check: timer.now(), suspended: timer.suspended() }
    }

    /// Sleeps until `wake`, but no longer than the timer allows. Ready when the clock should be read
    /// again; pending for ever without a `wake`.
    pub(crate) fn poll(
        &mut self,
        timer: &C,
        wake: Option<Timestamp>,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(wake) = wake else { return Poll::Pending };
        let until = wake.min(now + timer.longest_sleep());
        // A sleep that ends early is kept, since that costs only one reading of the clock.
        let sleep = match &mut self.sleep {
            Some((ends, sleep)) if *ends <= until => sleep,
            sleep => &mut sleep.insert((until, Box::pin(timer.sleep_until(until)))).1,
        };
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }

    /// Ready when the timers that were due at `wake` may be checked: at once, unless the wake-up is late. Then the
    /// runtime first gets a moment to report what has arrived.
    pub(crate) fn poll_catch_up(
        &mut self,
        timer: &C,
        wake: Timestamp,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let sleep = match &mut self.catch_up {
            Some(sleep) => sleep,
            None if now.since(wake) < LATE => return Poll::Ready(()),
            none => none.insert(Box::pin(timer.sleep_until(now + CATCH_UP))),
        };
        ready!(sleep.as_mut().poll(cx));
        self.catch_up = None;
        Poll::Ready(())
    }

    /// The wake has moved because of input, so another late wake-up needs its own moment.
    pub(crate) fn end_catch_up(&mut self) {
        self.catch_up = None;
    }

    /// Returns whether the machine was suspended since the last call.
    pub(crate) fn was_suspended(&mut self, timer: &C, now: Timestamp) -> bool {
        let since = now.since(self.last_check);
        self.last_check = now;
        if since < SHORTEST_SYSTEM_SLEEP {
            return false;
        }
        let suspended = timer.suspended();
        let was_suspended = suspended.saturating_sub(self.suspended) >= SHORTEST_SYSTEM_SLEEP;
        if was_suspended {
            self.suspended = suspended;
        }
        was_suspended
    }
}
