//! The link between a handle of a pool and the pool's driver: commands go one way, reports the other.

use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cvm_watch_core::{CvmId, Fleet, MemberId, Policy};

use crate::error::WatchError;
use crate::observed::Observer;
use crate::run::Abort;
use crate::update::Report;

/// What a pool's handles share with its driver. Each clone counts as a user; a pool without users ends.
pub(crate) struct PoolUser(Arc<Mutex<Shared>>);

/// The driver's end of the link.
pub(crate) struct PoolCommands(Arc<Mutex<Shared>>);

struct Shared {
    commands: VecDeque<Command>,
    /// The task that polls the driver.
    driver: Option<Waker>,
    is_driver_dropped: bool,
    users: usize,
    max_streams: usize,
}

pub(crate) enum Command {
    Join(Arc<Mailbox>, Join),
    Abort(Arc<Mailbox>),
    /// The caller has taken every report.
    Continue(Arc<Mailbox>),
}

/// A watch that joins a pool.
pub(crate) struct Join {
    pub(crate) policy: Arc<Policy>,
    pub(crate) id: CvmId,
    pub(crate) seed: u64,
    pub(crate) observer: Option<Observer>,
}

/// A member's reports that its caller has not taken.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Letters>);

#[derive(Default)]
struct Letters {
    member: Option<MemberId>,
    reports: VecDeque<Report>,
    /// The task that awaits the handle.
    task: Option<Waker>,
    /// The caller awaits only the end, so other reports are dropped.
    is_aborted: bool,
    is_driver_dropped: bool,
}

/// A watch in a pool, as its handle sees it.
pub(crate) struct Membership {
    pool: PoolUser,
    mailbox: Arc<Mailbox>,
    abort: Option<Abort>,
    has_ended: bool,
}

pub(crate) fn link() -> (PoolUser, PoolCommands) {
    let shared = Shared {
        commands: VecDeque::new(),
        driver: None,
        is_driver_dropped: false,
        users: 1,
        max_streams: Fleet::DEFAULT_MAX_STREAMS,
    };
    let shared = Arc::new(Mutex::new(shared));
    (PoolUser(Arc::clone(&shared)), PoolCommands(shared))
}

impl PoolUser {
    pub(crate) fn max_streams(&self) -> usize {
        lock(&self.0).max_streams
    }

    fn send(&self, command: Command) {
        let mut shared = lock(&self.0);
        if shared.is_driver_dropped {
            drop(shared);
            return command.refuse();
        }
        shared.commands.push_back(command);
        let driver = shared.driver.clone();
        drop(shared);
        driver.inspect(Waker::wake_by_ref);
    }
}

impl Clone for PoolUser {
    fn clone(&self) -> Self {
        lock(&self.0).users += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for PoolUser {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.users -= 1;
        let driver = shared.driver.clone().filter(|_| shared.users == 0);
        drop(shared);
        driver.inspect(Waker::wake_by_ref);
    }
}

impl PoolCommands {
    pub(crate) fn max_streams(&self) -> usize {
        lock(&self.0).max_streams
    }

    pub(crate) fn set_max_streams(&self, max_streams: usize) {
        lock(&self.0).max_streams = max_streams;
    }

    /// Returns the commands since the last call, and whether a user is left who could send others. The task is woken
    /// for a new command, and when the last user is gone.
    pub(crate) fn take(&self, task: &Waker) -> (VecDeque<Command>, bool) {
        let mut shared = lock(&self.0);
        if !shared.driver.as_ref().is_some_and(|known| known.will_wake(task)) {
            shared.driver = Some(task.clone());
        }
        (core::mem::take(&mut shared.commands), shared.users > 0)
    }
}

impl Drop for PoolCommands {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.is_driver_dropped = true;
        shared.driver = None;
        let commands = core::mem::take(&mut shared.commands);
        drop(shared);
        commands.into_iter().for_each(Command::refuse);
    }
}

impl Command {
    fn refuse(self) {
        let (Self::Join(mailbox, _) | Self::Abort(mailbox) | Self::Continue(mailbox)) = self;
        mailbox.close();
    }
}

impl Mailbox {
    pub(crate) fn member(&self) -> Option<MemberId> {
        lock(&self.0).member
    }

    pub(crate) fn set_member(&self, member: MemberId) {
        lock(&self.0).member = Some(member);
    }

    /// Returns whether the report waits for the caller.
    pub(crate) fn deliver(&self, report: Report) -> bool {
        let mut letters = lock(&self.0);
        if letters.is_aborted && !matches!(report, Report::Ended(_)) {
            return false;
        }
        letters.reports.push_back(report);
        let task = letters.task.take();
        drop(letters);
        task.inspect(Waker::wake_by_ref);
        true
    }

    /// The driver is gone, so no more reports follow.
    pub(crate) fn close(&self) {
        let mut letters = lock(&self.0);
        letters.is_driver_dropped = true;
        let task = letters.task.take();
        drop(letters);
        task.inspect(Waker::wake_by_ref);
    }

    /// Returns the next report, and whether it was the last that waited.
    fn poll_take(&self, cx: &Context<'_>) -> Poll<(Report, bool)> {
        let mut letters = lock(&self.0);
        if let Some(report) = letters.reports.pop_front() {
            return Poll::Ready((report, letters.reports.is_empty()));
        }
        if letters.is_driver_dropped {
            return Poll::Ready((Report::Ended(Err(WatchError::DriverDropped)), false));
        }
        letters.task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Discards the reports that the caller has not taken. Returns false if the watch had ended before.
    fn abort(&self) -> bool {
        let mut letters = lock(&self.0);
        if letters.reports.iter().any(|report| matches!(report, Report::Ended(_))) {
            return false;
        }
        letters.reports.clear();
        letters.is_aborted = true;
        true
    }
}

impl Membership {
    pub(crate) fn new(pool: PoolUser, join: Join, abort: Option<Abort>) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        pool.send(Command::Join(Arc::clone(&mailbox), join));
        Self { pool, mailbox, abort, has_ended: false }
    }

    pub(crate) fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        if let Some(abort) = &mut self.abort
            && abort.as_mut().poll(cx).is_ready()
        {
            self.abort();
        }
        self.mailbox.poll_take(cx).map(|(report, was_last)| {
            self.has_ended = matches!(report, Report::Ended(_));
            if was_last && !self.has_ended {
                self.pool.send(Command::Continue(Arc::clone(&self.mailbox)));
            }
            Some(report)
        })
    }

    /// Requests the end of the watch, which is reported once the driver has closed its connection.
    pub(crate) fn abort(&mut self) {
        self.abort = None;
        if !self.has_ended && self.mailbox.abort() {
            self.pool.send(Command::Abort(Arc::clone(&self.mailbox)));
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
