//! The connection of one watch: executes its actions and passes on what arrives.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::error::Error;
use std::sync::Arc;

use cvm_watch_core::{
    Action, AttemptId, CloseCause, Credential, Failure, Input, MemberId, ResponseHead, Timestamp, Watch,
};
use tracing::debug;

use crate::credential_provider::CredentialFuture;
use crate::engine::Engine;
use crate::error::WatchError;
use crate::observed::Observable;
use crate::shared::Shared;
use crate::transport::{Body, Head, Request, Timer, Transport, TransportError};
use crate::update::{Report, Update};

/// The connection of the current attempt, if there is one.
pub(crate) struct Connection<T: Transport> {
    stage: Stage<T>,
    chunk: Option<Chunk<T>>,
    /// The transport's error in the current or last attempt.
    error: Option<TransportError>,
}

enum Stage<T: Transport> {
    Closed,
    Asking(AttemptId, CredentialFuture),
    Opening(AttemptId, Pin<Box<T::Open>>),
    Open(AttemptId, Pin<Box<T::Body>>),
}

/// A chunk that the core has not taken completely.
struct Chunk<T: Transport> {
    attempt: AttemptId,
    bytes: <T::Body as Body>::Chunk,
    taken: usize,
}

/// An input that a connection has for the core.
enum Arrived {
    Credential(Credential),
    Head(Head),
    Closed(TransportError),
}

impl<T: Transport> Connection<T> {
    pub(crate) fn new() -> Self {
        Self { stage: Stage::Closed, chunk: None, error: None }
    }

    /// Executes an action of this watch; returns what to report to the caller.
    pub(crate) fn execute<C: Timer>(&mut self, shared: &Shared<T, C>, watch: &Watch, action: Action) -> Option<Report> {
        let cvm = watch.id();
        let update = match action {
            Action::Connect { attempt, request, .. } => {
                debug!(%cvm, %attempt, base = %shared.base, request = request.path_and_query(), "connecting");
                let request = Request::new(Arc::clone(&shared.base), request, watch.policy().connect_timeout())
                    .with_attempt(attempt);
                self.error = None;
                self.stage = Stage::Opening(attempt, Box::pin(shared.transport.open(request)));
                Update::Connecting { attempt }
            }
            Action::AskCredential { attempt } => {
                debug!(%cvm, %attempt, "asking for the credential");
                self.error = None;
                self.stage = Stage::Asking(attempt, shared.settings.ask_credential());
                return None;
            }
            Action::Disconnect { attempt } => {
                debug!(%cvm, %attempt, "disconnecting");
                self.close();
                return None;
            }
            Action::Emit { attempt, id, event, .. } => {
                debug!(%cvm, %attempt, ?event, "event");
                Update::Event { attempt, id, event }
            }
            Action::SteadyTarget { after, .. } => {
                debug!(%cvm, ?after, "steady target counts");
                Update::SteadyTarget { after }
            }
            Action::Retrying { attempt, delay, cause, routine, .. } => {
                debug!(%cvm, %attempt, ?delay, %cause, routine, "retrying");
                Update::Retrying { attempt, delay, cause, routine }
            }
            Action::SwitchedToPolling => {
                debug!(%cvm, "streams bring nothing, polling from now on");
                Update::SwitchedToPolling
            }
            Action::Resolve(state) => {
                debug!(%cvm, status = state.status, "resolved");
                return Some(Report::Ended(Ok(state)));
            }
            Action::Fail(failure) => {
                debug!(%cvm, %failure, "failed");
                return Some(Report::Ended(Err(self.blame(failure))));
            }
            // A watch outside a fleet needs no permit, and a fleet gives them itself.
            _ => return None,
        };
        Some(Report::Update(update))
    }

    /// Passes the connection's next input to the core. Returns the time at which it did.
    pub(crate) fn poll_input<E: Engine>(
        &mut self,
        cx: &mut Context<'_>,
        timer: &impl Timer,
        engine: &mut Observable<E>,
        member: MemberId,
    ) -> Poll<Timestamp> {
        if self.chunk.is_none() {
            let (attempt, arrived) = match &mut self.stage {
                Stage::Closed => return Poll::Pending,
                Stage::Asking(attempt, credential) => {
                    let (attempt, answer) = (*attempt, ready!(credential.as_mut().poll(cx)));
                    self.stage = Stage::Closed;
                    let failed = |error| Arrived::Closed(TransportError::new(CloseCause::Credential, error));
                    (attempt, Some(answer.map_or_else(failed, Arrived::Credential)))
                }
                Stage::Opening(attempt, open) => match ready!(open.as_mut().poll(cx)) {
                    Ok((head, body)) => {
                        let attempt = *attempt;
                        self.stage = Stage::Open(attempt, Box::pin(body));
                        (attempt, Some(Arrived::Head(head)))
                    }
                    Err(error) => (*attempt, Some(Arrived::Closed(error))),
                },
                Stage::Open(attempt, body) => match ready!(body.as_mut().poll_chunk(cx)) {
                    Some(Ok(bytes)) => {
                        self.chunk = Some(Chunk { attempt: *attempt, bytes, taken: 0 });
                        (*attempt, None)
                    }
                    Some(Err(error)) => (*attempt, Some(Arrived::Closed(error))),
                    None => (*attempt, Some(Arrived::Closed(CloseCause::Ended.into()))),
                },
            };
            if let Some(arrived) = arrived {
                return Poll::Ready(self.handle(arrived, attempt, timer, engine, member));
            }
        }
        let now = timer.now();
        self.offer_chunk(now, engine, member);
        Poll::Ready(now)
    }

    /// Returns whether a part of a chunk was not taken by the core yet.
    pub(crate) fn has_bytes(&self) -> bool {
        self.chunk.is_some()
    }

    pub(crate) fn close(&mut self) {
        self.stage = Stage::Closed;
        self.chunk = None;
    }

    fn offer_chunk<E: Engine>(&mut self, now: Timestamp, engine: &mut Observable<E>, member: MemberId) {
        let Some(chunk) = &mut self.chunk else { return };
        let bytes = chunk.bytes.as_ref();
        chunk.taken += engine.receive(now, member, chunk.attempt, bytes, chunk.taken);
        if chunk.taken >= bytes.len() {
            self.chunk = None;
        }
    }

    fn handle<E: Engine>(
        &mut self,
        arrived: Arrived,
        attempt: AttemptId,
        timer: &impl Timer,
        engine: &mut Observable<E>,
        member: MemberId,
    ) -> Timestamp {
        let now = timer.now();
        let cvm = engine.watch(member).map(|watch| tracing::field::display(watch.id()));
        match arrived {
            Arrived::Credential(credential) => {
                engine.handle(now, Some(member), Input::Credential { attempt, credential });
            }
            Arrived::Head(head) => {
                debug!(cvm, %attempt, status = head.status, "response");
                let mut response = ResponseHead::new(head.status);
                for (name, value) in &head.headers {
                    response.header(name, value);
                }
                engine.handle(now, Some(member), Input::Head { attempt, head: response, wall: timer.wall() });
            }
            Arrived::Closed(error) => {
                let error = match engine.watch(member) {
                    Some(watch) => error.redacted(watch.redactor()),
                    None => error,
                };
                let cause = error.cause();
                debug!(cvm, %attempt, %cause, source = error.source().map(tracing::field::display), "closed");
                self.error = Some(error);
                self.close();
                engine.handle(now, Some(member), Input::Closed { attempt, cause });
            }
        }
        now
    }

    /// Returns the failure, with the transport's error if that caused it.
    fn blame(&mut self, failure: Failure) -> WatchError {
        // A rejection is due to the response, and an abort to the caller.
        let is_due_to_it = !matches!(failure, Failure::Rejected(_) | Failure::Aborted);
        let source = self.error.take().filter(|_| is_due_to_it);
        WatchError::Failed { failure: Box::new(failure), source: source.map(Arc::new) }
    }
}
