//! Transports with one fault each, around one that has none.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cvm_watch_hyper::driver::{Body, Head, Request, Transport, TransportError};
use cvm_watch_hyper::{CloseCause, HyperBody, HyperTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Answer<B> = Pin<Box<dyn Future<Output = Result<(Head, B), TransportError>>>>;
type Chunk = Option<Result<Vec<u8>, TransportError>>;

fn poll_inner(body: &mut HyperBody, cx: &mut Context<'_>) -> Poll<Chunk> {
    Pin::new(body).poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(|bytes| bytes.to_vec())))
}

/// Hands a body over in one piece, once it is whole.
pub(crate) struct Buffers(pub(crate) HyperTransport);

pub(crate) struct Buffered {
    inner: HyperBody,
    held: Vec<u8>,
}

impl Transport for Buffers {
    type Body = Buffered;
    type Open = Answer<Buffered>;

    fn open(&self, request: Request) -> Self::Open {
        let open = self.0.open(request);
        Box::pin(async { open.await.map(|(head, inner)| (head, Buffered { inner, held: Vec::new() })) })
    }
}

impl Body for Buffered {
    type Chunk = Vec<u8>;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Chunk> {
        loop {
            match ready!(poll_inner(&mut self.inner, cx)) {
                Some(Ok(bytes)) => self.held.extend(bytes),
                None if !self.held.is_empty() => return Poll::Ready(Some(Ok(std::mem::take(&mut self.held)))),
                end => return Poll::Ready(end),
            }
        }
    }
}

/// Takes a body that was cut off for one that ended.
pub(crate) struct SwallowsTruncation(pub(crate) HyperTransport);

pub(crate) struct Swallowing(HyperBody);

impl Transport for SwallowsTruncation {
    type Body = Swallowing;
    type Open = Answer<Swallowing>;

    fn open(&self, request: Request) -> Self::Open {
        let open = self.0.open(request);
        Box::pin(async { open.await.map(|(head, inner)| (head, Swallowing(inner))) })
    }
}

impl Body for Swallowing {
    type Chunk = Vec<u8>;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Chunk> {
        poll_inner(&mut self.0, cx).map(|chunk| match chunk {
            Some(Err(error)) if error.cause() == CloseCause::Truncated => None,
            other => other,
        })
    }
}

/// Does not close its sockets.
pub(crate) struct KeepsOpen(pub(crate) HyperTransport);

pub(crate) struct Kept(Option<HyperBody>);

impl Transport for KeepsOpen {
    type Body = Kept;
    type Open = Answer<Kept>;

    fn open(&self, request: Request) -> Self::Open {
        let open = self.0.open(request);
        Box::pin(async { open.await.map(|(head, inner)| (head, Kept(Some(inner)))) })
    }
}

impl Body for Kept {
    type Chunk = Vec<u8>;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Chunk> {
        poll_inner(self.0.as_mut().unwrap(), cx)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

/// Goes where a redirect points, and takes the key along.
pub(crate) struct FollowsRedirects(pub(crate) HyperTransport);

pub(crate) enum Followed {
    Here(HyperBody),
    There(Option<Vec<u8>>),
}

impl Transport for FollowsRedirects {
    type Body = Followed;
    type Open = Answer<Followed>;

    fn open(&self, request: Request) -> Self::Open {
        let open = self.0.open(request);
        Box::pin(async {
            let (head, body) = open.await?;
            let location = head.headers.iter().find(|(name, _)| name == "location");
            let Some((_, location)) = location else { return Ok((head, Followed::Here(body))) };
            let location = String::from_utf8_lossy(location).into_owned();
            let (host, path) = location.strip_prefix("http://").unwrap().split_once('/').unwrap();
            let mut there = TcpStream::connect(host).await.unwrap();
            let request = format!("GET /{path} HTTP/1.0\r\nhost: {host}\r\nx-api-key: phak\r\n\r\n");
            there.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            there.read_to_end(&mut answer).await.unwrap();
            let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map(|at| answer.split_off(at + 4));
            Ok((Head { status: 200, headers: Vec::new() }, Followed::There(body)))
        })
    }
}

impl Body for Followed {
    type Chunk = Vec<u8>;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Chunk> {
        match &mut *self {
            Self::Here(body) => poll_inner(body, cx),
            Self::There(body) => Poll::Ready(body.take().map(Ok)),
        }
    }
}

/// Panics when it is asked for a connection.
pub(crate) struct Panics;

impl Transport for Panics {
    type Body = HyperBody;
    type Open = Answer<HyperBody>;

    fn open(&self, _: Request) -> Self::Open {
        panic!("no transport")
    }
}
