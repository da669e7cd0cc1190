//! The public interface of a watch: inputs in, actions out.

use alloc::sync::Arc;
use core::time::Duration;

use crate::action::{Action, Pending, Retrying};
use crate::cvm_id::CvmId;
use crate::error::RetryCause;
use crate::input::{AttemptId, Input};
use crate::judge::Verdict;
use crate::policy::Policy;
use crate::redact::Redactor;
use crate::state::{Context, Phase, State};
use crate::time::Timestamp;
use crate::timer::Wake;

/// A watch of one CVM until it reaches its target. It does no I/O and reads no clock: a driver reports inputs and
/// executes actions.
///
/// The crate's front page shows the run loop. Any order of calls is safe; an input that does not apply is ignored. A
/// `now` earlier than the last one counts as the last one.
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
    /// Its attempt is running; the connection is open or requested.
    Open,
    /// Its attempt has ended, and the `Disconnect` was not polled yet.
    Closing,
}

impl Watch {
    /// Makes a watch that begins at `now`. Its first action is a `Connect`.
    ///
    /// `seed` determines the jitter of the retry delays. Use a different one for each watch. The same seed and inputs
    /// give the same actions.
    pub fn new(policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp) -> Self {
        Self::start(policy, id, seed, now, false)
    }

    /// Makes a watch that shares connections with others. Before each `Connect` it asks for a permit
    /// ([`Action::AskPermit`]) and waits for [`Input::Permit`]; [`Input::Yield`] ends its time slice. A
    /// [`Fleet`](crate::Fleet) does this for many watches.
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

    /// Takes bytes of the attempt's body and returns how many were taken.
    ///
    /// It takes bytes up to the end of one event. Drain [`poll_action`](Self::poll_action), then pass the rest, until
    /// all are taken. It takes none while an event waits to be polled, so memory stays bounded however large a chunk
    /// is.
    #[must_use = "the rest of the bytes must be offered again"]
    pub fn receive(&mut self, now: Timestamp, attempt: AttemptId, bytes: &[u8]) -> usize {
        self.last_now = self.last_now.max(now);
        let cx = Context { policy: &self.policy, id: &self.id, now: self.last_now, out: &mut self.pending };
        self.state.receive(attempt, bytes, cx)
    }

    /// Takes all of these bytes and `execute`s every action in between: the loop around [`receive`](Self::receive) and
    /// [`poll_action`](Self::poll_action) for a driver without backpressure.
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

    /// Returns the next action. Call it until `None` after each input, and execute every action in this order.
    #[must_use = "an action that is not executed is lost"]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.pending.pop(&self.policy)
    }

    /// Returns when to send [`Input::Tick`] next; `None` if no timer runs. Each input may change it. The call is
    /// cheap.
    pub fn next_wake(&self) -> Option<Wake> {
        self.state.next_wake(&self.policy, &self.pending)
    }

    /// Returns the id of the CVM.
    pub fn id(&self) -> &CvmId {
        &self.id
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns a redactor for the policy's secrets and the credentials that were given, of which it keeps the last
    /// 288 that differ.
    pub fn redactor(&self) -> &Redactor {
        self.state.redactor(&self.policy)
    }

    /// Returns the current phase.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Returns how many attempts were started.
    pub fn attempts(&self) -> u64 {
        self.state.attempts()
    }

    /// Returns the verdict on the latest state of the current stream.
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

    /// Returns the delay after the server refused one more stream, until it was reported.
    pub(crate) fn refused_for(&self) -> Option<Duration> {
        match self.pending.retrying.as_deref() {
            Some(Retrying { delay, cause: RetryCause::TooManyStreams { .. }, .. }) => Some(*delay),
            _ => None,
        }
    }

    /// Returns the stream's last event id, as the server sent it; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        self.state.decoder().last_event_id()
    }
}

#[cfg(test)]
mod tests;
