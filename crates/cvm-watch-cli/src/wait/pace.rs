//! How many lines a second the progress of one CVM may take.

use std::time::Duration;

use tokio::time::Instant;

/// Lines that may follow each other at once, as in a boot that is quick.
const BURST: u32 = 12;
/// The time that each further line takes.
const PERIOD: Duration = Duration::from_millis(500);

/// Lets the first lines through, and then one per period. A server that floods with changes is held back by
/// it; what is held is printed as it stands when its time comes.
pub(super) struct Pace {
    /// When every line so far has had its period.
    paid: Instant,
    /// How many changes were held since the last line.
    held: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { paid: Instant::now(), held: 0 }
    }

    /// A change: whether its line may be printed now. If not, it is held.
    pub(super) fn allows(&mut self) -> bool {
        let is_time = self.time() <= Instant::now();
        if !is_time {
            self.held += 1;
        }
        is_time
    }

    /// A line is printed; says how many changes had no line before it.
    pub(super) fn print(&mut self) -> u64 {
        self.paid = self.paid.max(Instant::now()) + PERIOD;
        // The line shows the last one.
        std::mem::take(&mut self.held).saturating_sub(1)
    }

    /// When what is held may be printed; `None` if nothing is.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.held > 0).then(|| self.time())
    }

    fn time(&self) -> Instant {
        // The periods of a burst may still be owed.
        self.paid.checked_sub(PERIOD * (BURST - 1)).unwrap_or(self.paid)
    }
}

/// How many changes had no line, for the end of the next one.
pub(super) fn left_out(changes: u64) -> String {
    match changes {
        0 => String::new(),
        1 => " (1 change left out)".to_owned(),
        changes => format!(" ({changes} changes left out)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_a_flood_is_held_to_two_lines_a_second() {
        // Far from the beginning of the clock.
        tokio::time::advance(Duration::from_secs(60)).await;
        let mut pace = Pace::new();
        let mut printed = 0;
        let mut left_out = 0;
        for _ in 0..10_000 {
            if pace.allows() {
                left_out += pace.print();
                printed += 1;
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(printed, u64::from(BURST) + 19, "10 s take two lines each after the burst");
        let due = pace.due().unwrap();
        assert!(due >= Instant::now() && due <= Instant::now() + PERIOD);
        tokio::time::advance(PERIOD).await;
        left_out += pace.print();
        // One held change of each held line is the one that it shows.
        assert!(left_out > 9_900 && left_out < 10_000, "{left_out}");
        assert_eq!(pace.due(), None);
        tokio::time::advance(Duration::from_secs(60)).await;
        for line in 0..BURST {
            assert!(pace.allows(), "{line}");
            pace.print();
        }
        assert!(!pace.allows());
    }
}
