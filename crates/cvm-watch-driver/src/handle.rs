//! The common part of both handles: the plan that their setters change, the run that it becomes, and the outcomes.

use core::ops::ControlFlow;
use core::task::{Context, Poll, ready};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use cvm_watch_core::{ConfigError, CvmId, CvmState, Failure, Fleet, Policy, PolicyBuilder, Until, Watch};

use crate::callback::Callback;
use crate::error::WatchError;
use crate::membership::{Join, Membership, PoolUser};
use crate::observed::Observer;
use crate::run::{Abort, Run, poll_to_end};
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::{Report, Update};

pub(crate) type Outcome = Result<CvmState, WatchError>;

/// One watch or several of them: planned, running or ended.
pub(crate) struct Handle<T: Transport, C: Timer> {
    stage: Stage<T, C>,
    members: Vec<Member>,
    /// Members that were refused at the start and whose end was not reported yet, in reverse order.
    refused: Vec<usize>,
    pub(crate) on_event: Option<Callback>,
}

enum Stage<T: Transport, C: Timer> {
    Planned(Box<Plan<T, C>>),
    Alone(Box<Run<Watch, T, C>>),
    /// With the index of each member of the fleet: refused ids are not in it.
    Fleet(Box<Run<Fleet, T, C>>, Vec<usize>),
    Pooled(Box<Membership>),
    Ended,
    /// The outcomes were taken.
    Taken,
}

pub(crate) struct Plan<T, C> {
    shared: Arc<Shared<T, C>>,
    place: Place,
    policy: PolicyBuilder,
    pub(crate) seed: Option<u64>,
    pub(crate) abort: Option<Abort>,
    pub(crate) observer: Option<Observer>,
}

/// Where the watches are to run.
pub(crate) enum Place {
    Alone,
    Fleet { max_streams: usize, until: Until },
    Pool(PoolUser),
}

/// A CVM as the caller gave it, and how its watch has ended.
pub(crate) struct Member {
    id: String,
    outcome: Option<Box<Outcome>>,
}

impl<T: Transport, C: Timer> Handle<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, place: Place, ids: Vec<String>, target: String) -> Self {
        let policy = shared.settings.policy(target);
        let plan = Plan { shared, place, policy, seed: None, abort: None, observer: None };
        let members = ids.into_iter().map(|id| Member { id, outcome: None }).collect();
        Self { stage: Stage::Planned(Box::new(plan)), members, refused: Vec::new(), on_event: None }
    }

    /// Changes the plan, unless the watches have begun.
    pub(crate) fn plan(&mut self, change: impl FnOnce(&mut Plan<T, C>)) {
        if let Stage::Planned(plan) = &mut self.stage {
            change(plan);
        }
    }

    pub(crate) fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Update)>> {
        if let Stage::Planned(plan) = &mut self.stage {
            let (stage, refused) = plan.start(&mut self.members);
            self.stage = stage;
            self.refused = refused;
        }
        if let Some(index) = self.refused.pop() {
            return Poll::Ready(Some((index, Update::Ended)));
        }
        loop {
            let Some((index, report)) = ready!(self.stage.poll_report(cx)) else {
                if !matches!(self.stage, Stage::Taken) {
                    self.stage = Stage::Ended;
                }
                return Poll::Ready(None);
            };
            let Some(member) = self.members.get_mut(index) else { continue };
            let update = match report {
                Report::Update(update) => update,
                Report::Ended(outcome) => {
                    // A watch that its callback stopped has that outcome, not the abort that follows it.
                    member.outcome.get_or_insert_with(|| Box::new(outcome));
                    Update::Ended
                }
            };
            if let (Update::Event { event, .. }, Some(callback)) = (&update, &mut self.on_event)
                && let ControlFlow::Break(error) = callback(&member.id, event)
            {
                member.outcome = Some(Box::new(Err(WatchError::Stopped(error.into()))));
                self.stage.abort();
                continue;
            }
            return Poll::Ready(Some((index, update)));
        }
    }

    /// The id and outcome of each member, once all have ended.
    pub(crate) fn poll_outcomes(&mut self, cx: &mut Context<'_>) -> Poll<Vec<(String, Outcome)>> {
        self.poll_members(cx).map(|members| members.into_iter().map(Member::into_outcome).collect())
    }

    /// The outcome of the only member, once it has ended.
    pub(crate) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let aborted = || Err(Failure::Aborted.into());
        self.poll_members(cx).map(|mut members| members.pop().map_or_else(aborted, |member| member.into_outcome().1))
    }

    #[expect(clippy::panic, reason = "polling a future after its end is the caller's mistake, as everywhere")]
    fn poll_members(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Member>> {
        ready!(poll_to_end(cx, |cx| self.poll_update(cx)));
        if let Stage::Taken = core::mem::replace(&mut self.stage, Stage::Taken) {
            panic!("a future of this crate was polled after it was ready");
        }
        Poll::Ready(core::mem::take(&mut self.members))
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn id(&self, index: usize) -> Option<&str> {
        self.members.get(index).map(|member| member.id.as_str())
    }

    pub(crate) fn outcome(&self, index: usize) -> Option<&Outcome> {
        self.members.get(index)?.outcome.as_deref()
    }

    /// For `Debug`.
    pub(crate) fn stage(&self) -> &'static str {
        match &self.stage {
            Stage::Planned(_) => "planned",
            Stage::Alone(_) | Stage::Fleet(..) | Stage::Pooled(_) => "running",
            Stage::Ended | Stage::Taken => "ended",
        }
    }
}

impl Member {
    fn into_outcome(self) -> (String, Outcome) {
        let aborted = || Err(Failure::Aborted.into());
        (self.id, self.outcome.map_or_else(aborted, |outcome| *outcome))
    }
}

impl<T: Transport, C: Timer> Stage<T, C> {
    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Report)>> {
        match self {
            Self::Alone(run) => run.poll_report(cx).map(|report| Some((0, report?.1))),
            Self::Pooled(membership) => membership.poll_report(cx).map(|report| Some((0, report?))),
            Self::Fleet(run, indexes) => run.poll_report(cx).map(|report| {
                let (member, report) = report?;
                let at = usize::try_from(member.number()).ok()?;
                Some((*indexes.get(at)?, report))
            }),
            Self::Planned(_) | Self::Ended | Self::Taken => Poll::Ready(None),
        }
    }

    fn abort(&mut self) {
        match self {
            Self::Alone(run) => run.abort(None),
            Self::Fleet(run, _) => run.abort(None),
            Self::Pooled(membership) => membership.abort(),
            Self::Planned(_) | Self::Ended | Self::Taken => {}
        }
    }
}

impl<T: Transport, C: Timer> Plan<T, C> {
    pub(crate) fn configure(&mut self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) {
        self.policy = change(self.policy.clone());
    }

    pub(crate) fn set_max_streams(&mut self, streams: usize) {
        if let Place::Fleet { max_streams, .. } = &mut self.place {
            *max_streams = streams;
        }
    }

    pub(crate) fn set_until(&mut self, new: Until) {
        if let Place::Fleet { until, .. } = &mut self.place {
            *until = new;
        }
    }

    /// Begins the watches; also returns the indexes of those that were refused, in reverse order.
    fn start(&mut self, members: &mut [Member]) -> (Stage<T, C>, Vec<usize>) {
        let policy = self.check();
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for (index, member) in members.iter_mut().enumerate() {
            match policy.as_ref().map_err(Clone::clone).and_then(|_| CvmId::new(&member.id)) {
                Ok(id) => accepted.push((index, id)),
                Err(error) => {
                    member.outcome = Some(Box::new(Err(error.into())));
                    refused.push(index);
                }
            }
        }
        refused.reverse();
        let stage = policy.map(|policy| self.run(policy.into(), accepted));
        (stage.unwrap_or(Stage::Ended), refused)
    }

    fn check(&self) -> Result<Policy, ConfigError> {
        match &self.place {
            Place::Alone => {}
            Place::Fleet { max_streams, until } => drop(Fleet::new(*max_streams, *until)?),
            Place::Pool(pool) => drop(Fleet::new(pool.max_streams(), Until::All)?),
        }
        self.policy.clone().build()
    }

    fn run(&mut self, policy: Arc<Policy>, mut accepted: Vec<(usize, CvmId)>) -> Stage<T, C> {
        let shared = Arc::clone(&self.shared);
        let seed = self.seed.unwrap_or_else(|| random_seed(&shared.timer));
        let (abort, observer) = (self.abort.take(), self.observer.take());
        match &self.place {
            Place::Alone => accepted.pop().map_or(Stage::Ended, |(_, id)| {
                Stage::Alone(Box::new(Run::of_watch(shared, policy, id, seed, observer, abort)))
            }),
            Place::Pool(pool) => accepted.pop().map_or(Stage::Ended, |(_, id)| {
                let join = Join { policy, id, seed, observer };
                Stage::Pooled(Box::new(Membership::new(pool.clone(), join, abort)))
            }),
            Place::Fleet { max_streams, until } => {
                // They begin at the same moment, so that a deadline is the same for all.
                let now = shared.timer.now();
                let mut run = Run::of_fleet(shared, *max_streams, *until, observer, abort, "");
                let mut indexes = Vec::with_capacity(accepted.len());
                for (index, id) in accepted {
                    run.add(&policy, &id, seed.wrapping_add(index as u64), now, None);
                    indexes.push(index);
                }
                Stage::Fleet(Box::new(run), indexes)
            }
        }
    }
}

/// A random seed, from the keys of std's hasher. They are constant on wasm32-unknown-unknown, so the time is mixed in.
fn random_seed(timer: &impl Timer) -> u64 {
    let wall = timer.wall().map(|wall| wall.0);
    RandomState::new().hash_one((wall, timer.now().as_nanos()))
}
