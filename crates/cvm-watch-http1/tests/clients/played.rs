//! Plays a script over a real socket and tells, as text, what the caller saw.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use cvm_watch_sim::{Request, Script, Sim};

use super::client;
use crate::subject::{CvmState, Event, Update, WatchError, WatchHandle};

/// A bound for what should take no time; nothing waits for it when all is well.
pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) const ID: &str = "my-cvm";

/// What came of a watch.
pub(crate) struct Played {
    /// Every event and loss but the beginnings of attempts, then the end.
    pub(crate) seen: String,
    pub(crate) outcome: Result<CvmState, WatchError>,
    pub(crate) requests: Vec<Request>,
}

/// Watches a server that plays `script` for `running`, with no delay between attempts. Every
/// connection must be gone soon after the end.
pub(crate) async fn play(script: impl Into<Script>, change: impl FnOnce(WatchHandle) -> WatchHandle) -> Played {
    let sim = Sim::start().unwrap();
    sim.script(ID, script);
    let mut watch = change(client(&sim).watch(ID, "running").retry_delay(Duration::ZERO));
    let mut seen = Vec::new();
    while let Some(update) = watch.next_update().await {
        seen.extend(text(&update));
    }
    assert!(watch.next_update().await.is_none(), "something came after the end");
    let outcome = watch.await;
    seen.push(match &outcome {
        Ok(state) => format!("resolved {}", state.status),
        Err(error) => format!("failed: {error}"),
    });
    sim.log().wait_until_idle(SOON).unwrap();
    Played { seen: seen.join("; "), outcome, requests: sim.log().requests() }
}

/// Holds what the caller saw, and how often the server was asked, against what must be.
pub(crate) async fn check(
    script: impl Into<Script>,
    change: impl FnOnce(WatchHandle) -> WatchHandle,
    expected: &str,
    requests: usize,
) {
    let played = play(script, change).await;
    assert_eq!((played.seen.as_str(), played.requests.len()), (expected, requests));
}

/// Runs these checks at the same time.
pub(crate) async fn all<F: Future<Output = ()>>(checks: impl IntoIterator<Item = F>) {
    let mut running: Vec<_> = checks.into_iter().map(Box::pin).collect();
    poll_fn(|cx| {
        running.retain_mut(|check| check.as_mut().poll(cx).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn text(update: &Update) -> Option<String> {
    match update {
        Update::Connecting { .. } | Update::Ended => None,
        Update::Event { event, .. } => Some(match event {
            Event::State(state) => state.status.clone(),
            Event::Complete(complete) => format!("complete {}", complete.status),
            Event::Timeout(_) => "timeout".to_owned(),
            Event::Error(error) => format!("error {}", error.error.as_deref().unwrap_or_default()),
            Event::Other { name, data, .. } => format!("other {name} {data}"),
            Event::Malformed { reason, .. } => format!("malformed: {reason}"),
            other => format!("{other:?}"),
        }),
        Update::Retrying { cause, .. } => Some(format!("retry: {cause}")),
        other => Some(format!("{other:?}")),
    }
}
