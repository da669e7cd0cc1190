//! The loop that executes the core's actions, for one watch and for a fleet. It contains no policy:
//! what a status code or a delay means is decided in the core.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use cvm_watch_core::{Action, CvmId, Fleet, Input, MemberId, Phase, Policy, Timestamp, Until, Watch};

use crate::connection::Connection;
use crate::engine::{ALONE, Engine};
use crate::observed::{Observable, Observer};
use crate::ready::{ConnectionWaker, ReadyQueue};
use crate::shared::Shared;
use crate::sleep::SleepUntil;
use crate::transport::{Timer, Transport};
use crate::update::Report;

/// The fairness budget: how many inputs are handled before the task yields to others.
const BUDGET: usize = 32;

/// Takes items until there are no more, for callers that need only the end. Yields regularly, since items that are
/// always ready would starve other tasks.
pub(crate) fn poll_to_end<T>(
    cx: &mut Context<'_>,
    mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<T>>,
) -> Poll<()> {
    for _ in 0..=BUDGET {
        if ready!(next(cx)).is_none() {
            return Poll::Ready(());
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// A future that aborts when it ends.
pub(crate) type Abort = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An engine, its connections and its timer.
pub(crate) struct Run<E, T: Transport, C: Timer> {
    engine: Observable<E>,
    shared: Arc<Shared<T, C>>,
    /// Sorted by member.
    members: Vec<Member<T>>,
    ready: Arc<ReadyQueue>,
    sleep: SleepUntil<C>,
    abort: Option<Abort>,
    /// The machine was suspended, and that was not reported to the core yet.
    was_suspended: bool,
    /// While a timer is due: how many of the connections that were ready then are still to be polled.
    before_tick: Option<usize>,
    /// Members whose streams are not read, because their callers have not taken a report.
    paused: BTreeSet<MemberId>,
    /// Reports that the caller has not taken; usually none.
    reports: VecDeque<(MemberId, Report)>,
}

struct Member<T: Transport> {
    id: MemberId,
    connection: Connection<T>,
    waker: Waker,
    /// The same, as the ready queue holds it.
    entry: Arc<ConnectionWaker>,
}

impl<E: Engine, T: Transport, C: Timer> Run<E, T, C> {
    fn new(shared: Arc<Shared<T, C>>, engine: Observable<E>, abort: Option<Abort>) -> Self {
        Self {
            engine,
            members: Vec::new(),
            ready: Arc::default(),
            sleep: SleepUntil::new(&shared.timer),
            shared,
            abort,
            was_suspended: false,
            before_tick: None,
            paused: BTreeSet::new(),
            reports: VecDeque::new(),
        }
    }

    /// Returns the next report; `None` while every watch has ended.
    pub(crate) fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<(MemberId, Report)>> {
        let mut began = Some(self.begin_poll(cx));
        for _ in 0..BUDGET {
            if let Some(abort) = &mut self.abort
                && abort.as_mut().poll(cx).is_ready()
            {
                self.abort(None);
            }
            if let Some(report) = self.execute() {
                return Poll::Ready(Some(report));
            }
            if self.engine.has_ended() {
                return Poll::Ready(None);
            }
            let began = began.take();
            let handled_at = self.poll_input();
            let handled = handled_at.is_some();
            let ready = self.ready.len();
            // A reading of the clock costs as much as decoding an event, so one of this iteration is used again.
            let now = handled_at.or(began).unwrap_or_else(|| self.shared.timer.now());
            if self.is_tick_due(now, handled, ready) {
                let wake = self.engine.next_wake().unwrap_or(now);
                if self.sleep.poll_catch_up(&self.shared.timer, wake, now, cx).is_ready() {
                    self.tick(now);
                } else if !handled && ready == 0 {
                    return Poll::Pending;
                }
            } else if handled || ready > 0 {
                // Read everything that is ready before the task sleeps.
            } else if core::mem::take(&mut self.was_suspended) {
                self.engine.handle(now, None, Input::Resumed);
            } else {
                let wake = self.engine.next_wake();
                ready!(self.sleep.poll(&self.shared.timer, wake, now, cx));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns the time.
    fn begin_poll(&mut self, cx: &mut Context<'_>) -> Timestamp {
        // A single connection is always polled: it costs nothing, and supports transports that wake the task instead
        // of the connection's waker.
        let alone = if let [only] = self.members.as_slice() { Some(&only.entry) } else { None };
        self.ready.register(cx.waker(), alone);
        let now = self.shared.timer.now();
        self.was_suspended |= self.sleep.was_suspended(&self.shared.timer, now);
        if self.was_suspended && self.is_due(now) {
            // Deadlines that passed during system sleep are not failures.
            self.engine.handle(now, None, Input::Resumed);
            self.was_suspended = false;
        }
        now
    }

    /// Executes all actions, even if the caller does not take the reports, so that connections are closed and opened
    /// in time. Returns the first report.
    fn execute(&mut self) -> Option<(MemberId, Report)> {
        let mut first = self.reports.pop_front();
        while let Some((id, action)) = self.engine.poll_action() {
            let Some(member) = find(&mut self.members, id) else { continue };
            let Some(watch) = self.engine.watch(id) else { continue };
            if let Action::Connect { .. } | Action::AskCredential { .. } = action {
                self.ready.push_back(&member.entry);
            }
            let Some(report) = member.connection.execute(&self.shared, watch, action) else { continue };
            if first.is_none() {
                first = Some((id, report));
            } else {
                self.reports.push_back((id, report));
            }
        }
        first
    }

    /// Polls the connection that was woken first. Returns when its input was handled, if it had one.
    fn poll_input(&mut self) -> Option<Timestamp> {
        let id = self.ready.pop()?;
        let (handled, has_bytes) = if self.is_held_back(id) { (None, false) } else { self.poll_connection(id) };
        if !has_bytes {
            self.before_tick = self.before_tick.map(|left| left.saturating_sub(1));
        }
        handled
    }

    /// Returns whether a member's stream is not read at the moment. A response head and the body of an error are
    /// always read.
    fn is_held_back(&self, id: MemberId) -> bool {
        let is_streaming = |watch: &Watch| watch.phase() == Phase::Streaming;
        self.paused.contains(&id) && self.engine.watch(id).is_some_and(is_streaming)
    }

    /// Polls a connection for one input. Returns when it was handled, if there was one, and whether a part of it is
    /// left.
    fn poll_connection(&mut self, id: MemberId) -> (Option<Timestamp>, bool) {
        let Some(member) = find(&mut self.members, id) else { return (None, false) };
        let cx = &mut Context::from_waker(&member.waker);
        let handled = match member.connection.poll_input(cx, &self.shared.timer, &mut self.engine, id) {
            Poll::Ready(at) => Some(at),
            Poll::Pending => None,
        };
        let has_bytes = member.connection.has_bytes();
        if has_bytes {
            // The rest of a chunk arrived before the input of other connections.
            self.ready.push_front(&member.entry);
        } else if handled.is_some() {
            self.ready.push_back(&member.entry);
        }
        (handled, has_bytes)
    }

    /// Returns whether a timer is due and every connection that was ready by then was polled.
    fn is_tick_due(&mut self, now: Timestamp, handled: bool, ready: usize) -> bool {
        if !self.is_due(now) {
            self.before_tick = None;
            self.sleep.end_catch_up();
            return false;
        }
        let left = *self.before_tick.get_or_insert(ready);
        let is_tick_due = left == 0 || ready == 0 && !handled;
        if is_tick_due {
            self.before_tick = None;
        }
        is_tick_due
    }

    fn tick(&mut self, now: Timestamp) {
        // Bytes that wait for a slow caller prove that the server is alive, so some are read before this member's
        // timers are checked.
        let is_due =
            |id: &MemberId| self.engine.watch(*id).and_then(Watch::next_wake).is_some_and(|wake| wake.at <= now);
        let due: Vec<_> = self.paused.iter().copied().filter(is_due).collect();
        for id in due {
            self.poll_connection(id);
        }
        self.engine.handle(now, None, Input::Tick);
    }

    /// Ends a member's watch, or every watch. Their connections are closed when this returns.
    pub(crate) fn abort(&mut self, member: Option<MemberId>) {
        if member.is_none() {
            self.abort = None;
        }
        // Reports of an ended watch are still delivered.
        let has_ended = |id| self.engine.watch(id).is_none_or(|watch| watch.phase() == Phase::Ended);
        self.reports.retain(|(id, _)| has_ended(*id) || member.is_some_and(|member| member != *id));
        self.engine.handle(self.shared.timer.now(), member, Input::Abort);
        if let Some(report) = self.execute() {
            self.reports.push_front(report);
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.engine.next_wake().is_some_and(|wake| wake <= now)
    }

    fn open_member(&mut self, id: MemberId) {
        let entry = self.ready.waker(id);
        let waker = Waker::from(Arc::clone(&entry));
        // A watch outside a fleet needs no room for others.
        self.members.reserve_exact(usize::from(self.members.is_empty()));
        self.members.push(Member { id, connection: Connection::new(), waker, entry });
    }
}

impl<T: Transport, C: Timer> Run<Watch, T, C> {
    pub(crate) fn of_watch(
        shared: Arc<Shared<T, C>>,
        policy: Arc<Policy>,
        id: CvmId,
        seed: u64,
        observer: Option<Observer>,
        abort: Option<Abort>,
    ) -> Self {
        let observers = observer.into_iter().chain(meter(""));
        let engine = Observable::watch_of(policy, id, seed, shared.timer.now(), observers);
        let mut run = Self::new(shared, engine, abort);
        run.open_member(ALONE);
        run
    }
}

impl<T: Transport, C: Timer> Run<Fleet, T, C> {
    pub(crate) fn of_fleet(
        shared: Arc<Shared<T, C>>,
        max_streams: usize,
        until: Until,
        observer: Option<Observer>,
        abort: Option<Abort>,
        pool: &str,
    ) -> Self {
        let observers = observer.into_iter().chain(meter(pool));
        Self::new(shared, Observable::fleet(max_streams, until, observers), abort)
    }

    /// Adds a watch, which begins at `now`.
    pub(crate) fn add(
        &mut self,
        policy: &Arc<Policy>,
        id: &CvmId,
        seed: u64,
        now: Timestamp,
        observer: Option<Observer>,
    ) -> MemberId {
        let member = self.engine.add(policy, id, seed, now, observer);
        self.open_member(member);
        member
    }

    /// Removes a member that has ended.
    pub(crate) fn remove(&mut self, id: MemberId) {
        self.engine.remove(id);
        self.paused.remove(&id);
        self.members.retain(|member| member.id != id);
    }

    /// Pauses a member until its caller has taken the reports: its stream is not read, and it gets no further slot.
    pub(crate) fn set_paused(&mut self, id: MemberId, paused: bool) {
        if paused {
            self.paused.insert(id);
        } else {
            self.paused.remove(&id);
            if let Some(member) = find(&mut self.members, id) {
                self.ready.push_back(&member.entry);
            }
        }
        self.engine.set_paused(self.shared.timer.now(), id, paused);
    }
}

/// Counts what an engine does; `pool` is a label.
#[cfg(feature = "metrics")]
fn meter(pool: &str) -> Option<Observer> {
    let mut meter = crate::metrics::Meter::new(pool.to_owned().into());
    Some(Box::new(move |observed| meter.observe(observed)))
}

#[cfg(not(feature = "metrics"))]
fn meter(_: &str) -> Option<Observer> {
    None
}

fn find<T: Transport>(members: &mut [Member<T>], id: MemberId) -> Option<&mut Member<T>> {
    let at = members.binary_search_by_key(&id, |member| member.id).ok()?;
    members.get_mut(at)
}
