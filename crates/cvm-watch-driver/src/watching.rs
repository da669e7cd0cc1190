//! The handle of a watch: set it up, then await it or read its updates.

use core::fmt;
use core::future::{Future, IntoFuture, poll_fn};
use core::ops::ControlFlow;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use cvm_watch_core::{Backoff, CvmId, CvmState, Event, PolicyBuilder};
use futures_core::Stream;

use crate::error::WatchError;
use crate::observed::{Observed, ObservedWatch, Observer};
use crate::run::{Abort, Run, poll_to_the_end};
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::Update;

type BoxError = Box<dyn Error + Send + Sync>;
type Callback = Box<dyn FnMut(&Event) -> ControlFlow<BoxError> + Send>;

/// A watch that was asked for. Await it for the [`CvmState`], or take its updates one by one: it
/// is a [`Stream`] of them, and after the last one awaiting it gives the outcome.
///
/// Nothing happens before that. Dropping it closes the connection. What is set after the first
/// poll has no effect.
#[must_use = "a watch does nothing unless it is awaited or polled"]
pub struct Watching<T: Transport, C: Timer> {
    stage: Stage<T, C>,
    on_event: Option<Callback>,
}

enum Stage<T: Transport, C: Timer> {
    Planned(Box<Plan<T, C>>),
    Running(Box<Run<T, C>>),
    Ended(Option<Box<Result<CvmState, WatchError>>>),
}

struct Plan<T, C> {
    shared: Arc<Shared<T, C>>,
    id: String,
    policy: PolicyBuilder,
    seed: Option<u64>,
    abort: Option<Abort>,
    observer: Option<Observer>,
}

impl<T: Transport, C: Timer> Watching<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, id: String, target: String) -> Self {
        let policy = shared.settings.policy(target);
        let plan = Plan { shared, id, policy, seed: None, abort: None, observer: None };
        Self { stage: Stage::Planned(Box::new(plan)), on_event: None }
    }

    /// How often the server looks at the CVM: whole seconds, 5 to 30; 5 by default.
    pub fn interval(self, interval: Duration) -> Self {
        self.configure(|policy| policy.interval(interval))
    }

    /// After how long the server ends one stream, upon which the watch reconnects: whole seconds,
    /// 10 to 600; 300 by default. To bound the whole watch use [`deadline`](Self::deadline).
    pub fn timeout(self, timeout: Duration) -> Self {
        self.configure(|policy| policy.timeout(timeout))
    }

    /// How many retries may follow the first attempt; no limit by default.
    pub fn max_retries(self, retries: u64) -> Self {
        self.configure(|policy| policy.max_retries(retries))
    }

    /// The exact delay before each retry, from zero. By default 5 seconds, or what the server
    /// asks for, with some jitter.
    pub fn retry_delay(self, delay: Duration) -> Self {
        self.configure(|policy| policy.retry_delay(delay))
    }

    /// Makes the delay grow with each loss in a row.
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.configure(|policy| policy.backoff(backoff))
    }

    /// How long an attempt may take until its response head is there; 30 seconds by default.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.configure(|policy| policy.connect_timeout(timeout))
    }

    /// How long a stream may stay silent; off by default.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.configure(|policy| policy.idle_timeout(timeout))
    }

    /// How long the whole watch may take, retries included; off by default.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.configure(|policy| policy.deadline(deadline))
    }

    /// Everything else that the core can be told; see [`PolicyBuilder`].
    pub fn configure(mut self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        if let Stage::Planned(plan) = &mut self.stage {
            plan.policy = change(plan.policy.clone());
        }
        self
    }

    /// What the jitter of the retry delays begins from; random by default. For tests.
    pub fn seed(mut self, seed: u64) -> Self {
        if let Stage::Planned(plan) = &mut self.stage {
            plan.seed = Some(seed);
        }
        self
    }

    /// Calls `callback` with each event of the server. It may return `()`, or a
    /// [`ControlFlow`]: `Break(error)` stops the watch with [`WatchError::Stopped`].
    pub fn on_event<F, V>(mut self, mut callback: F) -> Self
    where
        F: FnMut(&Event) -> V + Send + 'static,
        V: Verdict,
    {
        self.on_event = Some(Box::new(move |event| callback(event).verdict()));
        self
    }

    /// Ends the watch with [`Failure::Aborted`] as soon as `signal` ends, whatever it ends with.
    ///
    /// [`Failure::Aborted`]: cvm_watch_core::Failure::Aborted
    pub fn abort_on<F>(mut self, signal: F) -> Self
    where
        F: Future + Send + 'static,
    {
        if let Stage::Planned(plan) = &mut self.stage {
            plan.abort = Some(Box::pin(async move {
                signal.await;
            }));
        }
        self
    }

    /// Shows `observer` everything that the core is told and answers, in order, as it happens: what
    /// a recording needs. It sees secrets as they are.
    pub fn observe<F>(mut self, observer: F) -> Self
    where
        F: FnMut(Observed<'_>) + Send + 'static,
    {
        if let Stage::Planned(plan) = &mut self.stage {
            plan.observer = Some(Box::new(observer));
        }
        self
    }

    /// The next update; `None` when the watch has ended, and awaiting it tells how.
    pub fn next_update(&mut self) -> impl Future<Output = Option<Update>> + use<'_, T, C> {
        poll_fn(|cx| self.poll_update(cx))
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        let run = match &mut self.stage {
            Stage::Planned(plan) => match plan.start() {
                Ok(run) => {
                    self.stage = Stage::Running(Box::new(run));
                    return self.poll_update(cx);
                }
                Err(error) => return self.end(Err(error)),
            },
            Stage::Running(run) => run,
            Stage::Ended(_) => return Poll::Ready(None),
        };
        let update = ready!(run.poll_update(cx));
        match &update {
            Some(Update::Event { event, .. }) => {
                if let Some(callback) = &mut self.on_event
                    && let ControlFlow::Break(error) = callback(event)
                {
                    run.abort();
                    return self.end(Err(WatchError::Stopped(error)));
                }
                Poll::Ready(update)
            }
            Some(_) => Poll::Ready(update),
            None => {
                self.stage = Stage::Ended(run.take_end().map(Box::new));
                Poll::Ready(None)
            }
        }
    }

    fn end(&mut self, outcome: Result<CvmState, WatchError>) -> Poll<Option<Update>> {
        self.stage = Stage::Ended(Some(Box::new(outcome)));
        Poll::Ready(None)
    }
}

impl<T: Transport, C: Timer> Plan<T, C> {
    fn start(&mut self) -> Result<Run<T, C>, WatchError> {
        let id = CvmId::new(&self.id)?;
        let policy = self.policy.clone().build()?;
        // Std's hasher keys are random per process and differ from one to the next.
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let watch = ObservedWatch::new(policy.into(), id, seed, self.shared.timer.now(), self.observer.take());
        Ok(Run::new(Arc::clone(&self.shared), watch, self.abort.take()))
    }
}

impl<T: Transport, C: Timer> Stream for Watching<T, C> {
    type Item = Update;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.get_mut().poll_update(cx)
    }
}

impl<T: Transport, C: Timer> IntoFuture for Watching<T, C> {
    type Output = Result<CvmState, WatchError>;
    type IntoFuture = Outcome<T, C>;

    fn into_future(self) -> Outcome<T, C> {
        Outcome(self)
    }
}

/// How a watch ends: the future behind awaiting a [`Watching`].
pub struct Outcome<T: Transport, C: Timer>(Watching<T, C>);

impl<T: Transport, C: Timer> Future for Outcome<T, C> {
    type Output = Result<CvmState, WatchError>;

    #[expect(clippy::panic, reason = "a future that is polled after its end is the caller's mistake, as everywhere")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let watching = &mut self.get_mut().0;
        ready!(poll_to_the_end(cx, |cx| watching.poll_update(cx)));
        match &mut watching.stage {
            Stage::Ended(outcome) => match outcome.take() {
                Some(outcome) => Poll::Ready(*outcome),
                None => panic!("the outcome of a watch was polled after it was given"),
            },
            Stage::Planned(_) | Stage::Running(_) => Poll::Pending,
        }
    }
}

/// What an event callback may return: `()` to go on, or a [`ControlFlow`].
pub trait Verdict {
    /// `Break` stops the watch.
    fn verdict(self) -> ControlFlow<BoxError>;
}

impl Verdict for () {
    fn verdict(self) -> ControlFlow<BoxError> {
        ControlFlow::Continue(())
    }
}

impl<E: Into<BoxError>> Verdict for ControlFlow<E> {
    fn verdict(self) -> ControlFlow<BoxError> {
        match self {
            Self::Continue(()) => ControlFlow::Continue(()),
            Self::Break(error) => ControlFlow::Break(error.into()),
        }
    }
}

impl<T: Transport, C: Timer> fmt::Debug for Watching<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Planned(_) => "planned",
            Stage::Running(_) => "running",
            Stage::Ended(_) => "ended",
        };
        f.debug_struct("Watching").field("stage", &stage).finish_non_exhaustive()
    }
}

impl<T: Transport, C: Timer> fmt::Debug for Outcome<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outcome").field(&self.0).finish()
    }
}
