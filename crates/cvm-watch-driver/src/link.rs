//! The connection of one watch, and what its actions do to it.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cvm_watch_core::{
    Action, AttemptId, CloseCause, CvmId, CvmState, Failure, Input, Policy, ResponseHead, Timestamp, UnixSeconds,
};
use tracing::debug;

use crate::error::WatchError;
use crate::shared::Shared;
use crate::transport::{Body, Head, Request, Timer, Transport, TransportError};
use crate::update::Update;

/// What a connection is told to: a watch, or a member of a fleet.
pub(crate) trait Listener {
    fn handle(&mut self, now: Timestamp, input: Input<'_>);
    /// Offers what is left of a chunk of which `from` bytes were taken before.
    fn receive(&mut self, now: Timestamp, attempt: AttemptId, chunk: &[u8], from: usize) -> usize;
    fn cvm(&self) -> Option<&CvmId>;
}

/// The connection of the attempt under way, if there is one.
pub(crate) struct Link<T: Transport> {
    connection: Connection<T>,
    chunk: Option<Chunk<T>>,
    /// The transport's error of the current or last attempt.
    trouble: Option<TransportError>,
}

enum Connection<T: Transport> {
    None,
    Opening(AttemptId, Pin<Box<T::Open>>),
    Open(AttemptId, Pin<Box<T::Body>>),
}

/// A chunk that the core has not taken whole yet.
struct Chunk<T: Transport> {
    attempt: AttemptId,
    bytes: <T::Body as Body>::Chunk,
    taken: usize,
}

/// What carrying out an action has come to.
pub(crate) enum Done {
    /// Something to report.
    Update(Update),
    /// The watch has ended.
    End(Result<CvmState, Failure>),
    Nothing,
}

impl<T: Transport> Link<T> {
    pub(crate) fn new() -> Self {
        Self { connection: Connection::None, chunk: None, trouble: None }
    }

    /// Does what the core says.
    pub(crate) fn carry_out<C: Timer>(
        &mut self,
        shared: &Shared<T, C>,
        cvm: &CvmId,
        policy: &Policy,
        action: Action,
    ) -> Done {
        match action {
            Action::Connect { attempt, request } => {
                debug!(%cvm, %attempt, base = %shared.base, request = request.path_and_query(), "connecting");
                let request = Request::new(Arc::clone(&shared.base), request, policy.connect_timeout());
                self.trouble = None;
                self.connection = Connection::Opening(attempt, Box::pin(shared.transport.open(request)));
                Done::Update(Update::Connecting { attempt: attempt.number() })
            }
            Action::Disconnect { attempt } => {
                debug!(%cvm, %attempt, "disconnecting");
                self.hang_up();
                Done::Nothing
            }
            Action::Emit { attempt, id, event } => {
                debug!(%cvm, %attempt, ?event, "event");
                Done::Update(Update::Event { attempt: attempt.number(), id, event })
            }
            Action::SteadyTarget { after } => {
                debug!(%cvm, ?after, "steady target counts");
                Done::Update(Update::SteadyTarget { after })
            }
            Action::Retrying { attempt, delay, cause } => {
                debug!(%cvm, %attempt, ?delay, %cause, "retrying");
                Done::Update(Update::Retrying { attempt: attempt.number(), delay, cause })
            }
            Action::Resolve(state) => {
                debug!(%cvm, status = state.status, "resolved");
                Done::End(Ok(state))
            }
            Action::Fail(failure) => {
                debug!(%cvm, %failure, "failed");
                Done::End(Err(failure))
            }
            // A lone watch always has its permit, and a fleet gives its own.
            _ => Done::Nothing,
        }
    }

    /// Tells the core the next thing that the connection has to say.
    pub(crate) fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        timer: &impl Timer,
        core: &mut impl Listener,
    ) -> Poll<()> {
        if let Some(chunk) = &mut self.chunk {
            let bytes = chunk.bytes.as_ref();
            chunk.taken += core.receive(timer.now(), chunk.attempt, bytes, chunk.taken);
            if chunk.taken >= bytes.len() {
                self.chunk = None;
            }
            return Poll::Ready(());
        }
        match &mut self.connection {
            Connection::None => return Poll::Pending,
            Connection::Opening(attempt, open) => {
                let attempt = *attempt;
                match ready!(open.as_mut().poll(cx)) {
                    Ok((head, body)) => {
                        self.connection = Connection::Open(attempt, Box::pin(body));
                        tell_head(attempt, &head, timer, core);
                    }
                    Err(error) => self.closed(attempt, error, timer, core),
                }
            }
            Connection::Open(attempt, body) => {
                let attempt = *attempt;
                match ready!(body.as_mut().poll_chunk(cx)) {
                    Some(Ok(bytes)) => {
                        self.chunk = Some(Chunk { attempt, bytes, taken: 0 });
                        return self.poll_input(cx, timer, core);
                    }
                    Some(Err(error)) => self.closed(attempt, error, timer, core),
                    None => self.closed(attempt, CloseCause::Ended.into(), timer, core),
                }
            }
        }
        Poll::Ready(())
    }

    /// Whether bytes have come that the core has not taken yet.
    pub(crate) fn has_bytes(&self) -> bool {
        self.chunk.is_some()
    }

    /// How the watch ended, with the transport's error if the end was due to one.
    pub(crate) fn outcome(&mut self, end: Result<CvmState, Failure>) -> Result<CvmState, WatchError> {
        end.map_err(|failure| {
            // A rejection is the answer's, whatever became of its body, and an abort the caller's.
            let is_due_to_it = !matches!(failure, Failure::Rejected(_) | Failure::Aborted);
            let source = self.trouble.take().filter(|_| is_due_to_it);
            WatchError::Failed { failure: Box::new(failure), source }
        })
    }

    fn closed(&mut self, attempt: AttemptId, error: TransportError, timer: &impl Timer, core: &mut impl Listener) {
        let cause = error.cause();
        let source = std::error::Error::source(&error);
        let cvm = core.cvm().map(tracing::field::display);
        debug!(cvm, %attempt, %cause, source = source.map(tracing::field::display), "closed");
        self.trouble = Some(error);
        self.hang_up();
        core.handle(timer.now(), Input::Closed { attempt, cause });
    }

    pub(crate) fn hang_up(&mut self) {
        self.connection = Connection::None;
        self.chunk = None;
    }
}

fn tell_head(attempt: AttemptId, head: &Head, timer: &impl Timer, core: &mut impl Listener) {
    let cvm = core.cvm().map(tracing::field::display);
    debug!(cvm, %attempt, status = head.status, "response");
    let mut response = ResponseHead::new(head.status);
    for (name, value) in &head.headers {
        response.header(name, value);
    }
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| UnixSeconds(since.as_secs()));
    core.handle(timer.now(), Input::Head { attempt, head: response, wall });
}
