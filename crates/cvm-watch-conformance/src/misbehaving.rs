//! Misbehaving transports, each made from a correct one. The driver must behave correctly over them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use cvm_watch_driver::{Body, Head, Request, Transport, TransportError};

/// The fault of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: everything is passed through.
    None,
    /// It never returns the response.
    NeverAnswers,
    /// It returns an empty chunk after every other chunk.
    EmptyChunks,
    /// It returns only empty chunks, as fast as it is polled.
    OnlyEmptyChunks,
    /// It returns more chunks after the end of its body.
    SpeaksAfterTheEnd,
    /// It panics after its first chunk.
    Panics,
}

/// The errors of a transport, for the report of a failed scenario.
#[derive(Clone, Default)]
pub(crate) struct Errors(Arc<Mutex<Vec<String>>>);

impl Errors {
    /// Keeps an error with its sources.
    fn keep(&self, error: &TransportError) {
        let sources = std::iter::successors(std::error::Error::source(error), |error| (*error).source());
        let text = sources.fold(error.to_string(), |text, source| format!("{text}: {source}"));
        self.add(text);
    }

    pub(crate) fn add(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A transport with a fault.
pub(crate) struct Misbehaving<T> {
    pub(crate) inner: T,
    pub(crate) fault: Fault,
    pub(crate) errors: Errors,
}

impl<T: Transport> Transport for Misbehaving<T> {
    type Body = MisbehavingBody<T::Body>;
    type Open = MisbehavingOpen<T::Open>;

    fn open(&self, request: Request) -> Self::Open {
        let errors = self.errors.clone();
        MisbehavingOpen { inner: Box::pin(self.inner.open(request)), fault: self.fault, errors, kept: None }
    }
}

pub(crate) struct MisbehavingOpen<O: Future> {
    inner: Pin<Box<O>>,
    fault: Fault,
    errors: Errors,
    /// The response that is never returned; its connection stays open.
    kept: Option<Box<O::Output>>,
}

impl<O, B> Future for MisbehavingOpen<O>
where
    O: Future<Output = Result<(Head, B), TransportError>>,
{
    type Output = Result<(Head, MisbehavingBody<B>), TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.kept.is_some() {
            return Poll::Pending;
        }
        let answer = ready!(self.inner.as_mut().poll(cx));
        if self.fault == Fault::NeverAnswers {
            self.kept = Some(Box::new(answer));
            return Poll::Pending;
        }
        if let Err(error) = &answer {
            self.errors.keep(error);
        }
        let (fault, errors) = (self.fault, self.errors.clone());
        Poll::Ready(answer.map(|(head, body)| {
            (head, MisbehavingBody { inner: Box::pin(body), fault, errors, chunks: 0, over: false })
        }))
    }
}

pub(crate) struct MisbehavingBody<B> {
    inner: Pin<Box<B>>,
    fault: Fault,
    errors: Errors,
    chunks: u64,
    over: bool,
}

/// A chunk of the transport, or an invented one.
pub(crate) enum MisbehavingChunk<C> {
    Real(C),
    MadeUp(&'static [u8]),
}

impl<C: AsRef<[u8]>> AsRef<[u8]> for MisbehavingChunk<C> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Real(chunk) => chunk.as_ref(),
            Self::MadeUp(bytes) => bytes,
        }
    }
}

impl<B: Body> Body for MisbehavingBody<B> {
    type Chunk = MisbehavingChunk<B::Chunk>;

    #[expect(clippy::panic, reason = "that is the fault being tried")]
    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Self::Chunk, TransportError>>> {
        let late = b"event: complete\ndata: {\"status\":\"running\"}\n\n";
        match self.fault {
            Fault::OnlyEmptyChunks => return Poll::Ready(Some(Ok(MisbehavingChunk::MadeUp(b"")))),
            Fault::EmptyChunks if self.chunks % 2 == 1 => {
                self.chunks += 1;
                return Poll::Ready(Some(Ok(MisbehavingChunk::MadeUp(b""))));
            }
            Fault::SpeaksAfterTheEnd if self.over => return Poll::Ready(Some(Ok(MisbehavingChunk::MadeUp(late)))),
            Fault::Panics if self.chunks > 0 => panic!("a body that panics, on purpose"),
            _ => {}
        }
        let chunk = ready!(self.inner.as_mut().poll_chunk(cx));
        if let Some(Err(error)) = &chunk {
            self.errors.keep(error);
        }
        self.chunks += 1;
        self.over |= !matches!(chunk, Some(Ok(_)));
        Poll::Ready(chunk.map(|chunk| chunk.map(MisbehavingChunk::Real)))
    }
}
