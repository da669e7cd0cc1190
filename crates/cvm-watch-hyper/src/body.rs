//! A response body and the connection that it comes over.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cvm_watch_driver::{Body, TransportError};
use hyper::body::{Body as _, Incoming};

use crate::exchange::Driving;
use crate::fault;

/// A body as hyper reads it: each chunk is a slice of the read buffer, handed over uncopied.
pub struct HyperBody {
    body: Incoming,
    /// The connection, until it has nothing more to do.
    connection: Option<Driving>,
}

impl HyperBody {
    pub(crate) fn new(body: Incoming, connection: Option<Driving>) -> Self {
        Self { body, connection }
    }

    /// The next frame; a connection that breaks tells the body so.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<hyper::body::Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if let Some(connection) = &mut self.connection
            && connection.as_mut().poll(cx).is_ready()
        {
            self.connection = None;
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl Body for HyperBody {
    type Chunk = Bytes;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            return Poll::Ready(match ready!(self.poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => Some(Ok(bytes)),
                    // Trailers are of no use to a watch.
                    Err(_) => continue,
                },
                Some(Err(error)) => Some(Err(fault::in_body(error))),
                None => None,
            });
        }
    }
}

impl fmt::Debug for HyperBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperBody").finish_non_exhaustive()
    }
}
