//! The watch as a driver sees it: inputs in, actions out.

use alloc::sync::Arc;
use core::time::Duration;

use crate::action::{Action, Pending};
use crate::cvm_id::CvmId;
use crate::error::RetryCause;
use crate::input::{AttemptId, Input};
use crate::judge::Verdict;
use crate::policy::Policy;
use crate::state::{Context, Phase, State};
use crate::time::Timestamp;
use crate::timer::Wake;

/// Follows one CVM until it reaches its target. Does no I/O and reads no clock: inputs report what
/// happened, and actions are what to do.
///
/// The crate's front page shows the loop around it. Any order of calls is safe; what makes no
/// sense is ignored. A `now` that is older than the last one counts as the last one.
///
/// ```
/// use cvm_watch_core::{Action, CvmId, Input, Policy, Timestamp, Watch};
///
/// let policy = Policy::builder("running").build()?;
/// let mut watch = Watch::new(policy.into(), CvmId::new("my-cvm")?, 1, Timestamp::ZERO);
/// let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
/// assert_eq!(attempt.number(), 1);
///
/// watch.handle(Timestamp::from_secs(1), Input::Abort);
/// assert_eq!(watch.poll_action(), Some(Action::Disconnect { attempt }));
/// assert!(matches!(watch.poll_action(), Some(Action::Fail(_))));
/// assert_eq!(watch.poll_action(), None);
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    policy: Arc<Policy>,
    id: CvmId,
    state: State,
    pending: Pending,
    last_now: Timestamp,
}

/// Whether a watch has a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// It has none.
    None,
    /// Its attempt goes on; the connection is open or about to be.
    Open,
    /// Its attempt is over, and the `Disconnect` was not polled yet.
    Closing,
}

impl Watch {
    /// A watch that begins now: its first action is a `Connect`.
    ///
    /// `seed` picks the jitter of the retry delays. Give every watch another one; the same seed
    /// and inputs give the same actions.
    pub fn new(policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp) -> Self {
        Self::start(policy, id, seed, now, false)
    }

    /// A watch that shares connections with others: before each `Connect` it asks
    /// ([`Action::AskPermit`]) and waits for [`Input::Permit`]; [`Input::Yield`] ends its time slice.
    /// A [`Fleet`](crate::Fleet) does that for many watches.
    ///
    /// ```
    /// use cvm_watch_core::{Action, CvmId, Input, Policy, Timestamp, Watch};
    ///
    /// let policy = Policy::builder("running").build()?;
    /// let mut watch = Watch::with_permits(policy.into(), CvmId::new("my-cvm")?, 1, Timestamp::ZERO);
    /// assert_eq!(watch.poll_action(), Some(Action::AskPermit));
    /// watch.handle(Timestamp::ZERO, Input::Permit);
    /// assert!(matches!(watch.poll_action(), Some(Action::Connect { .. })));
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn with_permits(policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp) -> Self {
        Self::start(policy, id, seed, now, true)
    }

    fn start(policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp, permits_asked: bool) -> Self {
        let mut pending = Pending::default();
        let state = State::new(seed, permits_asked, Context { policy: &policy, id: &id, now, out: &mut pending });
        Self { policy, id, state, pending, last_now: now }
    }

    /// Reports what happened; then drain [`poll_action`](Self::poll_action).
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        self.last_now = self.last_now.max(now);
        let cx = Context { policy: &self.policy, id: &self.id, now: self.last_now, out: &mut self.pending };
        self.state.handle(input, cx);
    }

    /// Hands over bytes of the attempt's body, as they came, and returns how many were taken.
    ///
    /// It takes bytes up to the end of one event. Drain [`poll_action`](Self::poll_action), then
    /// offer the rest, until all are taken. While an event waits to be polled it takes none, so
    /// nothing piles up however much a chunk holds.
    #[must_use = "the rest of the bytes must be offered again"]
    pub fn receive(&mut self, now: Timestamp, attempt: AttemptId, bytes: &[u8]) -> usize {
        self.last_now = self.last_now.max(now);
        let cx = Context { policy: &self.policy, id: &self.id, now: self.last_now, out: &mut self.pending };
        self.state.receive(attempt, bytes, cx)
    }

    /// Hands over all of these bytes, and `execute`s every action on the way: the loop around
    /// [`receive`](Self::receive) and [`poll_action`](Self::poll_action) that a driver without
    /// backpressure needs.
    ///
    /// ```
    /// use cvm_watch_core::{Action, Input, Policy, ResponseHead, Timestamp, Watch};
    ///
    /// let policy = Policy::builder("running").build()?;
    /// let now = Timestamp::ZERO;
    /// let mut watch = Watch::new(policy.into(), "my-cvm".parse()?, 1, now);
    /// let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    /// watch.handle(now, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    ///
    /// let mut actions = Vec::new();
    /// let bytes = b"event: state\ndata: {\"status\":\"starting\"}\n\nevent: complete\ndata: {\"status\":\"running\"}\n\n";
    /// watch.receive_all(now, attempt, bytes, |action| actions.push(action));
    /// assert!(matches!(
    ///     actions[..],
    ///     [Action::Emit { .. }, Action::Emit { .. }, Action::Disconnect { .. }, Action::Resolve(_)]
    /// ));
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn receive_all(&mut self, now: Timestamp, attempt: AttemptId, bytes: &[u8], mut execute: impl FnMut(Action)) {
        let mut rest = bytes;
        loop {
            core::iter::from_fn(|| self.poll_action()).for_each(&mut execute);
            let taken = self.receive(now, attempt, rest);
            rest = rest.get(taken..).unwrap_or_default();
            if taken == 0 {
                return core::iter::from_fn(|| self.poll_action()).for_each(&mut execute);
            }
        }
    }

    /// The next thing to do. Call until `None` after each input, in this order, leaving out none.
    #[must_use = "an action that is not executed is lost"]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.pending.pop(&self.policy)
    }

    /// When to send [`Input::Tick`] next; `None` when there is nothing to wait for. It changes
    /// with each input, and costs next to nothing to ask.
    pub fn next_wake(&self) -> Option<Wake> {
        self.state.next_wake(&self.policy, &self.pending)
    }

    /// The CVM that is being watched.
    pub fn id(&self) -> &CvmId {
        &self.id
    }

    /// What it waits for, and by which rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The phase that it is in.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// How many attempts were started.
    pub fn attempts(&self) -> u64 {
        self.state.attempts()
    }

    /// The verdict on the latest state of the stream that is being read.
    pub(crate) fn latest(&self) -> Verdict {
        self.state.latest()
    }

    pub(crate) fn has_actions(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn connection(&self) -> Connection {
        if self.state.has_attempt() {
            Connection::Open
        } else if self.pending.disconnect.is_some() {
            Connection::Closing
        } else {
            Connection::None
        }
    }

    /// The delay after the server refused one more stream, until that was reported.
    pub(crate) fn refused_for(&self) -> Option<Duration> {
        match self.pending.retrying.as_deref() {
            Some((_, delay, RetryCause::TooManyStreams { .. })) => Some(*delay),
            _ => None,
        }
    }

    /// The stream's last event id, as the server sent it; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        self.state.decoder().last_event_id()
    }
}

#[cfg(test)]
mod tests;
