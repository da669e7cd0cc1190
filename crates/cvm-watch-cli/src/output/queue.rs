//! A queue with a thread that writes, so that a reader that stalls blocks only that thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::sync::Notify;

/// Items that a thread writes in their order. Pushing never blocks; callers keep the queue short by
/// waiting for [`Queue::at_most`] in between.
pub(crate) struct Queue<T> {
    shared: Arc<Shared<T>>,
    has_thread: bool,
}

type Write<T> = Box<dyn FnMut(T) + Send>;

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Locked by the thread, or by a caller that pushes if there is no thread.
    write: Mutex<Write<T>>,
    changed: Condvar,
    written: Notify,
}

struct State<T> {
    waiting: VecDeque<(T, usize)>,
    /// The size of what is waiting or being written.
    size: usize,
    is_closed: bool,
}

impl<T: Send + 'static> Queue<T> {
    /// Starts the thread. Where the system allows no further thread, items are written as they are
    /// pushed.
    pub(crate) fn new(name: &str, write: impl FnMut(T) + Send + 'static) -> Self {
        let state = State { waiting: VecDeque::new(), size: 0, is_closed: false };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            write: Mutex::new(Box::new(write)),
            changed: Condvar::new(),
            written: Notify::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || of_thread.run());
        Self { shared, has_thread: thread.is_ok() }
    }

    /// Adds an item that counts as this size.
    pub(crate) fn push(&self, item: T, size: usize) {
        if !self.has_thread {
            return lock(&self.shared.write)(item);
        }
        let mut state = lock(&self.shared.state);
        state.size += size;
        state.waiting.push_back((item, size));
        self.shared.changed.notify_all();
    }

    /// The size of what is not written yet.
    pub(crate) fn size(&self) -> usize {
        lock(&self.shared.state).size
    }

    /// Waits until at most this much is left to write.
    pub(crate) async fn at_most(&self, size: usize) {
        loop {
            // Asked for before the size is read, so that no change in between is missed.
            let mut written = std::pin::pin!(self.shared.written.notified());
            written.as_mut().enable();
            if self.size() <= size {
                return;
            }
            written.await;
        }
    }

    /// Blocks until everything is written, or until then. Returns whether everything is.
    pub(crate) fn drain(&self, until: Option<Instant>) -> bool {
        let mut state = lock(&self.shared.state);
        while state.size > 0 {
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        true
    }
}

impl<T> Shared<T> {
    fn run(&self) {
        let mut write = lock(&self.write);
        let mut state = lock(&self.state);
        loop {
            state = match state.waiting.pop_front() {
                Some((item, size)) => {
                    drop(state);
                    write(item);
                    let mut state = lock(&self.state);
                    state.size = state.size.saturating_sub(size);
                    self.changed.notify_all();
                    self.written.notify_waiters();
                    state
                }
                None if state.is_closed => return,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        lock(&self.shared.state).is_closed = true;
        self.shared.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::sync::mpsc;
    use std::task::{Context, Waker};
    use std::time::Duration;

    /// A queue whose items arrive at the receiver, each once it was let through.
    fn stalling() -> (Queue<u8>, mpsc::Sender<()>, mpsc::Receiver<u8>) {
        let (let_through, gate) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let queue = Queue::new("test", move |item| {
            let _ = gate.recv();
            let _ = sender.send(item);
        });
        (queue, let_through, written)
    }

    #[test]
    fn a_stalled_reader_blocks_neither_push_nor_a_drain_with_an_end() {
        let (queue, let_through, written) = stalling();
        (0..9).for_each(|item| queue.push(item, 10));
        assert_eq!(queue.size(), 90);
        assert!(!queue.drain(Some(Instant::now())));
        assert!(!queue.drain(Some(Instant::now() + Duration::from_millis(1))));
        (0..9).for_each(|_| let_through.send(()).unwrap());
        assert!(queue.drain(None));
        assert_eq!(written.try_iter().collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
        assert!(queue.drain(Some(Instant::now())));
    }

    #[test]
    fn what_was_pushed_is_written_after_the_queue_is_dropped() {
        let (queue, let_through, written) = stalling();
        (0..3).for_each(|item| queue.push(item, 1));
        drop(queue);
        drop(let_through);
        assert_eq!(written.iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn who_waits_for_a_short_queue_goes_on_once_it_is_short() {
        let (queue, let_through, _written) = stalling();
        queue.at_most(0).await;
        queue.push(1, 10);
        queue.push(2, 10);
        queue.at_most(20).await;
        let mut wait = std::pin::pin!(queue.at_most(10));
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let_through.send(()).unwrap();
        wait.await;
        assert_eq!(queue.size(), 10);
        let_through.send(()).unwrap();
        queue.at_most(0).await;
    }
}
