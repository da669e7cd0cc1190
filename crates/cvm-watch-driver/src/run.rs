//! The loop that carries out the core's actions. It has no policy: what a status code or a delay
//! means is the core's business.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::collections::VecDeque;
use std::sync::Arc;

use cvm_watch_core::{CvmState, Input, Phase, Timestamp};

use crate::alarm::Alarm;
use crate::error::WatchError;
use crate::link::{Done, Link, Listener};
use crate::observed::ObservedWatch;
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::Update;

/// So many inputs are taken before the task lets others run: on a current-thread runtime the one
/// that holds the abort may be waiting.
pub(crate) const BUDGET: usize = 32;

/// Takes all that `next` has, for whoever waits for the end only. Events that are all ready would
/// never let others run, so the task waits for its next turn now and then.
pub(crate) fn poll_to_the_end<T>(
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

pub(crate) type Abort = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One watch being carried out.
pub(crate) struct Run<T: Transport, C: Timer> {
    watch: ObservedWatch,
    shared: Arc<Shared<T, C>>,
    link: Link<T>,
    alarm: Alarm<C>,
    abort: Option<Abort>,
    /// Whether the machine has slept and the core has not been told yet.
    has_slept: bool,
    /// What the caller has not been handed yet; nearly always nothing.
    updates: VecDeque<Update>,
    end: Option<Result<CvmState, WatchError>>,
}

impl<T: Transport, C: Timer> Run<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, watch: ObservedWatch, abort: Option<Abort>) -> Self {
        let alarm = Alarm::new(&shared.timer);
        Self { watch, shared, link: Link::new(), alarm, abort, has_slept: false, updates: VecDeque::new(), end: None }
    }

    /// The next update; `None` once the watch has ended.
    pub(crate) fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        let timer = &Arc::clone(&self.shared).timer;
        let mut now = timer.now();
        self.has_slept |= self.alarm.had_a_nap(timer, now);
        if self.has_slept && self.is_due(now) {
            // Too late for what came before the nap, but not because of anything that went wrong.
            self.watch.handle(now, Input::Resumed);
            self.has_slept = false;
        }
        for _ in 0..BUDGET {
            // An abort is heard before anything that was not handed out yet.
            if let Some(abort) = &mut self.abort
                && abort.as_mut().poll(cx).is_ready()
            {
                self.abort();
            }
            // 1. Drain the actions, all of them: however long the caller takes over an update, a
            // connection is closed, or asked for, when that was decided.
            let mut next = self.updates.pop_front();
            while let Some(action) = self.watch.poll_action() {
                match self.link.carry_out(&self.shared, self.watch.id(), self.watch.policy(), action) {
                    Done::Update(update) if next.is_none() => next = Some(update),
                    Done::Update(update) => self.updates.push_back(update),
                    Done::End(end) => self.end = Some(self.link.outcome(end)),
                    Done::Nothing => {}
                }
            }
            if next.is_some() {
                return Poll::Ready(next);
            }
            if self.end.is_some() {
                return Poll::Ready(None);
            }
            // 2. One input, if one is ready.
            let progress = self.link.poll_input(cx, timer, &mut self.watch).is_ready();
            // 3. Time, once no byte is waiting.
            if self.link.has_bytes() {
                continue;
            }
            now = timer.now();
            if self.is_due(now) {
                self.watch.handle(now, Input::Tick);
            } else if !progress {
                let wake = self.watch.next_wake().map(|wake| wake.at);
                if core::mem::take(&mut self.has_slept) {
                    self.watch.handle(now, Input::Resumed);
                } else if self.alarm.poll(timer, wake, now, cx).is_pending() {
                    return Poll::Pending;
                }
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
        self.updates.clear();
        self.watch.handle(self.shared.timer.now(), Input::Abort);
        while let Some(action) = self.watch.poll_action() {
            if let Done::End(end) = self.link.carry_out(&self.shared, self.watch.id(), self.watch.policy(), action) {
                self.end = Some(self.link.outcome(end));
            }
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.watch.next_wake().is_some_and(|wake| wake.at <= now)
    }

    /// How the watch ended.
    pub(crate) fn take_end(&mut self) -> Option<Result<CvmState, WatchError>> {
        self.end.take()
    }
}
