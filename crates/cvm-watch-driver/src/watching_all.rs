//! The handle of many watches that share a few connections.

use core::fmt;
use core::future::{Future, IntoFuture, poll_fn};
use core::ops::ControlFlow;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use cvm_watch_core::{CvmId, CvmState, Event, Failure, Fleet, PolicyBuilder, Until};
use futures_core::Stream;

use crate::error::WatchError;
use crate::fleet_run::{FleetRun, News};
use crate::run::{Abort, poll_to_the_end};
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::Update;
use crate::watching::Verdict;

type BoxError = Box<dyn Error + Send + Sync>;
type Callback = Box<dyn FnMut(&str, &Event) -> ControlFlow<BoxError> + Send>;

/// Watches of many CVMs that were asked for, over a few connections at once
/// ([`Client::watch_all`](crate::Client::watch_all)). Await it for the outcome of each, or take its
/// updates one by one: it is a [`Stream`] of them, and awaiting it afterwards gives the outcomes.
///
/// Nothing happens before that. Dropping it closes every connection. What is set after the first
/// poll has no effect.
#[must_use = "watches do nothing unless they are awaited or polled"]
pub struct WatchingAll<T: Transport, C: Timer> {
    stage: Stage<T, C>,
    members: Vec<Member>,
    on_event: Option<Callback>,
}

enum Stage<T: Transport, C: Timer> {
    Planned(Box<Plan<T, C>>),
    Running(Box<FleetRun<T, C>>),
    Ended,
}

struct Plan<T, C> {
    shared: Arc<Shared<T, C>>,
    policy: PolicyBuilder,
    ids: Vec<String>,
    max_streams: usize,
    until: Until,
    seed: Option<u64>,
    abort: Option<Abort>,
}

struct Member {
    id: String,
    outcome: Option<Result<CvmState, WatchError>>,
}

/// What happened to one of many watches.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MemberUpdate {
    /// Its watch goes on.
    Update {
        /// Which one, in the order in which the ids were given, from 0.
        index: usize,
        /// What happened.
        update: Update,
    },
    /// It has ended: [`WatchingAll::outcome`] tells how.
    Ended {
        /// Which one, in the order in which the ids were given, from 0.
        index: usize,
    },
}

impl<T: Transport, C: Timer> WatchingAll<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, ids: Vec<String>, target: &str) -> Self {
        let policy = shared.settings.policy(target);
        let plan = Plan {
            shared,
            policy,
            ids: ids.clone(),
            max_streams: Fleet::DEFAULT_MAX_STREAMS,
            until: Until::All,
            seed: None,
            abort: None,
        };
        let members = ids.into_iter().map(|id| Member { id, outcome: None }).collect();
        Self { stage: Stage::Planned(Box::new(plan)), members, on_event: None }
    }

    /// How many event streams may be open at once, at least 1; 4 by default. The endpoint allows a
    /// user 5, one of which is left for other tools.
    pub fn max_streams(self, streams: usize) -> Self {
        self.plan(|plan| plan.max_streams = streams)
    }

    /// Whether to wait for all, as by default, or for any: the others are aborted when one has
    /// reached its target.
    pub fn until(self, until: Until) -> Self {
        self.plan(|plan| plan.until = until)
    }

    /// Sets what the core can be told, for every watch alike; see [`PolicyBuilder`]. A
    /// [`deadline`](PolicyBuilder::deadline) is one for all of them: they begin together.
    pub fn configure(self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Self {
        self.plan(|plan| plan.policy = change(plan.policy.clone()))
    }

    /// What the jitter of the retry delays begins from; random by default. For tests.
    pub fn seed(self, seed: u64) -> Self {
        self.plan(|plan| plan.seed = Some(seed))
    }

    /// Calls `callback` with the id, as it was given, and each event of the server. It may return
    /// `()`, or a [`ControlFlow`]: `Break(error)` stops that watch with [`WatchError::Stopped`] and
    /// aborts the others.
    pub fn on_event<F, V>(mut self, mut callback: F) -> Self
    where
        F: FnMut(&str, &Event) -> V + Send + 'static,
        V: Verdict,
    {
        self.on_event = Some(Box::new(move |id, event| callback(id, event).verdict()));
        self
    }

    /// Ends every watch that has not ended with [`Failure::Aborted`] as soon as `signal` ends,
    /// whatever it ends with.
    ///
    /// [`Failure::Aborted`]: cvm_watch_core::Failure::Aborted
    pub fn abort_on<F>(self, signal: F) -> Self
    where
        F: Future + Send + 'static,
    {
        self.plan(|plan| {
            plan.abort = Some(Box::pin(async move {
                signal.await;
            }));
        })
    }

    /// The next update; `None` when all have ended.
    pub fn next_update(&mut self) -> impl Future<Output = Option<MemberUpdate>> + use<'_, T, C> {
        poll_fn(|cx| self.poll_update(cx))
    }

    /// How many CVMs are watched.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no CVM is watched at all: then it ends at once.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The id of one, as it was given; they are counted from 0.
    pub fn id(&self, index: usize) -> Option<&str> {
        self.members.get(index).map(|member| member.id.as_str())
    }

    /// How one has ended, if it has.
    pub fn outcome(&self, index: usize) -> Option<&Result<CvmState, WatchError>> {
        self.members.get(index)?.outcome.as_ref()
    }

    fn plan(mut self, change: impl FnOnce(&mut Plan<T, C>)) -> Self {
        if let Stage::Planned(plan) = &mut self.stage {
            change(plan);
        }
        self
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<MemberUpdate>> {
        let run = match &mut self.stage {
            Stage::Planned(plan) => {
                self.stage = Stage::Running(Box::new(plan.start()));
                return self.poll_update(cx);
            }
            Stage::Running(run) => run,
            Stage::Ended => return Poll::Ready(None),
        };
        let Some((index, news)) = ready!(run.poll_news(cx)) else {
            self.stage = Stage::Ended;
            return Poll::Ready(None);
        };
        let Some(member) = self.members.get_mut(index) else { return Poll::Ready(None) };
        match news {
            News::Update(update) => {
                if let (Update::Event { event, .. }, Some(callback)) = (&update, &mut self.on_event)
                    && let ControlFlow::Break(error) = callback(&member.id, event)
                {
                    // Its own end, which the abort brings, comes too late to count.
                    member.outcome = Some(Err(WatchError::Stopped(error)));
                    run.abort();
                    return self.poll_update(cx);
                }
                Poll::Ready(Some(MemberUpdate::Update { index, update }))
            }
            News::Ended(outcome) => {
                member.outcome.get_or_insert(outcome);
                Poll::Ready(Some(MemberUpdate::Ended { index }))
            }
        }
    }
}

impl<T: Transport, C: Timer> Plan<T, C> {
    fn start(&mut self) -> FleetRun<T, C> {
        let fleet = Fleet::new(self.max_streams, self.until);
        let policy = match &fleet {
            Ok(_) => self.policy.clone().build().map(Arc::new),
            Err(error) => Err(error.clone()),
        };
        let mut run = FleetRun::new(Arc::clone(&self.shared), fleet.unwrap_or_default(), self.abort.take());
        // Std's hasher keys are random per process and differ from one to the next.
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        // They begin together, so that one deadline is one moment.
        let now = self.shared.timer.now();
        for (number, id) in (0..).zip(&self.ids) {
            let watch = CvmId::new(id).and_then(|id| Ok((policy.clone()?, id)));
            run.add(watch, seed.wrapping_add(number), now);
        }
        run
    }
}

impl<T: Transport, C: Timer> Stream for WatchingAll<T, C> {
    type Item = MemberUpdate;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<MemberUpdate>> {
        self.get_mut().poll_update(cx)
    }
}

impl<T: Transport, C: Timer> IntoFuture for WatchingAll<T, C> {
    type Output = Vec<(String, Result<CvmState, WatchError>)>;
    type IntoFuture = Outcomes<T, C>;

    fn into_future(self) -> Outcomes<T, C> {
        Outcomes(Some(self))
    }
}

/// How many watches end, each with its id: the future behind awaiting a [`WatchingAll`].
pub struct Outcomes<T: Transport, C: Timer>(Option<WatchingAll<T, C>>);

impl<T: Transport, C: Timer> Future for Outcomes<T, C> {
    type Output = Vec<(String, Result<CvmState, WatchError>)>;

    #[expect(clippy::panic, reason = "a future that is polled after its end is the caller's mistake, as everywhere")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = &mut self.get_mut().0;
        let Some(watching) = slot else { panic!("the outcomes of watches were polled after they were given") };
        ready!(poll_to_the_end(cx, |cx| watching.poll_update(cx)));
        let members = slot.take().map(|watching| watching.members).unwrap_or_default();
        Poll::Ready(members.into_iter().map(Member::into_outcome).collect())
    }
}

impl Member {
    /// Once all have ended.
    fn into_outcome(self) -> (String, Result<CvmState, WatchError>) {
        let aborted = || Err(WatchError::Failed { failure: Box::new(Failure::Aborted), source: None });
        (self.id, self.outcome.unwrap_or_else(aborted))
    }
}

impl<T: Transport, C: Timer> fmt::Debug for WatchingAll<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Planned(_) => "planned",
            Stage::Running(_) => "running",
            Stage::Ended => "ended",
        };
        f.debug_struct("WatchingAll").field("stage", &stage).field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<T: Transport, C: Timer> fmt::Debug for Outcomes<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outcomes").field(&self.0).finish()
    }
}
