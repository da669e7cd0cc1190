//! The handle of one watch.

use core::fmt;
use core::future::{Future, IntoFuture, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use cvm_watch_core::{CvmState, Event};
use futures_core::Stream;

use crate::callback::CallbackResult;
use crate::error::WatchError;
use crate::handle::{Handle, Place};
use crate::setters::setters;
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::Update;

/// A watch to be awaited for the [`CvmState`] at the target, or read as a [`Stream`] of [`Update`]s.
/// Made by [`Client::watch`](crate::Client::watch) and [`Pool::watch`](crate::Pool::watch).
///
/// Nothing happens before the first poll, and settings changed after it have no effect. Dropping the handle closes the
/// connection.
///
/// # Cancel safety
///
/// [`next_update`](Self::next_update) is cancel safe: dropping its future loses no update, and the
/// connection stays open. So is `next` of the stream. Awaiting the handle itself consumes it, so
/// dropping that future ends the watch; await `&mut future` in a `select!` to keep it.
///
/// # Callbacks that are not `Send`
///
/// [`on_event`](Self::on_event) needs a `Send` callback, so that the handle is `Send` if its transport is. To use
/// values that are not `Send`, read the updates instead:
///
/// ```
/// # use cvm_watch_driver::{Timer, Transport, Update, WatchError, WatchHandle};
/// # async fn example<T: Transport, C: Timer>(mut watch: WatchHandle<T, C>) -> Result<(), WatchError> {
/// let seen = std::rc::Rc::new(std::cell::Cell::new(0));
/// while let Some(update) = watch.next_update().await {
///     if let Update::Event { .. } = update {
///         seen.set(seen.get() + 1);
///     }
/// }
/// let state = watch.await?;
/// # drop(state);
/// # Ok(())
/// # }
/// ```
#[must_use = "a watch does nothing unless it is awaited or polled"]
pub struct WatchHandle<T: Transport, C: Timer> {
    handle: Handle<T, C>,
}

impl<T: Transport, C: Timer> WatchHandle<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>, place: Place, id: String, target: String) -> Self {
        Self { handle: Handle::new(shared, place, vec![id], target) }
    }

    setters!();

    /// Calls `callback` with each event of the server. It may return `()`, or a `Result` or
    /// [`ControlFlow`](core::ops::ControlFlow) whose error stops the watch with
    /// [`WatchError::Stopped`].
    pub fn on_event<F, R>(mut self, mut callback: F) -> Self
    where
        F: FnMut(&Event) -> R + Send + 'static,
        R: CallbackResult,
    {
        self.handle.on_event = Some(Box::new(move |_, event| callback(event).into_control_flow()));
        self
    }

    /// Returns the next update; `None` after [`Update::Ended`].
    pub fn next_update(&mut self) -> impl Future<Output = Option<Update>> + use<'_, T, C> {
        poll_fn(|cx| self.poll_update(cx))
    }

    /// Returns the id of the CVM as given.
    pub fn id(&self) -> &str {
        self.handle.id(0).unwrap_or_default()
    }

    /// Returns how the watch has ended, if it has.
    pub fn outcome(&self) -> Option<&Result<CvmState, WatchError>> {
        self.handle.outcome(0)
    }

    /// Returns the future that awaiting the handle polls. The inherent method is callable although `StreamExt` has
    /// one of the same name.
    pub fn into_future(self) -> WatchFuture<T, C> {
        WatchFuture(self)
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.handle.poll_update(cx).map(|update| Some(update?.1))
    }
}

impl<T: Transport, C: Timer> Stream for WatchHandle<T, C> {
    type Item = Update;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.get_mut().poll_update(cx)
    }
}

impl<T: Transport, C: Timer> IntoFuture for WatchHandle<T, C> {
    type Output = Result<CvmState, WatchError>;
    type IntoFuture = WatchFuture<T, C>;

    fn into_future(self) -> WatchFuture<T, C> {
        self.into_future()
    }
}

impl<T: Transport, C: Timer> fmt::Debug for WatchHandle<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchHandle").field("id", &self.id()).field("stage", &self.handle.stage()).finish()
    }
}

/// The future of a watch's outcome; awaiting a [`WatchHandle`] polls it.
#[must_use = "futures do nothing unless they are awaited or polled"]
pub struct WatchFuture<T: Transport, C: Timer>(WatchHandle<T, C>);

impl<T: Transport, C: Timer> Future for WatchFuture<T, C> {
    type Output = Result<CvmState, WatchError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.handle.poll_outcome(cx)
    }
}

impl<T: Transport, C: Timer> fmt::Debug for WatchFuture<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchFuture").field(&self.0).finish()
    }
}
