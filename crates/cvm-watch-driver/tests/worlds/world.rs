//! Virtual time: what happens when, who is woken by it, and the record of it all.
//!
//! The machine that the watches run on can nap: the world goes on, its clock too, but nothing on it
//! runs, and in some worlds its sleeps stand still, as those of most runtimes do.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use cvm_watch_driver::Timer;
use cvm_watch_driver::core::Timestamp;

use crate::faults::Fault;

/// Nanoseconds since the world began, or between two moments.
pub(crate) type Nanos = u64;
pub(crate) const MILLI: Nanos = 1_000_000;
pub(crate) const SECOND: Nanos = 1_000 * MILLI;
pub(crate) const MINUTE: Nanos = 60 * SECOND;
pub(crate) const HOUR: Nanos = 60 * MINUTE;

#[derive(Clone)]
pub(crate) struct World(Rc<Inner>);

struct Inner {
    laws_of_time: LawsOfTime,
    now: Cell<Nanos>,
    queue: RefCell<BinaryHeap<Entry>>,
    sequence: Cell<u64>,
    nap_ends: Cell<Nanos>,
    napped: Cell<Nanos>,
    fault: Option<Fault>,
    trace: RefCell<Trace>,
}

/// How the machine's timers behave in this world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LawsOfTime {
    /// How late a sleep may end.
    pub(crate) slack: Nanos,
    /// Whether sleeps stand still while the machine naps.
    pub(crate) sleeps_nap_too: bool,
}

struct Entry {
    at: Nanos,
    sequence: u64,
    what: Box<dyn FnOnce()>,
}

/// What happened, as a hash, and as text if somebody wants to read it.
#[derive(Default)]
struct Trace {
    hash: u64,
    notes: u64,
    line: String,
    text: Option<String>,
}

impl World {
    pub(crate) fn new(laws_of_time: LawsOfTime, fault: Option<Fault>, keep_text: bool) -> Self {
        let trace = Trace { hash: 0xcbf2_9ce4_8422_2325, text: keep_text.then(String::new), ..Trace::default() };
        Self(Rc::new(Inner {
            laws_of_time,
            now: Cell::new(0),
            queue: RefCell::default(),
            sequence: Cell::new(0),
            nap_ends: Cell::new(0),
            napped: Cell::new(0),
            fault,
            trace: RefCell::new(trace),
        }))
    }

    pub(crate) fn now(&self) -> Nanos {
        self.0.now.get()
    }

    pub(crate) fn laws_of_time(&self) -> LawsOfTime {
        self.0.laws_of_time
    }

    /// Whether this world has that fault.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.0.fault == Some(fault)
    }

    pub(crate) fn at(&self, at: Nanos, what: impl FnOnce() + 'static) {
        let sequence = self.0.sequence.get();
        self.0.sequence.set(sequence + 1);
        let at = at.max(self.now());
        self.0.queue.borrow_mut().push(Entry { at, sequence, what: Box::new(what) });
    }

    /// Lets the next thing happen, if it happens no later than `until`; false if nothing does.
    pub(crate) fn step(&self, until: Nanos) -> bool {
        let mut queue = self.0.queue.borrow_mut();
        if queue.peek().is_none_or(|next| next.at > until) {
            return false;
        }
        let Some(next) = queue.pop() else { return false };
        drop(queue);
        self.0.now.set(next.at);
        (next.what)();
        true
    }

    /// The machine's lid closes.
    pub(crate) fn nap(&self, length: Nanos) {
        self.note(format_args!("the machine naps for {}", shown(length)));
        let ends = self.0.nap_ends.get().max(self.now());
        self.0.napped.set(self.0.napped.get() + length);
        self.0.nap_ends.set(ends + length);
        self.at(ends + length, || {});
    }

    pub(crate) fn naps(&self) -> bool {
        self.now() < self.0.nap_ends.get()
    }

    /// When the last nap ended.
    pub(crate) fn woke(&self) -> Option<Nanos> {
        let ends = self.0.nap_ends.get();
        (ends > 0).then_some(ends)
    }

    /// Drops all that would still happen; closures may hold the world itself.
    pub(crate) fn end(&self) {
        let queue = self.0.queue.take();
        drop(queue);
    }

    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        if std::thread::panicking() {
            // What follows from a broken law is of no interest.
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

    /// A hash of all that happened.
    pub(crate) fn hash(&self) -> u64 {
        self.0.trace.borrow().hash
    }

    pub(crate) fn notes(&self) -> u64 {
        self.0.trace.borrow().notes
    }

    pub(crate) fn text(&self) -> String {
        self.0.trace.borrow().text.clone().unwrap_or_default()
    }
}

/// The earliest first; of two at one moment, the one that was planned first.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        Reverse((self.at, self.sequence)).cmp(&Reverse((other.at, other.sequence)))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

pub(crate) fn shown(nanos: Nanos) -> String {
    format!("{}.{:06}s", nanos / SECOND, nanos % SECOND / 1000)
}

/// The machine's clock and sleeps.
pub(crate) struct VirtualTimer(pub(crate) World);

impl Timer for VirtualTimer {
    type Sleep = VirtualSleep;

    fn now(&self) -> Timestamp {
        let now = self.0.now();
        let ahead = if self.0.has(Fault::ClockRunsFast) { now / 500 } else { 0 };
        Timestamp::from_nanos(now + ahead)
    }

    fn sleep_until(&self, at: Timestamp) -> VirtualSleep {
        let world = &self.0;
        let mut ends = at.as_nanos();
        if world.laws_of_time().slack > 0 {
            // Not by chance: how late a timer is depends on what else the machine does.
            ends += ends.wrapping_mul(0x9e37_79b9) % world.laws_of_time().slack;
        }
        if world.has(Fault::TimersAreLate) {
            ends += 50 * MILLI;
        }
        let alarm = Rc::new(Alarm {
            rung: Cell::new(ends <= world.now() || world.has(Fault::SleepsEndAtOnce)),
            waker: RefCell::default(),
        });
        if !alarm.rung.get() {
            world.plan_alarm(ends, Rc::downgrade(&alarm));
        }
        VirtualSleep(alarm)
    }
}

impl World {
    fn plan_alarm(&self, at: Nanos, alarm: Weak<Alarm>) {
        let (world, napped) = (self.clone(), self.0.napped.get());
        self.at(at, move || {
            let Some(rings) = alarm.upgrade() else { return };
            let missed = world.0.napped.get() - napped;
            if missed > 0 && world.laws_of_time().sleeps_nap_too {
                return world.plan_alarm(world.now() + missed, alarm);
            }
            rings.rung.set(true);
            if let Some(waker) = rings.waker.take() {
                waker.wake();
            }
        });
    }
}

struct Alarm {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Dropped, it wakes nobody.
pub(crate) struct VirtualSleep(Rc<Alarm>);

impl Future for VirtualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.rung.get() {
            return Poll::Ready(());
        }
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}
