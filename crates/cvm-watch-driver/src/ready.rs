//! The ready queue: connections that were woken, so that only those are polled.

use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Wake;

use cvm_watch_core::MemberId;

/// The connections that were woken since they were last polled: each once, in the order of waking.
#[derive(Default)]
pub(crate) struct ReadyQueue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    queue: VecDeque<Arc<ConnectionWaker>>,
    /// The task that polls them.
    task: Option<Waker>,
}

/// The waker of one connection. Wakers may outlive the queue, so it holds a weak reference.
pub(crate) struct ConnectionWaker {
    member: MemberId,
    /// Changed only while the queue is locked, so that a connection that is woken while it is polled is queued again.
    is_queued: AtomicBool,
    queue: Weak<ReadyQueue>,
}

impl ReadyQueue {
    /// Sets the task that is woken when a connection is, and queues a connection if one is given.
    pub(crate) fn register(&self, task: &Waker, connection: Option<&Arc<ConnectionWaker>>) {
        let mut inner = self.lock();
        if !inner.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            inner.task = Some(task.clone());
        }
        connection.into_iter().for_each(|connection| inner.push_back(connection));
    }

    pub(crate) fn waker(self: &Arc<Self>, member: MemberId) -> Arc<ConnectionWaker> {
        Arc::new(ConnectionWaker { member, is_queued: AtomicBool::new(false), queue: Arc::downgrade(self) })
    }

    /// Queues a connection after the others.
    pub(crate) fn push_back(&self, connection: &Arc<ConnectionWaker>) {
        self.lock().push_back(connection);
    }

    /// Queues a connection before the others.
    pub(crate) fn push_front(&self, connection: &Arc<ConnectionWaker>) {
        let mut inner = self.lock();
        if connection.is_queued.swap(true, Ordering::Relaxed) {
            inner.queue.retain(|other| !Arc::ptr_eq(other, connection));
        }
        inner.queue.push_front(Arc::clone(connection));
    }

    /// Takes the first connection. It can be woken again from here on, even while it is polled.
    pub(crate) fn pop(&self) -> Option<MemberId> {
        let mut inner = self.lock();
        let connection = inner.queue.pop_front()?;
        connection.is_queued.store(false, Ordering::Relaxed);
        Some(connection.member)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push_back(&mut self, connection: &Arc<ConnectionWaker>) {
        if !connection.is_queued.swap(true, Ordering::Relaxed) {
            self.queue.push_back(Arc::clone(connection));
        }
    }
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(queue) = self.queue.upgrade() else { return };
        let mut inner = queue.lock();
        inner.push_back(self);
        let task = inner.task.clone();
        drop(inner);
        task.inspect(Waker::wake_by_ref);
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
    fn each_connection_is_queued_once_in_the_order_of_waking() {
        let queue = Arc::new(ReadyQueue::default());
        let wakers = [0, 1, 2].map(|number| queue.waker(MemberId::from_number(number)));
        for index in [1, 0, 1] {
            wakers[index].wake_by_ref();
        }
        queue.push_front(&wakers[2]);
        queue.push_front(&wakers[0]);
        assert_eq!(queue.len(), 3);
        let polled: Vec<_> = std::iter::from_fn(|| queue.pop()).map(MemberId::number).collect();
        assert_eq!(polled, [0, 2, 1]);
        queue.push_back(&wakers[1]);
        assert_eq!(queue.pop(), Some(MemberId::from_number(1)));
    }

    #[test]
    fn waking_a_connection_wakes_the_task_that_was_registered_last() {
        let queue = Arc::new(ReadyQueue::default());
        let waker = queue.waker(MemberId::from_number(0));
        let flags = [Arc::new(Flag::default()), Arc::new(Flag::default())];
        for flag in &flags {
            queue.register(&Waker::from(Arc::clone(flag)), None);
        }
        waker.wake();
        let awake = flags.map(|flag| flag.0.load(Ordering::Relaxed));
        assert_eq!(awake, [false, true]);
    }

    #[test]
    fn a_left_over_waker_keeps_neither_the_queue_nor_the_task_alive() {
        let queue = Arc::new(ReadyQueue::default());
        let task = Arc::new(Flag::default());
        queue.register(&Waker::from(Arc::clone(&task)), None);
        let waker = queue.waker(MemberId::from_number(0));
        waker.wake_by_ref();
        drop(queue);
        assert_eq!(Arc::strong_count(&task), 1);
        waker.wake();
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
