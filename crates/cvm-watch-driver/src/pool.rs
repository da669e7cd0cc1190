//! A pool: watches that join and leave while they share the slots of one fleet.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::collections::BTreeMap;
use std::sync::Arc;

use cvm_watch_core::{Fleet, MemberId, Until};

use crate::handle::Place;
use crate::membership::{Command, Mailbox, PoolCommands, PoolUser, link};
use crate::observed::{Observed, Observer};
use crate::run::{Run, poll_to_end};
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::update::Report;
use crate::watch_handle::WatchHandle;

/// Starts watches that share a few streams, and join and leave at any time. Made by
/// [`Client::pool`](crate::Client::pool), together with the [`PoolDriver`] that does the work.
///
/// [`watch`](Self::watch) gives the same handle as [`Client::watch`](crate::Client::watch), and each
/// handle is set up, awaited, read as a stream, aborted and dropped independently, in its own task or any other. The
/// watches share the endpoint's limit on concurrent streams: with more watches than slots they alternate by the rules
/// of
/// [`Fleet`].
///
/// Cheap to clone.
///
/// ```
/// # use cvm_watch_driver::{Client, Timer, Transport};
/// # async fn example<T: Transport, C: Timer>(client: Client<T, C>) {
/// let (pool, driver) = client.pool();
/// // Spawn the driver as a task, or, as here, poll it beside the watches.
/// let watches = async {
///     let web = pool.watch("web", "running");
///     let worker = pool.watch("worker", "running");
///     drop(pool);
///     (web.await, worker.await)
/// };
/// # async fn join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) { (a.await, b.await) }
/// let ((web, worker), ()) = join(watches, driver.max_streams(2)).await;
/// # }
/// ```
pub struct Pool<T, C> {
    shared: Arc<Shared<T, C>>,
    user: PoolUser,
}

impl<T: Transport, C: Timer> Pool<T, C> {
    pub(crate) fn new(shared: Arc<Shared<T, C>>) -> (Self, PoolDriver<T, C>) {
        let (user, commands) = link();
        let driver = PoolDriver {
            shared: Arc::clone(&shared),
            commands,
            observer: None,
            run: None,
            mailboxes: BTreeMap::new(),
            metrics_label: String::new(),
        };
        (Self { shared, user }, driver)
    }

    /// Watches `id` until its status is `target`. Nothing happens before the handle is awaited or
    /// polled, and then only while the [`PoolDriver`] is polled too.
    pub fn watch(&self, id: impl Into<String>, target: impl Into<String>) -> WatchHandle<T, C> {
        WatchHandle::new(Arc::clone(&self.shared), Place::Pool(self.user.clone()), id.into(), target.into())
    }
}

/// Runs the watches of a [`Pool`]: a future to be spawned as a task, or polled beside the handles.
///
/// It ends when the pool, its clones and all their handles were dropped and every connection is
/// closed. Dropping it earlier closes every connection, and each handle ends with
/// [`WatchError::DriverDropped`](crate::WatchError::DriverDropped).
///
/// Dropping or aborting a handle wakes the driver, which then closes the connection. A handle that is not polled does
/// not block others: its stream is not read, and after its slot was needed it gets no other one until it is polled
/// again.
///
/// Settings changed after the first poll have no effect.
#[must_use = "a pool does nothing unless its driver is polled"]
pub struct PoolDriver<T: Transport, C: Timer> {
    shared: Arc<Shared<T, C>>,
    commands: PoolCommands,
    observer: Option<Observer>,
    run: Option<Box<Run<Fleet, T, C>>>,
    mailboxes: BTreeMap<MemberId, Arc<Mailbox>>,
    metrics_label: String,
}

impl<T: Transport, C: Timer> PoolDriver<T, C> {
    /// How many event streams may be open at once: at least 1, 4 by default. The endpoint allows a
    /// user 5, of which one is left for other programs. With 0, each watch is refused.
    pub fn max_streams(self, streams: usize) -> Self {
        self.commands.set_max_streams(streams);
        self
    }

    /// Shows `observer` every call of the core and its answers, in order. It sees secrets unredacted.
    pub fn observe<F>(mut self, observer: F) -> Self
    where
        F: FnMut(Observed<'_>) + Send + 'static,
    {
        self.observer = Some(Box::new(observer));
        self
    }

    /// The value of the label `pool` in the pool's [`metrics`](crate::metrics); empty by default. Must not be
    /// a secret, such as the API key.
    #[cfg(feature = "metrics")]
    pub fn metrics_label(mut self, label: impl Into<String>) -> Self {
        self.metrics_label = label.into();
        self
    }

    /// Returns one report; `None` when the pool has ended.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let (commands, has_users) = self.commands.take(cx.waker());
        let run = self.run.get_or_insert_with(|| {
            let (shared, streams) = (Arc::clone(&self.shared), self.commands.max_streams());
            Box::new(Run::of_fleet(shared, streams, Until::All, self.observer.take(), None, &self.metrics_label))
        });
        for command in commands {
            match command {
                Command::Join(mailbox, join) => {
                    let now = self.shared.timer.now();
                    let member = run.add(&join.policy, &join.id, join.seed, now, join.observer);
                    mailbox.set_member(member);
                    self.mailboxes.insert(member, mailbox);
                }
                // Members that have ended are ignored.
                Command::Abort(mailbox) => run.abort(mailbox.member()),
                Command::Continue(mailbox) => {
                    mailbox.member().into_iter().for_each(|member| run.set_paused(member, false));
                }
            }
        }
        match ready!(run.poll_report(cx)) {
            Some((member, report)) => {
                let has_ended = matches!(report, Report::Ended(_));
                let waits = self.mailboxes.get(&member).is_some_and(|mailbox| mailbox.deliver(report));
                if has_ended {
                    run.remove(member);
                    self.mailboxes.remove(&member);
                } else if waits {
                    run.set_paused(member, true);
                }
                Poll::Ready(Some(()))
            }
            None if has_users => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl<T: Transport, C: Timer> Future for PoolDriver<T, C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        poll_to_end(cx, |cx| this.poll_step(cx))
    }
}

impl<T: Transport, C: Timer> Drop for PoolDriver<T, C> {
    fn drop(&mut self) {
        // Connections are closed before the end is reported.
        self.run = None;
        self.mailboxes.values().for_each(|mailbox| mailbox.close());
    }
}

impl<T, C> Clone for Pool<T, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), user: self.user.clone() }
    }
}

impl<T, C> fmt::Debug for Pool<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<T: Transport, C: Timer> fmt::Debug for PoolDriver<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolDriver").field("watches", &self.mailboxes.len()).finish_non_exhaustive()
    }
}
