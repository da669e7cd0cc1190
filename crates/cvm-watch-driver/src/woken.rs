//! Which of many connections want to be asked, so that none is asked for nothing.

use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

/// The connections that were woken, in the order in which they were, each once.
#[derive(Default)]
pub(crate) struct Woken(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    queue: VecDeque<Arc<Wakeup>>,
    /// The task that asks them.
    task: Option<Waker>,
}

/// What wakes one connection.
pub(crate) struct Wakeup {
    index: usize,
    is_queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Woken {
    /// Whoever is woken from now on wakes this task too.
    pub(crate) fn wake_also(&self, task: &Waker) {
        let mut inner = self.lock();
        if !inner.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            inner.task = Some(task.clone());
        }
    }

    /// Takes the one that was woken first.
    pub(crate) fn take_first(&self) -> Option<usize> {
        let wakeup = self.lock().queue.pop_front()?;
        // From here on it may be woken again, even while it is being asked.
        wakeup.is_queued.store(false, Ordering::Release);
        Some(wakeup.index)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().queue.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wakeup {
    /// That of the connection with this number.
    pub(crate) fn of(index: usize, woken: &Arc<Woken>) -> Arc<Self> {
        Arc::new(Self { index, is_queued: AtomicBool::new(false), woken: Arc::clone(woken) })
    }

    /// It is to be asked after the others.
    pub(crate) fn add(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.woken.lock().queue.push_back(Arc::clone(self));
        }
    }

    /// It is to be asked before the others.
    pub(crate) fn add_first(self: &Arc<Self>) {
        let mut inner = self.woken.lock();
        if self.is_queued.swap(true, Ordering::AcqRel) {
            inner.queue.retain(|other| !Arc::ptr_eq(other, self));
        }
        inner.queue.push_front(Arc::clone(self));
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.add();
        let task = self.woken.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_is_asked_once_however_often_it_was_woken_and_in_the_order_of_waking() {
        let woken = Arc::new(Woken::default());
        let [first, second, third] = [0, 1, 2].map(|index| Wakeup::of(index, &woken));
        for wakeup in [&second, &first, &second] {
            wakeup.wake_by_ref();
        }
        third.add_first();
        first.add_first();
        assert_eq!(woken.count(), 3);
        let asked: Vec<_> = std::iter::from_fn(|| woken.take_first()).collect();
        assert_eq!(asked, [0, 2, 1]);
        second.add();
        assert_eq!(woken.take_first(), Some(1));
    }

    #[test]
    fn whoever_is_woken_wakes_the_task_that_asks() {
        let woken = Arc::new(Woken::default());
        let wakeup = Wakeup::of(0, &woken);
        let flags = [Arc::new(Flag::default()), Arc::new(Flag::default())];
        for flag in &flags {
            woken.wake_also(&Waker::from(Arc::clone(flag)));
        }
        Waker::from(Arc::clone(&wakeup)).wake();
        let awake = flags.map(|flag| flag.0.load(Ordering::Relaxed));
        assert_eq!(awake, [false, true]);
    }
}
