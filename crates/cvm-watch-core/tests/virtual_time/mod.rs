//! Runs of the core in virtual time: the clock jumps to the next event. A run of one watch is in `watch`, of a fleet in
//! `fleet`; the tests and the example `fleet` share both.

pub(crate) mod fleet;
pub(crate) mod watch;

use cvm_watch_core::Timestamp;

/// A state machine together with what it is connected to.
pub(crate) trait Run {
    /// Executes all actions; returns whether the run has ended.
    fn drain(&mut self) -> bool;
    /// When the next input is ready.
    fn next_input(&mut self) -> Option<Timestamp>;
    /// When the state machine has to be ticked.
    fn next_wake(&self) -> Option<Timestamp>;
    /// Passes on the input that is ready.
    fn input(&mut self, now: Timestamp);
    fn tick(&mut self, now: Timestamp);
    fn now(&mut self) -> &mut Timestamp;
}

/// Runs to the end. At one moment input comes before the tick, as the rules for drivers have it. Returns false if the run
/// waits and no event is left.
pub(crate) fn run(run: &mut impl Run) -> bool {
    for _ in 0..10_000_000 {
        if run.drain() {
            return true;
        }
        let input = run.next_input();
        let Some(next) = [input, run.next_wake()].into_iter().flatten().min() else { return false };
        let now = next.max(*run.now());
        *run.now() = now;
        if input.is_some_and(|at| at <= now) {
            run.input(now);
        } else {
            run.tick(now);
        }
    }
    panic!("the run does not end");
}
