//! The loop that carries out the core's actions. It has no policy: what a status code or a delay
//! means is the core's business.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cvm_watch_core::{
    Action, AttemptId, CloseCause, CvmState, Failure, Input, Phase, ResponseHead, Timestamp, UnixSeconds,
};
use tracing::debug;

use crate::client::Shared;
use crate::observed::ObservedWatch;
use crate::transport::{Body, Head, Request, Timer, Transport, TransportError};
use crate::update::Update;

/// So many inputs are taken before the task lets others run: on a current-thread runtime the one
/// that holds the abort may be waiting.
const BUDGET: usize = 32;
/// No sleep is longer, so that a nap of the machine is noticed soon after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

pub(crate) type Abort = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One watch being carried out.
pub(crate) struct Run<T: Transport, C: Timer> {
    watch: ObservedWatch,
    shared: Arc<Shared<T, C>>,
    connection: Connection<T>,
    chunk: Option<Chunk<T>>,
    sleep: Option<(Timestamp, Pin<Box<C::Sleep>>)>,
    abort: Option<Abort>,
    /// The transport's error of the current or last attempt.
    trouble: Option<TransportError>,
    end: Option<Result<CvmState, Failure>>,
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

impl<T: Transport, C: Timer> Run<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, watch: ObservedWatch, abort: Option<Abort>) -> Self {
        Self { watch, shared, connection: Connection::None, chunk: None, sleep: None, abort, trouble: None, end: None }
    }

    /// The next update; `None` once the watch has ended.
    pub(crate) fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        for _ in 0..BUDGET {
            // An abort is heard before anything that was not handed out yet.
            if let Some(abort) = &mut self.abort
                && abort.as_mut().poll(cx).is_ready()
            {
                self.abort();
            }
            // 1. Drain the actions.
            while let Some(action) = self.watch.poll_action() {
                if let Some(update) = self.carry_out(action) {
                    return Poll::Ready(Some(update));
                }
            }
            if self.end.is_some() {
                return Poll::Ready(None);
            }
            // 2. One input, if one is ready.
            let progress = self.poll_input(cx).is_ready();
            // 3. Time, once no byte is waiting.
            let now = self.shared.timer.now();
            let wake = self.watch.next_wake();
            if self.chunk.is_none() && wake.is_some_and(|wake| wake.at <= now) {
                self.watch.handle(now, Input::Tick);
            } else if !progress && self.poll_sleep(wake.map(|wake| wake.at), now, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the watch at once: the connection is closed when this returns.
    pub(crate) fn abort(&mut self) {
        self.abort = None;
        if self.watch.phase() == Phase::Ended {
            // It is over already; what it still has to say is handed out.
            return;
        }
        self.watch.handle(self.shared.timer.now(), Input::Abort);
        while let Some(action) = self.watch.poll_action() {
            self.carry_out(action);
        }
    }

    /// How the watch ended, with the transport's error if the end was due to one.
    pub(crate) fn take_end(&mut self) -> Option<(Result<CvmState, Failure>, Option<TransportError>)> {
        let end = self.end.take()?;
        // A rejection is the answer's, whatever became of its body.
        let trouble = self.trouble.take().filter(|_| !matches!(end, Err(Failure::Rejected(_))));
        Some((end, trouble))
    }

    fn carry_out(&mut self, action: Action) -> Option<Update> {
        let cvm = self.watch.config().id();
        match action {
            Action::Connect { attempt, request } => {
                debug!(%cvm, %attempt, base = %self.shared.base, request = request.path_and_query(), "connecting");
                let timeout = self.watch.config().connect_timeout();
                let request = Request::new(Arc::clone(&self.shared.base), request, timeout);
                self.trouble = None;
                self.connection = Connection::Opening(attempt, Box::pin(self.shared.transport.open(request)));
                Some(Update::Connecting { attempt: attempt.number() })
            }
            Action::Disconnect { attempt } => {
                debug!(%cvm, %attempt, "disconnecting");
                self.hang_up();
                None
            }
            Action::Emit { attempt, id, event } => {
                debug!(%cvm, %attempt, ?event, "event");
                Some(Update::Event { attempt: attempt.number(), id, event })
            }
            Action::Retrying { attempt, delay, cause } => {
                debug!(%cvm, %attempt, ?delay, %cause, "retrying");
                Some(Update::Retrying { attempt: attempt.number(), delay, cause })
            }
            Action::Resolve(state) => {
                debug!(%cvm, status = state.status, "resolved");
                self.end = Some(Ok(state));
                None
            }
            Action::Fail(failure) => {
                debug!(%cvm, %failure, "failed");
                self.end = Some(Err(failure));
                None
            }
            // A lone watch always has its permit.
            _ => None,
        }
    }

    /// Tells the core the next thing that the connection has to say.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(chunk) = &mut self.chunk {
            let bytes = chunk.bytes.as_ref();
            chunk.taken += self.watch.receive(self.shared.timer.now(), chunk.attempt, bytes, chunk.taken);
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
                        self.head(attempt, &head);
                    }
                    Err(error) => self.closed(attempt, error),
                }
            }
            Connection::Open(attempt, body) => {
                let attempt = *attempt;
                match ready!(body.as_mut().poll_chunk(cx)) {
                    Some(Ok(bytes)) => {
                        self.chunk = Some(Chunk { attempt, bytes, taken: 0 });
                        return self.poll_input(cx);
                    }
                    Some(Err(error)) => self.closed(attempt, error),
                    None => self.closed(attempt, CloseCause::Ended.into()),
                }
            }
        }
        Poll::Ready(())
    }

    fn head(&mut self, attempt: AttemptId, head: &Head) {
        debug!(cvm = %self.watch.config().id(), %attempt, status = head.status, "response");
        let mut response = ResponseHead::new(head.status);
        for (name, value) in &head.headers {
            response.header(name, value);
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| UnixSeconds(since.as_secs()));
        self.watch.handle(self.shared.timer.now(), Input::Head { attempt, head: response, wall });
    }

    fn closed(&mut self, attempt: AttemptId, error: TransportError) {
        let cause = error.cause();
        let source = std::error::Error::source(&error);
        debug!(cvm = %self.watch.config().id(), %attempt, %cause, source = source.map(tracing::field::display), "closed");
        self.trouble = Some(error);
        self.hang_up();
        self.watch.handle(self.shared.timer.now(), Input::Closed { attempt, cause });
    }

    fn hang_up(&mut self) {
        self.connection = Connection::None;
        self.chunk = None;
    }

    /// Sleeps until `wake`, or a while. Ready when the clock should be looked at again.
    fn poll_sleep(&mut self, wake: Option<Timestamp>, now: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        let Some(wake) = wake else { return Poll::Pending };
        let until = wake.min(now + LONGEST_SLEEP);
        // A sleep that ends too early only costs a look at the clock; one too late must go.
        let sleep = match &mut self.sleep {
            Some((ends, sleep)) if *ends <= until => sleep,
            sleep => &mut sleep.insert((until, Box::pin(self.shared.timer.sleep_until(until)))).1,
        };
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }
}
