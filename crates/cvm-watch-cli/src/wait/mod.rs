//! `cvm-watch wait`: one watch, reported as it goes, and an exit code that tells how it ended.

mod ended;
mod github;
mod hint;
mod live;
mod log;
mod ndjson;
mod progress;
mod record;
mod report;
mod setup;
mod target;

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use cvm_watch_core::{Backoff, Event};
use cvm_watch_driver::Origins;
use cvm_watch_hyper::{Client, Update, Watching};
use futures_core::Stream;
use tokio::time::{Instant, sleep_until};

use crate::args::{OutputMode, WaitArgs};
use crate::exit::Exit;
use crate::logging;
use crate::signals::Signals;
use ended::Ended;
pub(crate) use report::Report;

/// Without a terminal something is printed at least this often.
const HEARTBEAT: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &WaitArgs) -> Exit {
    let logs = args.output != OutputMode::Quiet && logging::start();
    let mut report = Report::new(args.output, &args.id, logs);
    let ended = match start(args, &mut report) {
        Ok((client, watching, signals)) => follow(watching, &mut report, &signals, client.settings().origins()),
        Err(ended) => ended,
    };
    report.end(&ended);
    ended.exit
}

/// Carries out a watch of this client; for commands other than `wait`.
pub(crate) fn watch(client: &Client, watching: Watching, mut report: Report, signals: &Signals) -> Exit {
    let ended = follow(watching.abort_on(signals.first()), &mut report, signals, client.settings().origins());
    report.end(&ended);
    ended.exit
}

/// The end of a `wait` whose arguments could not be read, in an output for programs.
pub(crate) fn report_unusable_arguments(mode: OutputMode, message: &str) {
    Report::new(mode, "", false).end(&Ended::invalid(message));
}

fn start(args: &WaitArgs, report: &mut Report) -> Result<(Client, Watching, Signals), Ended> {
    let signals = Signals::listen().map_err(|error| Ended::broken(&error))?;
    let client = setup::client(args, report).map_err(|error| Ended::invalid(&error.to_string()))?;
    if let Some(doubt) = target::doubt(&args.target) {
        report.warn(&doubt);
    }
    let mut watching = client.watch(&args.id, &args.target).abort_on(signals.first());
    if let Some(interval) = args.interval {
        watching = watching.interval(interval);
    }
    if let Some(timeout) = args.timeout {
        watching = watching.timeout(timeout);
    }
    if let Some(retries) = args.max_retries {
        watching = watching.max_retries(retries);
    }
    if let Some(delay) = args.retry_delay {
        watching = watching.retry_delay(delay);
    }
    if let Some(max) = args.backoff_max {
        watching = watching.backoff(Backoff::up_to(max));
    }
    if let Some(timeout) = args.connect_timeout {
        watching = watching.connect_timeout(timeout);
    }
    if let Some(timeout) = args.idle_timeout {
        watching = watching.idle_timeout(timeout);
    }
    if let Some(deadline) = args.deadline {
        watching = watching.deadline(deadline);
    }
    let mut watching = watching.configure(|config| config.keep_raw(args.output == OutputMode::Ndjson));
    if let Some(file) = &args.record {
        watching = record::record(watching, file, args.output)?;
    }
    Ok((client, watching, signals))
}

fn follow(mut watching: Watching, report: &mut Report, signals: &Signals, origins: &Origins) -> Ended {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Ended::broken(&error),
    };
    let (outcome, last_status) = runtime.block_on(async {
        let last_status = report_updates(&mut watching, report).await;
        (watching.await, last_status)
    });
    // A name lookup may hang in a thread of its own; nothing waits for it.
    runtime.shutdown_background();
    Ended::new(outcome, signals.received(), last_status.as_deref(), origins)
}

/// Reports updates until there are no more; answers with the last status seen.
async fn report_updates(updates: &mut (impl Stream<Item = Update> + Unpin), report: &mut Report) -> Option<String> {
    let mut last_status = None;
    let mut heartbeat = Instant::now() + HEARTBEAT;
    loop {
        let printed = tokio::select! {
            update = next(updates) => match update {
                None => return last_status,
                Some(update) => {
                    if let Update::Event { event: Event::State(state), .. } = &update {
                        last_status = Some(state.status.clone());
                    }
                    report.update(&update)
                }
            },
            () = sleep_until(heartbeat) => {
                report.heartbeat();
                true
            }
        };
        if printed {
            heartbeat = Instant::now() + HEARTBEAT;
        }
    }
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_core::CvmState;
    use std::collections::VecDeque;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};
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

    /// Plays twenty seconds, a change, and two minutes with little news; answers with what is printed.
    async fn printed(report: impl FnOnce(Box<dyn Write>) -> Report) -> String {
        let out = Shared::default();
        let mut report = report(Box::new(out.clone()));
        let updates = [
            (0, Some(Update::Connecting { attempt: 1 })),
            (20, Some(state("starting"))),
            // The same again is no news, and does not put off the heartbeat.
            (20, Some(state("starting"))),
            (50, Some(Update::Connecting { attempt: 2 })),
            (29, Some(state("starting"))),
            (1, None),
        ];
        let mut script = Script { updates: updates.into(), sleep: None };
        let last_status = report_updates(&mut script, &mut report).await;
        assert_eq!(last_status.as_deref(), Some("starting"));
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
    }

    const LINES: [&str; 7] = [
        r"    0s my\ncvm: connecting",
        r"   20s my\ncvm: starting",
        r"   50s my\ncvm: still starting",
        r" 1m20s my\ncvm: still starting",
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
