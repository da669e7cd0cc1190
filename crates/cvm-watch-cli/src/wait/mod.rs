//! `cvm-watch wait`: one watch or many, reported as they go, and an exit code that tells how it ended.

mod ended;
mod github;
mod heartbeat;
mod hint;
mod ids;
mod live;
mod log;
mod many;
mod ndjson;
mod policy;
mod progress;
mod record;
mod report;
mod setup;
mod target;

use std::io;
use std::thread;

use cvm_watch_core::Event;
use cvm_watch_driver::Origins;
use cvm_watch_hyper::{Client, Update, Watching};
use futures_core::Stream;
use tokio::sync::oneshot;

use crate::args::{OutputMode, WaitArgs};
use crate::exit::Exit;
use crate::logging;
use crate::signals::Signals;
use ended::Ended;
use heartbeat::{Heard, Heartbeat};
use ids::Ids;
pub(crate) use report::Report;

pub(crate) fn run(args: &WaitArgs) -> Exit {
    let logs = args.output != OutputMode::Quiet && logging::start();
    let ids = Signals::listen().map_err(|error| (String::new(), Ended::broken(&error)));
    let ids = ids.and_then(|signals| Ok((collect(args, &signals)?, signals)));
    let (ids, signals) = match ids {
        Ok(ids) => ids,
        Err((id, ended)) => return end(Report::new(args.output, &id, false), &ended),
    };
    match ids.ids.as_slice() {
        [id] => {
            let mut report = Report::new(args.output, id, logs);
            let ended = one(args, &ids, id, &mut report, &signals).unwrap_or_else(|ended| ended);
            end(report, &ended)
        }
        _ => many::run(args, &ids, logs, &signals),
    }
}

/// Carries out a watch of this client; for commands other than `wait`.
pub(crate) fn watch(client: &Client, watching: Watching, mut report: Report, signals: &Signals) -> Exit {
    let ended = follow(watching.abort_on(signals.first()), &mut report, signals, client.settings().origins());
    end(report, &ended)
}

/// The end of a `wait` whose arguments could not be read, in an output for programs.
pub(crate) fn report_unusable_arguments(mode: OutputMode, message: &str) {
    end(Report::new(mode, "", false), &Ended::invalid(message));
}

fn end(mut report: Report, ended: &Ended) -> Exit {
    report.end(ended);
    ended.exit
}

/// Reads the ids, until a signal comes. They are read on a thread of its own, since a pipe that nobody
/// writes to can't be left in another way.
///
/// # Errors
///
/// How the wait ended then, and the id that is to blame, if one is.
fn collect(args: &WaitArgs, signals: &Signals) -> Result<Ids, (String, Ended)> {
    let (sender, read) = oneshot::channel();
    let of = args.clone();
    // Nobody hears of it any more once a signal came.
    let collect = move || drop(sender.send(Ids::collect(&of)));
    let thread = thread::Builder::new().name("ids".to_owned()).spawn(collect);
    thread.map_err(|error| (String::new(), Ended::broken(&error)))?;
    let ids = on_runtime(async {
        tokio::select! {
            biased;
            signal = signals.first() => Err(Ended::aborted(signal)),
            ids = read => ids.map_err(|_| Ended::broken(&io::Error::other("the ids cannot be read"))),
        }
    });
    let ids = ids.and_then(|ids| ids).map_err(|ended| (String::new(), ended))?;
    ids.map_err(|refused| (refused.id, Ended::invalid(&refused.message)))
}

fn one(args: &WaitArgs, ids: &Ids, id: &str, report: &mut Report, signals: &Signals) -> Result<Ended, Ended> {
    let client = client(args)?;
    setup::remarks(args, ids, &client).iter().for_each(|remark| report.remark(remark));
    let watching = client.watch(id, &args.target).abort_on(signals.first());
    let mut watching = watching.configure(|config| policy::configure(args, config));
    if let Some(file) = &args.record {
        watching = record::record(watching, file, args.output)?;
    }
    Ok(follow(watching, report, signals, client.settings().origins()))
}

fn client(args: &WaitArgs) -> Result<Client, Ended> {
    setup::client(args).map_err(|error| Ended::invalid(&error.to_string()))
}

fn follow(mut watching: Watching, report: &mut Report, signals: &Signals, origins: &Origins) -> Ended {
    let run = async {
        let last_status = report_updates(&mut watching, report).await;
        (watching.await, last_status)
    };
    match on_runtime(run) {
        Ok((outcome, last_status)) => Ended::new(outcome.as_ref(), signals.received(), last_status.as_deref(), origins),
        Err(ended) => ended,
    }
}

fn on_runtime<T>(run: impl Future<Output = T>) -> Result<T, Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ended::broken(&error))?;
    let outcome = runtime.block_on(run);
    // A name lookup may hang in a thread of its own; nothing waits for it.
    runtime.shutdown_background();
    Ok(outcome)
}

/// Reports updates until there are no more; answers with the last status seen.
async fn report_updates(updates: &mut (impl Stream<Item = Update> + Unpin), report: &mut Report) -> Option<String> {
    let mut last_status = None;
    let mut heartbeat = Heartbeat::new();
    while let Some(heard) = heartbeat.next(updates).await {
        let printed = match heard {
            Heard::News(update) => {
                if let Update::Event { event: Event::State(state), .. } = &update {
                    last_status = Some(state.status.clone());
                }
                report.update(&update)
            }
            Heard::Silence => {
                report.heartbeat();
                true
            }
        };
        if printed {
            heartbeat.put_off();
        }
    }
    last_status
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_core::{CloseCause, CvmState, RetryCause};
    use std::collections::VecDeque;
    use std::io::Write;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};
    use std::time::Duration;
    use tokio::time::Sleep;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Updates, each after a time of silence; the end after another.
    struct Script {
        updates: VecDeque<(u64, Option<Update>)>,
        sleep: Option<Pin<Box<Sleep>>>,
    }

    impl Stream for Script {
        type Item = Update;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
            let after = Duration::from_secs(self.updates[0].0);
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
            std::task::ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
            Poll::Ready(self.updates.pop_front().unwrap().1)
        }
    }

    fn state(status: &str) -> Update {
        let event = Event::State(Arc::new(CvmState::with_status(status)));
        Update::Event { attempt: 1, id: String::new(), event }
    }

    fn lost() -> Update {
        let cause = RetryCause::Closed(CloseCause::Reset);
        Update::Retrying { attempt: 1, delay: Duration::from_secs(1), cause }
    }

    /// Plays twenty seconds, a change, and two minutes with little news; answers with what is printed.
    async fn printed(report: impl FnOnce(Box<dyn Write>) -> Report) -> String {
        let out = Shared::default();
        let mut report = report(Box::new(out.clone()));
        let updates = [
            (0, Some(Update::Connecting { attempt: 1 })),
            (20, Some(state("starting"))),
            // The same again is no news, and does not put off the heartbeat.
            (20, Some(state("starting"))),
            (49, Some(lost())),
            (1, Some(Update::Connecting { attempt: 2 })),
            (29, Some(state("starting"))),
            (1, None),
        ];
        let mut script = Script { updates: updates.into(), sleep: None };
        let last_status = report_updates(&mut script, &mut report).await;
        assert_eq!(last_status.as_deref(), Some("starting"));
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    const LINES: [&str; 8] = [
        r"    0s my\ncvm: connecting",
        r"   20s my\ncvm: starting",
        r"   50s my\ncvm: still starting",
        r" 1m20s my\ncvm: still starting",
        r" 1m29s my\ncvm: retrying in 1s: the connection was reset",
        r" 1m30s my\ncvm: connecting (attempt 2)",
        r" 1m59s my\ncvm: starting (attempt 2)",
        "",
    ];

    #[tokio::test(start_paused = true)]
    async fn each_change_has_a_line_and_silence_a_heartbeat() {
        assert_eq!(printed(|to| Report::log(to, "my\ncvm")).await, LINES.join("\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_workflow_step_has_the_same_lines_and_heartbeats_in_a_group() {
        let expected = format!("::group::Waiting for my\\ncvm\n{}", LINES.join("\n"));
        assert_eq!(printed(|to| Report::github(to, "my\ncvm")).await, expected);
    }
}
