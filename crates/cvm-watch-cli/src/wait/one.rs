//! One watch: its updates reported until it ends.

use std::time::Duration;

use cvm_watch_core::Event;
use cvm_watch_hyper::{Client, Update, WatchHandle};
use futures_core::Stream;

use super::ended::{By, Ended};
use super::heartbeat::{Heard, Heartbeat};
use super::prepare::Prepared;
use super::report::{Printing, Report};
use super::{policy, record, runtime, setup};
use crate::args::WaitArgs;
use crate::exit::Exit;
use crate::output;
use crate::signals::Signals;

/// Waits for the CVM.
pub(super) fn run(args: &WaitArgs, prepared: &Prepared, id: &str, printing: Printing) -> Exit {
    let mut report = Report::new(printing, id);
    let ended = wait(args, prepared, id, printing.is_live(), &mut report).unwrap_or_else(|ended| ended);
    report.end(&ended)
}

/// Executes a watch of this client; for commands other than `wait`.
pub(crate) fn watch(client: &Client, watching: WatchHandle, mut report: Report, signals: &Signals) -> Exit {
    let ended = follow(watching.abort_on(signals.first()), &mut report, signals, client, None);
    report.end(&ended.unwrap_or_else(|ended| ended))
}

fn wait(args: &WaitArgs, prepared: &Prepared, id: &str, is_live: bool, report: &mut Report) -> Result<Ended, Ended> {
    let Prepared { client, signals, ids, .. } = prepared;
    setup::remarks(args, prepared, is_live).iter().for_each(|remark| report.remark(remark));
    let watching = client.watch(id, args.first_target()).abort_on(signals.first());
    let mut refused = None;
    let mut watching = watching.configure(|policy| {
        let policy = policy::configure(args, prepared.time_left(args), policy);
        refused = record::refused(args, &policy, &ids.ids);
        policy
    });
    if let Some(observer) = record::observer(args, refused)? {
        watching = watching.observe(observer);
    }
    follow(watching, report, signals, client, args.deadline)
}

fn follow(
    mut watching: WatchHandle,
    report: &mut Report,
    signals: &Signals,
    client: &Client,
    deadline: Option<Duration>,
) -> Result<Ended, Ended> {
    let run = async {
        let last_status = report_updates(&mut watching, report).await;
        (watching.await, last_status)
    };
    let (outcome, last_status) = runtime::block_on(run)?;
    let by = By { signal: signals.received(), sources: client.settings().sources(), deadline };
    Ok(Ended::new(outcome.as_ref(), last_status.as_deref(), &by))
}

/// Reports updates until there are no more, and returns the last status seen.
async fn report_updates(updates: &mut (impl Stream<Item = Update> + Unpin), report: &mut Report) -> Option<String> {
    let mut last_status = None;
    let mut heartbeat = Heartbeat::new();
    while let Some(heard) = heartbeat.next(updates, report.due()).await {
        let printed = match heard {
            Heard::News(update) => {
                if let Update::Event { event: Event::State(state), .. } = &update {
                    last_status = Some(state.status.clone());
                }
                report.update(&update)
            }
            Heard::Due => {
                report.flush();
                true
            }
            Heard::Silence => {
                report.heartbeat();
                true
            }
        };
        if printed {
            heartbeat.put_off();
        }
        output::caught_up().await;
    }
    last_status
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_core::{AttemptId, CloseCause, CvmState, RetryCause};
    use std::collections::VecDeque;
    use std::io::{self, Write};
    use std::pin::Pin;
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
        Update::event(AttemptId::from_number(1), "", event)
    }

    fn lost() -> Update {
        let cause = RetryCause::Closed(CloseCause::Reset);
        Update::retrying(AttemptId::from_number(1), Duration::from_secs(1), cause)
    }

    /// Plays twenty seconds, a change, and two minutes with little news; answers with what is printed.
    async fn printed(report: impl FnOnce(Box<dyn Write>) -> Report) -> String {
        let out = Shared::default();
        let mut report = report(Box::new(out.clone()));
        let updates = [
            (0, Some(Update::connecting(AttemptId::from_number(1)))),
            (20, Some(state("starting"))),
            // The same again is no news, and does not put off the heartbeat.
            (20, Some(state("starting"))),
            (49, Some(lost())),
            (1, Some(Update::connecting(AttemptId::from_number(2)))),
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
