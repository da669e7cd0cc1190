//! One simulated run: virtual time, the machine's timers, system sleep, and the trace of everything that happened.
//!
//! While the machine is suspended its clock and the rest of the simulation go on, but nothing on the machine runs. In some
//! runs its sleeps pause meanwhile, as those of most runtimes do.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use cvm_watch_driver::Timer;
use cvm_watch_driver::cvm_watch_core::Timestamp;
use cvm_watch_sim::virtual_time::VirtualTime;

use crate::defects::Defect;

/// Nanoseconds since the run began, or between two moments.
pub(crate) type Nanos = u64;
pub(crate) const MILLI: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000 * MILLI;
pub(crate) const MINUTE: Nanos = 60 * SECOND;
pub(crate) const HOUR: Nanos = 60 * MINUTE;

#[derive(Clone)]
pub(crate) struct Simulation(Rc<Inner>);

struct Inner {
    time: VirtualTime,
    timer_rules: TimerRules,
    suspended_until: Cell<Nanos>,
    suspended: Cell<Nanos>,
    defect: Option<Defect>,
    trace: RefCell<Trace>,
}

/// How the machine's timers behave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerRules {
    /// How late a sleep may end.
    pub(crate) slack: Nanos,
    /// Whether sleeps pause while the machine is suspended.
    pub(crate) sleeps_pause_during_suspend: bool,
}

/// What happened: as a hash, and as text on request.
#[derive(Default)]
struct Trace {
    hash: u64,
    notes: u64,
    line: String,
    text: Option<String>,
}

impl Simulation {
    pub(crate) fn new(timer_rules: TimerRules, defect: Option<Defect>, keep_text: bool) -> Self {
        let trace = Trace { hash: 0xcbf2_9ce4_8422_2325, text: keep_text.then(String::new), ..Trace::default() };
        Self(Rc::new(Inner {
            time: VirtualTime::default(),
            timer_rules,
            suspended_until: Cell::new(0),
            suspended: Cell::new(0),
            defect,
            trace: RefCell::new(trace),
        }))
    }

    pub(crate) fn now(&self) -> Nanos {
        self.0.time.now().as_nanos()
    }

    pub(crate) fn timer_rules(&self) -> TimerRules {
        self.0.timer_rules
    }

    /// Whether this run has that defect.
    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.0.defect == Some(defect)
    }

    pub(crate) fn at(&self, at: Nanos, call: impl FnOnce() + 'static) {
        self.0.time.call_at(Timestamp::from_nanos(at), call);
    }

    /// Lets the next event happen unless it is later than `until`; returns whether one did.
    pub(crate) fn step(&self, until: Nanos) -> bool {
        self.0.time.next_event().is_some_and(|next| next.as_nanos() <= until) && self.0.time.step()
    }

    /// Suspends the machine.
    pub(crate) fn suspend(&self, length: Nanos) {
        self.note(format_args!("the machine is suspended for {}", shown(length)));
        let ends = self.0.suspended_until.get().max(self.now()) + length;
        self.0.suspended.set(self.0.suspended.get() + length);
        self.0.suspended_until.set(ends);
        self.at(ends, || {});
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.now() < self.0.suspended_until.get()
    }

    /// When the machine last resumed.
    pub(crate) fn resumed_at(&self) -> Option<Nanos> {
        let resumed = self.0.suspended_until.get();
        (resumed > 0).then_some(resumed)
    }

    /// Drops all events that have not happened; their closures hold this simulation, a reference cycle.
    pub(crate) fn end(&self) {
        self.0.time.clear();
    }

    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        if std::thread::panicking() {
            // Consequences of a broken invariant are not part of the trace.
            return;
        }
        let mut trace = self.0.trace.borrow_mut();
        let trace = &mut *trace;
        trace.line.clear();
        write!(trace.line, "{} {what}", self.now()).unwrap();
        for word in trace.line.as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            trace.hash = (trace.hash ^ u64::from_le_bytes(bytes)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
        trace.notes += 1;
        if let Some(text) = &mut trace.text {
            writeln!(text, "{:>14}  {what}", shown(self.now())).unwrap();
        }
    }

    /// A hash of the trace.
    pub(crate) fn hash(&self) -> u64 {
        self.0.trace.borrow().hash
    }

    pub(crate) fn notes(&self) -> u64 {
        self.0.trace.borrow().notes
    }

    pub(crate) fn text(&self) -> String {
        self.0.trace.borrow().text.clone().unwrap_or_default()
    }

    fn wake_at(&self, at: Nanos, sleep: Weak<SleepState>) {
        let (simulation, suspended) = (self.clone(), self.0.suspended.get());
        self.at(at, move || {
            let Some(state) = sleep.upgrade() else { return };
            let missed = simulation.0.suspended.get() - suspended;
            if missed > 0 && simulation.timer_rules().sleeps_pause_during_suspend {
                return simulation.wake_at(simulation.now() + missed, sleep);
            }
            state.is_over.set(true);
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        });
    }
}

pub(crate) fn shown(nanos: Nanos) -> String {
    format!("{}.{:06}s", nanos / SECOND, nanos % SECOND / 1000)
}

/// The machine's clock and sleeps.
pub(crate) struct MachineTimer(pub(crate) Simulation);

impl Timer for MachineTimer {
    type Sleep = MachineSleep;

    fn now(&self) -> Timestamp {
        let now = self.0.now();
        let ahead = if self.0.has(Defect::ClockRunsFast) { now / 500 } else { 0 };
        Timestamp::from_nanos(now + ahead)
    }

    fn sleep_until(&self, at: Timestamp) -> MachineSleep {
        let simulation = &self.0;
        let mut ends = at.as_nanos();
        if simulation.timer_rules().slack > 0 {
            // A function of the time, not a random number, so that the run does not depend on how many sleeps there are.
            ends += ends.wrapping_mul(0x9e37_79b9) % simulation.timer_rules().slack;
        }
        if simulation.has(Defect::TimersAreLate) {
            ends += 50 * MILLI;
        }
        let state = Rc::new(SleepState {
            is_over: Cell::new(ends <= simulation.now() || simulation.has(Defect::SleepsEndAtOnce)),
            waker: RefCell::default(),
        });
        if !state.is_over.get() {
            simulation.wake_at(ends, Rc::downgrade(&state));
        }
        MachineSleep(state)
    }
}

struct SleepState {
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A sleep; dropping it cancels its wake-up.
pub(crate) struct MachineSleep(Rc<SleepState>);

impl Future for MachineSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_over.get() {
            return Poll::Ready(());
        }
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}
