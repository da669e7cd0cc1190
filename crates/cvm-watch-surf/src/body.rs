//! The response body of a surf client.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_std::io::BufRead;
use cvm_watch_driver::{Body, TransportError};

use crate::fault;

/// A body over surf. Each read of the back end is a chunk, copied once.
pub struct SurfBody(surf::Body);

impl SurfBody {
    pub(crate) fn new(body: surf::Body) -> Self {
        Self(body)
    }
}

impl Body for SurfBody {
    type Chunk = Vec<u8>;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, TransportError>>> {
        let chunk = match ready!(Pin::new(&mut self.0).poll_fill_buf(cx)) {
            Ok([]) => return Poll::Ready(None),
            Ok(bytes) => bytes.to_vec(),
            Err(error) => return Poll::Ready(Some(Err(fault::in_read(error)))),
        };
        Pin::new(&mut self.0).consume(chunk.len());
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl fmt::Debug for SurfBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SurfBody").finish_non_exhaustive()
    }
}
