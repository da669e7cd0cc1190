//! The handle of one watch.

use std::cell::Cell;
use std::future::pending;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{Event, Failure, RetryCause, Timestamp};
use cvm_watch_driver::{Update, WatchError};
use cvm_watch_sim::{Attempt, Script};

use crate::sim::{client, start};

const SECOND: Duration = Duration::from_secs(1);

fn boot() -> Script {
    Script::new()
        .then(Attempt::stream().state("starting").wait(SECOND).reset())
        .then(Attempt::stream().state("starting").wait(SECOND).state("running").complete("running"))
}

fn shown(update: &Update) -> String {
    match update {
        Update::Connecting { attempt, .. } => format!("connecting {attempt}"),
        Update::Event { attempt, event: Event::State(state), .. } => format!("{attempt} state {}", state.status),
        Update::Event { attempt, event: Event::Complete(_), .. } => format!("{attempt} complete"),
        Update::Retrying { attempt, delay, cause, .. } => format!("retrying after {attempt} in {delay:?}: {cause}"),
        Update::Ended => "ended".to_owned(),
        other => format!("{other:?}"),
    }
}

const BOOT: [&str; 8] = [
    "connecting 1",
    "1 state starting",
    "retrying after 1 in 3s: the connection was reset",
    "connecting 2",
    "2 state starting",
    "2 state running",
    "2 complete",
    "ended",
];

#[test]
fn awaiting_gives_the_state_at_the_target() {
    let sim = start();
    let watch = client(&sim, boot()).watch("my-cvm", "running").retry_delay(3 * SECOND);
    let state = sim.time().run(watch).unwrap();
    assert_eq!(state.status, "running");
    assert_eq!((sim.time().now(), sim.log().open_connections()), (Timestamp::from_secs(5), 0));
    assert_eq!(sim.log().requests()[0].uri, "/api/v1/cvms/my-cvm/state?target=running&interval=5&timeout=300");
}

#[test]
fn the_same_handle_is_a_stream_of_updates_and_then_tells_the_outcome() {
    let sim = start();
    let mut watch = client(&sim, boot()).watch("my-cvm", "running").retry_delay(3 * SECOND);
    let (updates, outcome) = sim.time().run(async {
        let mut updates = Vec::new();
        while let Some(update) = watch.next_update().await {
            updates.push(shown(&update));
        }
        assert_eq!(watch.next_update().await, None, "an ended watch says nothing more");
        (updates, watch.await)
    });
    assert_eq!(updates, BOOT);
    assert_eq!(outcome.unwrap().status, "running");
}

#[test]
fn a_callback_hears_each_event_and_nothing_else() {
    let sim = start();
    let heard = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&heard);
    let watch = client(&sim, boot()).watch("my-cvm", "running").on_event(move |_| *counter.lock().unwrap() += 1);
    sim.time().run(watch).unwrap();
    assert_eq!(*heard.lock().unwrap(), 4);
}

#[test]
fn a_callback_can_stop_the_watch_with_its_own_error() {
    let sim = start();
    let watch = client(&sim, boot()).watch("my-cvm", "running").on_event(|event| match event {
        Event::State(_) => ControlFlow::Break("enough"),
        _ => ControlFlow::Continue(()),
    });
    let error = sim.time().run(watch).unwrap_err();
    assert!(matches!(&error, WatchError::Stopped(_)), "{error}");
    assert_eq!(error.to_string(), "the event callback stopped the watch");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "enough");
    assert_eq!((sim.log().open_connections(), sim.log().requests().len()), (0, 1), "its connection is closed");
}

#[test]
fn nothing_happens_before_the_first_poll_or_when_a_parameter_is_refused() {
    let sim = start();
    let client = client(&sim, boot());
    drop(client.watch("my-cvm", "running"));
    let error = sim.time().run(client.watch("..", "running")).unwrap_err();
    assert!(matches!(&error, WatchError::Config(error) if error.field() == "id"), "{error}");
    let error = sim.time().run(client.watch("my-cvm", "running").interval(4 * SECOND)).unwrap_err();
    assert!(matches!(&error, WatchError::Config(error) if error.field() == "interval"), "{error}");
    assert_eq!(sim.log().requests().len(), 0);
}

#[test]
fn an_abort_ends_it_at_once_in_every_phase() {
    let scripts = [
        ("before the head", Attempt::new().stall().into(), 4),
        ("streaming", Attempt::stream().state("starting").stall().into(), 4),
        ("waiting to retry", Script::from(Attempt::new().refuse()), 4),
        ("reading an error", Attempt::new().head(503, &[]).stall().into(), 0),
    ];
    for (phase, script, seconds) in scripts {
        let sim = start();
        let signal = sim.time().sleep_until(Timestamp::from_secs(seconds));
        let shared = Arc::new(Mutex::new(false));
        let told = Arc::clone(&shared);
        let watch = client(&sim, script).watch("my-cvm", "running").abort_on(std::future::poll_fn(move |_| {
            if *told.lock().unwrap() { Poll::Ready("any output") } else { Poll::Pending }
        }));
        let mut task = pin!(watch.into_future());
        assert!(sim.time().poll(task.as_mut()).is_pending(), "{phase}");
        let mut signal = pin!(signal);
        while sim.time().now() < Timestamp::from_secs(seconds) && sim.time().poll(signal.as_mut()).is_pending() {
            sim.time().advance();
            assert!(sim.time().poll(task.as_mut()).is_pending(), "{phase}");
        }
        let before = sim.time().now();
        *shared.lock().unwrap() = true;
        let Poll::Ready(Err(error)) = sim.time().poll(task.as_mut()) else { panic!("{phase}: not ended") };
        assert_eq!(error.failure(), Some(&Failure::Aborted), "{phase}");
        assert_eq!((sim.time().now(), sim.log().open_connections()), (before, 0), "{phase}");
    }
}

#[test]
fn an_abort_before_the_start_makes_no_request() {
    let sim = start();
    let watch = client(&sim, boot()).watch("my-cvm", "running").abort_on(async {});
    let error = sim.time().run(watch).unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Aborted));
    assert_eq!(sim.log().requests().len(), 0);
}

#[test]
fn a_signal_that_never_comes_changes_nothing() {
    let sim = start();
    let watch = client(&sim, boot()).watch("my-cvm", "running").abort_on(pending::<()>());
    assert!(sim.time().run(watch).is_ok());
}

#[test]
fn an_abort_in_a_flood_is_heard() {
    let sim = start();
    let flood = Attempt::stream().repeat("event: state\ndata: {\"status\":\"starting\"}\n\n", Duration::ZERO, u64::MAX);
    let seen = Arc::new(Mutex::new(0_u32));
    let (count, signal) = (Arc::clone(&seen), Arc::clone(&seen));
    let watch = client(&sim, flood).watch("my-cvm", "running").on_event(move |_| *count.lock().unwrap() += 1).abort_on(
        std::future::poll_fn(move |_| if *signal.lock().unwrap() >= 1000 { Poll::Ready(()) } else { Poll::Pending }),
    );
    let error = sim.time().run(watch).unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Aborted));
    assert_eq!((*seen.lock().unwrap(), sim.log().open_connections()), (1000, 0), "no event comes after the abort");
}

#[test]
fn dropping_the_handle_or_the_future_closes_the_connection() {
    let sim = start();
    let client = client(&sim, Attempt::stream().state("starting").stall());
    let mut task = Box::pin(client.watch("my-cvm", "running").into_future());
    assert!(sim.time().poll(task.as_mut()).is_pending());
    assert_eq!(sim.log().open_connections(), 1);
    drop(task);
    assert_eq!(sim.log().open_connections(), 0);

    let mut watch = client.watch("my-cvm", "running");
    assert!(sim.time().run(watch.next_update()).is_some());
    assert!(sim.time().run(watch.next_update()).is_some());
    assert_eq!(sim.log().open_connections(), 1);
    drop(watch);
    assert_eq!(sim.log().open_connections(), 0);
}

#[test]
fn the_failure_and_the_error_of_the_socket_are_separate() {
    let sim = start();
    let watch = client(&sim, Attempt::stream().reset()).watch("my-cvm", "running").max_retries(0);
    let error = sim.time().run(watch).unwrap_err();
    assert_eq!(error.to_string(), "gave up after 1 attempt: the connection was reset");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the simulated connection ended");
    let Some(Failure::MaxRetriesExceeded { attempts: 1, last_cause, .. }) = error.failure() else {
        panic!("{error:?}")
    };
    assert!(matches!(last_cause, RetryCause::Closed(_)));
}

#[test]
fn each_watch_has_its_own_jitter_unless_it_is_given_a_seed() {
    let delay = |seed: Option<u64>| {
        let sim = start();
        let mut watch = client(&sim, Attempt::new().refuse()).watch("my-cvm", "running");
        if let Some(seed) = seed {
            watch = watch.seed(seed);
        }
        let found = Cell::new(Duration::ZERO);
        sim.time().run(async {
            while let Some(update) = watch.next_update().await {
                if let Update::Retrying { delay, .. } = update {
                    found.set(delay);
                    break;
                }
            }
        });
        found.get()
    };
    assert_eq!(delay(Some(7)), delay(Some(7)));
    assert_ne!(delay(Some(7)), delay(Some(8)));
    let random: std::collections::BTreeSet<_> = (0..8).map(|_| delay(None)).collect();
    assert!(random.len() > 4, "{random:?}");
}

#[test]
fn both_handles_have_every_setter_of_the_policy() {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let builder = read("../cvm-watch-core/src/policy/builder.rs");
    let setters = read("src/setters.rs");
    let names = |text: &str| -> Vec<String> {
        let after = text.split("    pub fn ").skip(1);
        let names =
            after.filter(|rest| rest.contains("mut self")).map(|rest| rest.split('(').next().unwrap().to_owned());
        names.collect()
    };
    let builder = builder.split("#[cfg(test)]").next().unwrap();
    let policy = names(builder);
    assert!(policy.len() > 12, "{policy:?}");
    for name in policy {
        let is_the_clients =
            ["credential", "credential_per_attempt", "workspace", "api_version"].contains(&name.as_str());
        let is_there = setters.contains(&format!(" {name}(")) || setters.contains(&format!(" {name}<"));
        assert!(is_there || is_the_clients, "no handle has {name}");
    }
}

#[test]
fn a_setter_overrides_a_default_of_the_client_and_an_error_can_be_kept() {
    use cvm_watch_driver::{Client, Settings};
    let sim = start();
    let settings = Settings::builder()
        .base_url("http://127.0.0.1:9/api/v1")
        .defaults(|policy| policy.deadline(9 * SECOND))
        .build()
        .unwrap();
    let client = Client::new(settings, sim.clone(), sim.time().clone());
    sim.script_others(Attempt::stream().stall());
    let error = sim.time().run(client.watch("my-cvm", "running")).unwrap_err();
    assert!(error.clone().is_deadline() && error.rejection().is_none());
    assert_eq!(sim.time().now(), Timestamp::from_secs(9));
    let error = sim.time().run(client.watch("my-cvm", "running").deadline(2 * SECOND)).unwrap_err();
    assert!(error.is_deadline());
    assert_eq!(sim.time().now(), Timestamp::from_secs(11));
}
