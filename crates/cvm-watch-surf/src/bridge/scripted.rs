//! A peer whose every answer is known before, for tests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use async_std::io::{Cursor, Read, Write};

pub(crate) struct Scripted {
    answers: Cursor<Vec<u8>>,
    pub(crate) written: Vec<u8>,
    /// Says nothing before a whole request head is there.
    waits: bool,
    reader: Option<Waker>,
}

impl Scripted {
    /// Says this at once, and closes.
    pub(crate) fn new(answers: &[u8]) -> Self {
        Self { answers: Cursor::new(answers.to_vec()), written: Vec::new(), waits: false, reader: None }
    }

    /// Says this after a request, and closes.
    pub(crate) fn once_asked(answers: &[u8]) -> Self {
        Self { waits: true, ..Self::new(answers) }
    }
}

impl Read for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.waits && !self.written.ends_with(b"\r\n\r\n") {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.answers).poll_read(cx, out)
    }
}

impl Write for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
