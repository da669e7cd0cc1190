//! A client over any transport and timer.

use core::fmt;
use std::sync::Arc;

use crate::account::Settings;
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::watching::Watching;
use crate::watching_all::WatchingAll;

/// Starts watches over one transport and timer. Cheap to clone. The crates for an HTTP stack wrap
/// it; use it directly for a stack of your own.
pub struct Client<T, C> {
    shared: Arc<Shared<T, C>>,
}

impl<T: Transport, C: Timer> Client<T, C> {
    /// A client with these settings.
    pub fn new(settings: Settings, transport: T, timer: C) -> Self {
        Self { shared: Arc::new(Shared::new(settings, transport, timer)) }
    }

    /// Watches `id` until its status is `target`. Nothing happens before the handle is awaited or
    /// polled, and nothing is checked before that either.
    pub fn watch(&self, id: impl Into<String>, target: impl Into<String>) -> Watching<T, C> {
        Watching::new(Arc::clone(&self.shared), id.into(), target.into())
    }

    /// Watches each of `ids` until its status is `target`, over a few connections at once. As with
    /// [`watch`](Self::watch), nothing happens or is checked before the handle is awaited or
    /// polled; an id that is refused ends with that as its own outcome.
    pub fn watch_all<I>(&self, ids: I, target: impl AsRef<str>) -> WatchingAll<T, C>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let ids = ids.into_iter().map(Into::into).collect();
        WatchingAll::new(Arc::clone(&self.shared), ids, target.as_ref())
    }

    /// The timer that its watches sleep by.
    pub fn timer(&self) -> &C {
        &self.shared.timer
    }

    /// What the client was made with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }
}

impl<T, C> Clone for Client<T, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T, C> fmt::Debug for Client<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
