//! A response body and the connection that it comes over.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use async_std::io::{BufRead, Read};
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, Incoming};

use super::exchange::Driving;
use crate::fault;

/// Gives out hyper's chunks one by one; nothing is gathered.
pub(crate) struct Reader {
    body: Incoming,
    /// The connection, until it has nothing more to do. surf wants bodies that are `Sync`, which a
    /// connection is not: the lock is never taken.
    connection: Mutex<Option<Driving>>,
    chunk: Bytes,
}

impl Reader {
    pub(crate) fn new(body: Incoming, connection: Option<Driving>) -> Self {
        Self { body, connection: Mutex::new(connection), chunk: Bytes::new() }
    }

    /// The next frame; a connection that breaks tells the body so.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(driving) = connection
            && driving.as_mut().poll(cx).is_ready()
        {
            *connection = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl BufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(this.poll_frame(cx)) {
                // Trailers are of no use to a watch.
                Some(Ok(frame)) => this.chunk = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(fault::in_body(error)))),
                None => break,
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let amount = amount.min(self.chunk.len());
        self.chunk.advance(amount);
    }
}

impl Read for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = chunk.len().min(out.len());
        for (out, byte) in out.iter_mut().zip(chunk) {
            *out = *byte;
        }
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}
