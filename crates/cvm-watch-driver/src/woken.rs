//! Which of many connections want to be asked, so that none is asked for nothing.

use core::task::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Wake;

/// The connections that were woken, in the order in which they were, each once.
#[derive(Default)]
pub(crate) struct Woken(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    queue: VecDeque<usize>,
    /// Who is in the queue, by number. Under the same lock: whoever is woken while being asked is
    /// in the queue again, and sees what the one before has written.
    is_queued: Vec<bool>,
    /// The task that asks them.
    task: Option<Waker>,
}

/// What wakes one connection. A connection may outlive the fleet in somebody's list of wakers, so it
/// keeps nothing of the fleet alive.
pub(crate) struct Wakeup {
    index: usize,
    woken: Weak<Woken>,
}

impl Woken {
    /// Whoever is woken from now on wakes this task too.
    pub(crate) fn wake_also(&self, task: &Waker) {
        let mut inner = self.lock();
        if !inner.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            inner.task = Some(task.clone());
        }
    }

    /// The connection with this number is to be asked after the others.
    pub(crate) fn add(&self, index: usize) {
        let mut inner = self.lock();
        if !inner.mark(index) {
            inner.queue.push_back(index);
        }
    }

    /// It is to be asked before the others.
    pub(crate) fn add_first(&self, index: usize) {
        let mut inner = self.lock();
        if inner.mark(index) {
            inner.queue.retain(|other| *other != index);
        }
        inner.queue.push_front(index);
    }

    /// Takes the one that was woken first. From here on it may be woken again, even while it is
    /// being asked.
    pub(crate) fn take_first(&self) -> Option<usize> {
        let mut inner = self.lock();
        let index = inner.queue.pop_front()?;
        if let Some(is_queued) = inner.is_queued.get_mut(index) {
            *is_queued = false;
        }
        Some(index)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().queue.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Notes that it is in the queue; whether it was before.
    fn mark(&mut self, index: usize) -> bool {
        if self.is_queued.len() <= index {
            self.is_queued.resize(index + 1, false);
        }
        self.is_queued.get_mut(index).is_some_and(|is_queued| core::mem::replace(is_queued, true))
    }
}

impl Wakeup {
    /// A waker for the connection with this number.
    pub(crate) fn waker(index: usize, woken: &Arc<Woken>) -> Waker {
        Arc::new(Self { index, woken: Arc::downgrade(woken) }).into()
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(woken) = self.woken.upgrade() else { return };
        woken.add(self.index);
        let task = woken.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicBool, Ordering};

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
        let wakers = [0, 1].map(|index| Wakeup::waker(index, &woken));
        for index in [1, 0, 1] {
            wakers[index].wake_by_ref();
        }
        woken.add_first(2);
        woken.add_first(0);
        assert_eq!(woken.count(), 3);
        let asked: Vec<_> = std::iter::from_fn(|| woken.take_first()).collect();
        assert_eq!(asked, [0, 2, 1]);
        woken.add(1);
        assert_eq!(woken.take_first(), Some(1));
    }

    #[test]
    fn whoever_is_woken_wakes_the_task_that_asks() {
        let woken = Arc::new(Woken::default());
        let waker = Wakeup::waker(0, &woken);
        let flags = [Arc::new(Flag::default()), Arc::new(Flag::default())];
        for flag in &flags {
            woken.wake_also(&Waker::from(Arc::clone(flag)));
        }
        waker.wake();
        let awake = flags.map(|flag| flag.0.load(Ordering::Relaxed));
        assert_eq!(awake, [false, true]);
    }

    #[test]
    fn a_waker_that_is_left_over_keeps_neither_the_queue_nor_the_task_alive() {
        let woken = Arc::new(Woken::default());
        let task = Arc::new(Flag::default());
        woken.wake_also(&Waker::from(Arc::clone(&task)));
        let waker = Wakeup::waker(0, &woken);
        waker.wake_by_ref();
        drop(woken);
        assert_eq!(Arc::strong_count(&task), 1);
        waker.wake();
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
