//! The loop for many watches: the same steps as for one, for whichever connection has something to
//! say.

use core::task::{Context, Poll, Waker};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use cvm_watch_core::{AttemptId, ConfigError, CvmId, CvmState, Fleet, Input, MemberId, Policy, Timestamp};

use crate::alarm::Alarm;
use crate::error::WatchError;
use crate::link::{Done, Link, Listener};
use crate::run::{Abort, BUDGET};
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::Update;
use crate::woken::{Wakeup, Woken};

/// A fleet being carried out.
pub(crate) struct FleetRun<T: Transport, C: Timer> {
    fleet: Fleet,
    shared: Arc<Shared<T, C>>,
    /// One for each member of the fleet, in their order.
    lines: Vec<Line<T>>,
    /// Those that never became members.
    refused: usize,
    /// What the caller has not been handed yet.
    news: VecDeque<(usize, News)>,
    woken: Arc<Woken>,
    alarm: Alarm<C>,
    abort: Option<Abort>,
    /// Whether the machine has slept and the core has not been told yet.
    has_slept: bool,
    /// Of the connections that were ready when a timer came due, how many have not been asked yet.
    before_tick: Option<usize>,
}

struct Line<T: Transport> {
    /// Its number to the caller, who counts the refused ones too.
    index: usize,
    id: MemberId,
    link: Link<T>,
    waker: Waker,
}

/// What happened to a member.
pub(crate) enum News {
    Update(Update),
    Ended(Result<CvmState, WatchError>),
}

impl<T: Transport, C: Timer> FleetRun<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, fleet: Fleet, abort: Option<Abort>) -> Self {
        let alarm = Alarm::new(&shared.timer);
        Self {
            fleet,
            shared,
            lines: Vec::new(),
            refused: 0,
            news: VecDeque::new(),
            woken: Arc::default(),
            alarm,
            abort,
            has_slept: false,
            before_tick: None,
        }
    }

    /// Adds the next watch, which begins now, or what is wrong with it.
    pub(crate) fn add(&mut self, watch: Result<(Arc<Policy>, CvmId), ConfigError>, seed: u64, now: Timestamp) {
        let index = self.lines.len() + self.refused;
        let (policy, cvm) = match watch {
            Ok(watch) => watch,
            Err(error) => {
                self.refused += 1;
                return self.news.push_back((index, News::Ended(Err(error.into()))));
            }
        };
        let id = self.fleet.add(policy, cvm, seed, now);
        let waker = Wakeup::waker(self.lines.len(), &self.woken);
        self.lines.push(Line { index, id, link: Link::new(), waker });
    }

    /// The next news, and of which member, counted from 0; `None` once all have ended.
    pub(crate) fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, News)>> {
        self.woken.wake_also(cx.waker());
        let mut now = self.shared.timer.now();
        self.has_slept |= self.alarm.had_a_nap(&self.shared.timer, now);
        if self.has_slept && self.wake().is_some_and(|wake| wake <= now) {
            // Too late for what came before the nap, but not because of anything that went wrong.
            self.fleet.resumed(now);
            self.has_slept = false;
        }
        for _ in 0..BUDGET {
            if let Some(abort) = &mut self.abort
                && abort.as_mut().poll(cx).is_ready()
            {
                self.abort();
            }
            // 1. Drain the actions, all of them: however long the caller takes over some news, a
            // connection is closed, or asked for, when that was decided.
            self.carry_out();
            if let Some(news) = self.news.pop_front() {
                return Poll::Ready(Some(news));
            }
            if self.fleet.unfinished() == 0 {
                return Poll::Ready(None);
            }
            // 2. One input, of one connection that has something to say.
            let asked = self.poll_input();
            // 3. Time, once every connection that was ready by then has been asked.
            now = self.shared.timer.now();
            let wake = self.wake();
            let is_due = wake.is_some_and(|wake| wake <= now);
            let left = self.before_tick.filter(|_| is_due).unwrap_or_else(|| self.woken.count());
            self.before_tick = is_due.then_some(left);
            if is_due && (!asked || left == 0) {
                self.before_tick = None;
                self.fleet.tick(now);
            } else if !asked && core::mem::take(&mut self.has_slept) {
                self.fleet.resumed(now);
            } else if !asked && self.alarm.poll(&self.shared.timer, wake, now, cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn wake(&self) -> Option<Timestamp> {
        self.fleet.next_wake().map(|wake| wake.at)
    }

    /// Ends every watch: no connection is open when this returns.
    pub(crate) fn abort(&mut self) {
        self.abort = None;
        let ended = |(index, news): &(usize, News)| matches!(news, News::Ended(_)).then_some(*index);
        let ended: HashSet<usize> = self.news.iter().filter_map(ended).collect();
        // What one that has ended still has to say is handed out.
        self.news.retain(|(index, _)| ended.contains(index));
        self.fleet.abort(self.shared.timer.now());
        // Each member's connection is closed first; how each ended is still to be handed out.
        for line in &mut self.lines {
            line.link.hang_up();
        }
    }

    fn carry_out(&mut self) {
        while let Some((member, action)) = self.fleet.poll_action() {
            let place = usize::try_from(member.number()).unwrap_or(usize::MAX);
            let (Some(line), Some(watch)) = (self.lines.get_mut(place), self.fleet.watch(member)) else { continue };
            match line.link.carry_out(&self.shared, watch.id(), watch.policy(), action) {
                Done::Update(update) => {
                    if let Update::Connecting { .. } = update {
                        self.woken.add(place);
                    }
                    self.news.push_back((line.index, News::Update(update)));
                }
                Done::End(end) => self.news.push_back((line.index, News::Ended(line.link.outcome(end)))),
                Done::Nothing => {}
            }
        }
    }

    /// Asks the connection that was woken first. False if none was.
    fn poll_input(&mut self) -> bool {
        let Some(index) = self.woken.take_first() else { return false };
        let Some(line) = self.lines.get_mut(index) else { return true };
        let mut member = Member { fleet: &mut self.fleet, id: line.id };
        let cx = &mut Context::from_waker(&line.waker);
        let said_something = line.link.poll_input(cx, &self.shared.timer, &mut member);
        if line.link.has_bytes() {
            // What is left of a chunk is older than whatever the others have.
            self.woken.add_first(index);
            return true;
        }
        if said_something.is_ready() {
            self.woken.add(index);
        }
        self.before_tick = self.before_tick.map(|left| left.saturating_sub(1));
        true
    }
}

/// One member as a connection sees it.
struct Member<'a> {
    fleet: &'a mut Fleet,
    id: MemberId,
}

impl Listener for Member<'_> {
    fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        self.fleet.handle(now, self.id, input);
    }

    fn receive(&mut self, now: Timestamp, attempt: AttemptId, chunk: &[u8], from: usize) -> usize {
        self.fleet.receive(now, self.id, attempt, chunk.get(from..).unwrap_or_default())
    }

    fn cvm(&self) -> Option<&CvmId> {
        Some(self.fleet.watch(self.id)?.id())
    }
}
