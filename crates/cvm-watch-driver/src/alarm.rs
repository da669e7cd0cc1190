//! Sleeping until a watch wants to be woken, and noticing that the machine was suspended.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use cvm_watch_core::Timestamp;

use crate::transport::Timer;

/// A shorter suspension is no nap: the clocks that tell it are not read at one moment.
const SHORTEST_NAP: Duration = Duration::from_secs(1);

/// A sleep, and how much of the clock's time the machine was suspended.
pub(crate) struct Alarm<C: Timer> {
    sleep: Option<(Timestamp, Pin<Box<C::Sleep>>)>,
    last_look: Timestamp,
    suspended: Duration,
}

impl<C: Timer> Alarm<C> {
    pub(crate) fn new(timer: &C) -> Self {
        Self { sleep: None, last_look: timer.now(), suspended: timer.suspended() }
    }

    /// Sleeps until `wake`, or a while. Ready when the clock should be looked at again.
    pub(crate) fn poll(
        &mut self,
        timer: &C,
        wake: Option<Timestamp>,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(wake) = wake else { return Poll::Pending };
        let until = wake.min(now + timer.longest_sleep());
        // A sleep that ends too early only costs a look at the clock; one too late must go.
        let sleep = match &mut self.sleep {
            Some((ends, sleep)) if *ends <= until => sleep,
            sleep => &mut sleep.insert((until, Box::pin(timer.sleep_until(until)))).1,
        };
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }

    /// Whether the machine was suspended since this was asked last.
    pub(crate) fn had_a_nap(&mut self, timer: &C, now: Timestamp) -> bool {
        let since = now.since(self.last_look);
        self.last_look = now;
        if since < SHORTEST_NAP {
            return false;
        }
        let suspended = timer.suspended();
        let had_a_nap = suspended.saturating_sub(self.suspended) >= SHORTEST_NAP;
        if had_a_nap {
            self.suspended = suspended;
        }
        had_a_nap
    }
}
