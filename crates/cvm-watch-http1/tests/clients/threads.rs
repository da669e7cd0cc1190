//! What a test does on another thread while its watch goes on, on any runtime.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

/// A function that sends a value, and the future that receives it.
pub(crate) fn channel<T>() -> (impl FnOnce(T), impl Future<Output = T>) {
    let shared: Arc<Mutex<(Option<T>, Option<Waker>)>> = Arc::default();
    let theirs = Arc::clone(&shared);
    let send = move |value| {
        let mut shared = theirs.lock().unwrap();
        shared.0 = Some(value);
        if let Some(waker) = shared.1.take() {
            waker.wake();
        }
    };
    let receive = poll_fn(move |cx| {
        let mut shared = shared.lock().unwrap();
        if let Some(value) = shared.0.take() {
            return Poll::Ready(value);
        }
        shared.1 = Some(cx.waker().clone());
        Poll::Pending
    });
    (send, receive)
}

/// Runs this on a separate thread at once. The future ends with what it returns; if it panics, the
/// future never ends.
pub(crate) fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T> {
    let (send, receive) = channel();
    thread::spawn(move || send(work()));
    receive
}

/// Polls `task`, which must not end by itself, until `signal` does, and drops it then.
pub(crate) async fn run_until<T>(signal: impl Future<Output = T>, task: impl Future) -> T {
    let (mut signal, mut task) = (pin!(signal), pin!(task));
    poll_fn(|cx| {
        assert!(task.as_mut().poll(cx).is_pending(), "the task ended");
        signal.as_mut().poll(cx)
    })
    .await
}
