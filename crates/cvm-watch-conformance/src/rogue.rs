//! Transports that misbehave, made from one that does not: the driver has to stay right all the
//! same.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cvm_watch_driver::{Body, Head, Request, Transport, TransportError};

/// What a transport does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it is passed through.
    None,
    /// It keeps the answer to itself.
    NeverAnswers,
    /// It hands over an empty chunk after every other.
    EmptyChunks,
    /// It hands over nothing but empty chunks, as fast as it is asked.
    OnlyEmptyChunks,
    /// It has more to say after the end of its body.
    SpeaksAfterTheEnd,
    /// It panics after its first chunk.
    Panics,
}

/// A transport with a fault.
pub(crate) struct Rogue<T> {
    pub(crate) inner: T,
    pub(crate) fault: Fault,
}

impl<T: Transport> Transport for Rogue<T> {
    type Body = RogueBody<T::Body>;
    type Open = RogueOpen<T::Open>;

    fn open(&self, request: Request) -> Self::Open {
        RogueOpen { inner: Box::pin(self.inner.open(request)), fault: self.fault, kept: None }
    }
}

pub(crate) struct RogueOpen<O: Future> {
    inner: Pin<Box<O>>,
    fault: Fault,
    /// The answer that is never given; what belongs to it stays open.
    kept: Option<Box<O::Output>>,
}

impl<O, B> Future for RogueOpen<O>
where
    O: Future<Output = Result<(Head, B), TransportError>>,
{
    type Output = Result<(Head, RogueBody<B>), TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.kept.is_some() {
            return Poll::Pending;
        }
        let answer = ready!(self.inner.as_mut().poll(cx));
        if self.fault == Fault::NeverAnswers {
            self.kept = Some(Box::new(answer));
            return Poll::Pending;
        }
        let fault = self.fault;
        Poll::Ready(
            answer.map(|(head, body)| (head, RogueBody { inner: Box::pin(body), fault, chunks: 0, over: false })),
        )
    }
}

pub(crate) struct RogueBody<B> {
    inner: Pin<Box<B>>,
    fault: Fault,
    chunks: u64,
    over: bool,
}

/// A chunk of the transport's, or one made up.
pub(crate) enum RogueChunk<C> {
    Real(C),
    MadeUp(&'static [u8]),
}

impl<C: AsRef<[u8]>> AsRef<[u8]> for RogueChunk<C> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Real(chunk) => chunk.as_ref(),
            Self::MadeUp(bytes) => bytes,
        }
    }
}

impl<B: Body> Body for RogueBody<B> {
    type Chunk = RogueChunk<B::Chunk>;

    #[expect(clippy::panic, reason = "that is the fault being tried")]
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Self::Chunk, TransportError>>> {
        let late = b"event: complete\ndata: {\"status\":\"running\"}\n\n";
        match self.fault {
            Fault::OnlyEmptyChunks => return Poll::Ready(Some(Ok(RogueChunk::MadeUp(b"")))),
            Fault::EmptyChunks if self.chunks % 2 == 1 => {
                self.chunks += 1;
                return Poll::Ready(Some(Ok(RogueChunk::MadeUp(b""))));
            }
            Fault::SpeaksAfterTheEnd if self.over => return Poll::Ready(Some(Ok(RogueChunk::MadeUp(late)))),
            Fault::Panics if self.chunks > 0 => panic!("a body that panics, on purpose"),
            _ => {}
        }
        let chunk = ready!(self.inner.as_mut().poll_chunk(cx));
        self.chunks += 1;
        self.over |= !matches!(chunk, Some(Ok(_)));
        Poll::Ready(chunk.map(|chunk| chunk.map(RogueChunk::Real)))
    }
}
