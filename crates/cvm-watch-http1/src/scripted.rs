//! A peer with prepared answers, and an executor for tests that need no runtime.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};

/// A peer that sends its answers and then closes. It keeps the bytes that it received.
pub(crate) struct Scripted {
    answers: io::Cursor<Vec<u8>>,
    pub(crate) written: Arc<Mutex<Vec<u8>>>,
    /// What it reads before it sends anything.
    waits_for: &'static [u8],
    /// Whether it stays open after its answers.
    stays_open: bool,
}

impl Scripted {
    /// Sends this at once.
    pub(crate) fn new(answers: &[u8]) -> Self {
        let answers = io::Cursor::new(answers.to_vec());
        Self { answers, written: Arc::default(), waits_for: b"", stays_open: false }
    }

    /// Sends this once it has read a whole request head.
    pub(crate) fn once_asked(answers: &[u8]) -> Self {
        Self { waits_for: b"\r\n\r\n", ..Self::new(answers) }
    }

    pub(crate) fn stays_open(self) -> Self {
        Self { stays_open: true, ..self }
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.written.lock().unwrap()
    }
}

impl Read for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.written().ends_with(self.waits_for) && self.answers.position() == 0 {
            return Poll::Pending;
        }
        let mut buffer = vec![0; out.remaining()];
        let count = io::Read::read(&mut self.answers, &mut buffer)?;
        if count == 0 && self.stays_open {
            return Poll::Pending;
        }
        out.put_slice(&buffer[..count]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Scripted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a task that waits only for scripted peers, by polling it in a loop.
pub(crate) fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    for _ in 0..100_000 {
        if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("the task waits for something that never happens");
}
