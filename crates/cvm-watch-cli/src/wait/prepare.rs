//! What a wait or a check needs before its first request: the ids, and a client with its certificates.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use cvm_watch_hyper::Client;
use tokio::sync::oneshot;

use super::ended::Ended;
use super::ids::{Ids, Named};
use super::project::Project;
use super::{runtime, setup};
use crate::args::{ConnectionArgs, WaitArgs};
use crate::signals::Signals;

pub(super) struct Prepared {
    pub(super) signals: Signals,
    pub(super) ids: Ids,
    /// What `phala.toml` names, or why it is not used.
    pub(super) project: Result<Project, String>,
    pub(super) client: Client,
    started: Instant,
}

impl Prepared {
    /// Reads the ids, and the files that the client needs. A signal and the deadline end this too. `problems`
    /// are those of the flags, one message for each that is refused.
    ///
    /// # Errors
    ///
    /// How the wait ended, and the id that it is about, if it is about one.
    pub(super) fn new(
        connection: &ConnectionArgs,
        deadline: Option<Duration>,
        named: Named,
        problems: Vec<String>,
    ) -> Result<Self, (String, Ended)> {
        let about_all = |ended| (String::new(), ended);
        let started = Instant::now();
        let signals = Signals::listen().map_err(|error| about_all(Ended::broken(&error)))?;
        // A deadline of zero is refused below, with the other flags.
        let deadline = deadline.filter(|deadline| !deadline.is_zero());
        let read = Reading { signals: &signals, started, deadline };
        let read_both = move || {
            let project = Project::read();
            (Ids::collect(&named, &project), project)
        };
        let (ids, project) = read.on_thread("ids", read_both).map_err(about_all)?;
        let ids = ids.map_err(|refused| (refused.id, Ended::invalid(&refused.message)))?;
        let about = |ended| (ids.only().unwrap_or_default().to_owned(), ended);
        // Flags come before the environment.
        if let Some(refused) = Ended::invalid_flags(problems) {
            return Err(about(refused));
        }
        let (of, project_or_none) = (connection.clone(), project.clone().unwrap_or_default());
        let client = read.on_thread("certificates", move || setup::client(&of, &project_or_none));
        let client = client.and_then(|client| client);
        let client = client.map_err(about)?;
        Ok(Self { signals, ids, project, client, started })
    }

    /// What is left of the deadline: at least a nanosecond, since no deadline may be zero.
    pub(super) fn time_left(&self, args: &WaitArgs) -> Option<Duration> {
        let left = |deadline: Duration| deadline.saturating_sub(self.started.elapsed());
        args.deadline.map(|deadline| left(deadline).max(Duration::from_nanos(1)))
    }
}

/// Reads files whose reader cannot be interrupted, such as a pipe without a writer.
struct Reading<'a> {
    signals: &'a Signals,
    started: Instant,
    deadline: Option<Duration>,
}

impl Reading<'_> {
    /// Reads on a separate thread, until a signal comes or the deadline passes.
    fn on_thread<T: Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (sender, result) = oneshot::channel();
        // When the wait has ended the receiver is gone.
        let thread = thread::Builder::new().name(what.to_owned()).spawn(move || drop(sender.send(read())));
        thread.map_err(|error| Ended::broken(&error))?;
        runtime::block_on(async {
            tokio::select! {
                biased;
                signal = self.signals.first() => Err(Ended::aborted(signal)),
                result = result => result.map_err(|_| Ended::broken(&io::Error::other(format!("cannot read the {what}")))),
                deadline = self.deadline() => Err(Ended::late(deadline, what)),
            }
        })?
    }

    async fn deadline(&self) -> Duration {
        let Some(deadline) = self.deadline else { return std::future::pending().await };
        tokio::time::sleep(deadline.saturating_sub(self.started.elapsed())).await;
        deadline
    }
}
