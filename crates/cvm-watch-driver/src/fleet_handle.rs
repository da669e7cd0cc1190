//! The handle of several watches that share slots.

use core::fmt;
use core::future::{Future, IntoFuture, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use cvm_watch_core::{CvmState, Event, Fleet, MemberId, Until};
use futures_core::Stream;

use crate::callback::CallbackResult;
use crate::error::WatchError;
use crate::handle::{Handle, Place};
use crate::setters::setters;
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::Update;

/// Watches of several CVMs over a few streams at once, made by
/// [`Client::watch_all`](crate::Client::watch_all). Await it for the outcome of each, or read it as a
/// [`Stream`] of the [`Update`]s of all.
///
/// A member is numbered by its place in the given ids, from 0. Settings apply to every watch; a
/// [`deadline`](Self::deadline) is one moment for all, because they begin together.
///
/// Nothing happens before the first poll, and settings changed after it have no effect. Dropping the handle closes
/// every connection. It is as cancel safe as [`WatchHandle`](crate::WatchHandle).
#[must_use = "watches do nothing unless they are awaited or polled"]
pub struct FleetHandle<T: Transport, C: Timer> {
    handle: Handle<T, C>,
}

impl<T: Transport, C: Timer> FleetHandle<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, ids: Vec<String>, target: String) -> Self {
        let place = Place::Fleet { max_streams: Fleet::DEFAULT_MAX_STREAMS, until: Until::All };
        Self { handle: Handle::new(shared, place, ids, target) }
    }

    /// How many event streams may be open at once: at least 1, 4 by default. The endpoint allows a
    /// user 5, of which one is left for other programs. With 0, each watch is refused.
    pub fn max_streams(mut self, streams: usize) -> Self {
        self.handle.plan(|plan| plan.set_max_streams(streams));
        self
    }

    /// Whether to wait for all watches, which is the default, or for any: the others are aborted when
    /// one has reached its target.
    pub fn until(mut self, until: Until) -> Self {
        self.handle.plan(|plan| plan.set_until(until));
        self
    }

    setters!();

    /// Calls `callback` with the id as given and each event of the server. It may return
    /// `()`, or a `Result` or [`ControlFlow`](core::ops::ControlFlow) whose error stops that watch with
    /// [`WatchError::Stopped`] and aborts the others.
    pub fn on_event<F, R>(mut self, mut callback: F) -> Self
    where
        F: FnMut(&str, &Event) -> R + Send + 'static,
        R: CallbackResult,
    {
        self.handle.on_event = Some(Box::new(move |id, event| callback(id, event).into_control_flow()));
        self
    }

    /// Returns the next update and its member; `None` when all watches have ended.
    pub fn next_update(&mut self) -> impl Future<Output = Option<(MemberId, Update)>> + use<'_, T, C> {
        poll_fn(|cx| self.poll_update(cx))
    }

    /// Returns how many CVMs are watched.
    pub fn len(&self) -> usize {
        self.handle.len()
    }

    /// Returns whether no CVM is watched. Such a handle ends at once.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the id of a member as given.
    pub fn id(&self, member: MemberId) -> Option<&str> {
        self.handle.id(index(member)?)
    }

    /// Returns how a member's watch has ended, if it has.
    pub fn outcome(&self, member: MemberId) -> Option<&Result<CvmState, WatchError>> {
        self.handle.outcome(index(member)?)
    }

    /// Returns the future that awaiting the handle polls. The inherent method is callable although `StreamExt` has
    /// one of the same name.
    pub fn into_future(self) -> FleetFuture<T, C> {
        FleetFuture(self)
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<(MemberId, Update)>> {
        let number = |index| MemberId::from_number(index as u64);
        self.handle.poll_update(cx).map(|update| update.map(|(index, update)| (number(index), update)))
    }
}

fn index(member: MemberId) -> Option<usize> {
    usize::try_from(member.number()).ok()
}

impl<T: Transport, C: Timer> Stream for FleetHandle<T, C> {
    type Item = (MemberId, Update);

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<(MemberId, Update)>> {
        self.get_mut().poll_update(cx)
    }
}

impl<T: Transport, C: Timer> IntoFuture for FleetHandle<T, C> {
    type Output = Vec<(String, Result<CvmState, WatchError>)>;
    type IntoFuture = FleetFuture<T, C>;

    fn into_future(self) -> FleetFuture<T, C> {
        self.into_future()
    }
}

impl<T: Transport, C: Timer> fmt::Debug for FleetHandle<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetHandle").field("len", &self.len()).field("stage", &self.handle.stage()).finish()
    }
}

/// The id and outcome of each watch, in the order of the given ids, as a future: what awaiting a
/// [`FleetHandle`] polls.
#[must_use = "futures do nothing unless they are awaited or polled"]
pub struct FleetFuture<T: Transport, C: Timer>(FleetHandle<T, C>);

impl<T: Transport, C: Timer> Future for FleetFuture<T, C> {
    type Output = Vec<(String, Result<CvmState, WatchError>)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.handle.poll_outcomes(cx)
    }
}

impl<T: Transport, C: Timer> fmt::Debug for FleetFuture<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FleetFuture").field(&self.0).finish()
    }
}
