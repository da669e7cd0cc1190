//! The handle of many watches.

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{AttemptId, CvmState, Failure, MemberId, Timestamp, Until};
use cvm_watch_driver::{Update, WatchError};
use cvm_watch_sim::{Attempt, Script};
use futures_core::Stream;

use crate::sim::{client, start};

const SECOND: Duration = Duration::from_secs(1);

/// Starting at the first check, running at the second.
fn boot() -> Script {
    Script::new()
        .then(Attempt::stream().state("starting").stall())
        .then(Attempt::stream().state("running").complete("running"))
}

fn member(number: u64) -> MemberId {
    MemberId::from_number(number)
}

fn shown(outcomes: Vec<(String, Result<CvmState, WatchError>)>) -> Vec<String> {
    let shown = |(id, outcome): (String, Result<CvmState, _>)| match outcome {
        Ok(state) => format!("{id} {}", state.status),
        Err(error) => format!("{id} {error}"),
    };
    outcomes.into_iter().map(shown).collect()
}

#[test]
fn a_fleet_without_a_slot_is_refused_before_any_request() {
    let sim = start();
    let outcomes = sim.time().run(client(&sim, boot()).watch_all(["a", "b"], "running").max_streams(0));
    let refused = "max streams \"0\" must be at least 1";
    assert_eq!(shown(outcomes), [format!("a {refused}"), format!("b {refused}")]);
    assert_eq!(sim.log().requests().len(), 0);
}

#[test]
fn awaiting_gives_the_outcome_of_each_in_the_order_of_the_ids() {
    let sim = start();
    let client = client(&sim, boot());
    sim.script("lost", Attempt::json(404, r#"{"detail":"no such CVM"}"#));
    let watches = client.watch_all(["a", "lost", "bad\nid", "b"], "running").max_streams(2);
    let outcomes = shown(sim.time().run(watches));
    assert_eq!(
        outcomes,
        [
            "a running".to_owned(),
            "lost the server rejected the watch: HTTP 404: no such CVM".to_owned(),
            "bad\nid id \"bad\\nid\" has the control byte 0x0a at position 3; remove it".to_owned(),
            "b running".to_owned(),
        ]
    );
    assert_eq!(sim.log().open_connections(), 0);
}

#[test]
fn no_more_connections_are_open_than_asked_for() {
    for (cvms, streams) in [(1, 4), (30, 4), (30, 1), (30, 7)] {
        let sim = start();
        let ids: Vec<_> = (0..cvms).map(|number| format!("cvm-{number}")).collect();
        let watches = client(&sim, boot()).watch_all(&ids, "running").max_streams(streams);
        let outcomes = sim.time().run(watches);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()) && outcomes.len() == cvms);
        assert!(sim.peak_streams() <= streams, "{} open of {streams}", sim.peak_streams());
        assert_eq!(sim.log().open_connections(), 0);
    }
}

#[test]
fn without_any_stream_each_watch_is_refused() {
    let sim = start();
    let mut watches = client(&sim, boot()).watch_all(["a", "b"], "running").max_streams(0);
    let ends = sim.time().run(async { [watches.next_update().await, watches.next_update().await] });
    assert_eq!(ends, [0, 1].map(|number| Some((member(number), Update::Ended))));
    let refused = r#"max streams "0" must be at least 1"#;
    assert_eq!(shown(sim.time().run(watches)), [format!("a {refused}"), format!("b {refused}")]);
    assert_eq!(sim.log().requests().len(), 0);
}

#[test]
fn the_same_handle_is_a_stream_of_updates_that_says_who_has_ended() {
    let sim = start();
    let mut watches = client(&sim, boot()).watch_all(["a", "b"], "running").max_streams(1);
    let mut seen = Vec::new();
    sim.time().run(async {
        while let Some(update) = watches.next_update().await {
            seen.push(match update {
                (member, Update::Connecting { attempt, .. }) => format!("{member} connecting {attempt}"),
                (member, Update::Ended) => {
                    let id = watches.id(member).unwrap();
                    format!("{member} ended: {id} {}", watches.outcome(member).unwrap().as_ref().unwrap().status)
                }
                (member, _) => format!("{member} event"),
            });
        }
    });
    let expected = [
        "0 connecting 1",
        "0 event",
        "1 connecting 1",
        "1 event",
        "0 connecting 2",
        "0 event",
        "0 event",
        "0 ended: a running",
        "1 connecting 2",
        "1 event",
        "1 event",
        "1 ended: b running",
    ];
    assert_eq!(seen, expected);
    assert_eq!(shown(sim.time().run(watches)), ["a running", "b running"]);
}

#[test]
fn where_any_is_enough_the_first_ends_the_others_and_closes_their_connections() {
    let sim = start();
    let client = client(&sim, Attempt::stream().state("starting").stall());
    sim.script("quick", boot());
    let watches = client.watch_all(["slow", "quick", "slower"], "running").until(Until::Any);
    let outcomes = sim.time().run(watches);
    let ends: Vec<_> = outcomes.iter().map(|(id, outcome)| (id.as_str(), outcome.is_ok())).collect();
    assert_eq!(ends, [("slow", false), ("quick", true), ("slower", false)]);
    assert!(outcomes.iter().all(|(_, outcome)| match outcome {
        Ok(_) => true,
        Err(error) => matches!(error.failure(), Some(Failure::Aborted)),
    }));
    assert_eq!(sim.log().open_connections(), 0);
}

#[test]
fn one_deadline_holds_for_all_and_passes_exactly_then() {
    let sim = start();
    let watches = client(&sim, Attempt::stream().stall()).watch_all(["a", "b", "c"], "running");
    let outcomes =
        sim.time().run(watches.max_streams(1).configure(|config| config.deadline(Duration::from_millis(33_333))));
    for (id, outcome) in outcomes {
        assert!(matches!(outcome.unwrap_err().failure(), Some(Failure::DeadlineExceeded { .. })), "{id}");
    }
    assert_eq!(sim.time().now(), Timestamp::from_millis(33_333));
}

#[test]
fn an_abort_ends_all_at_once_and_dropping_the_handle_closes_every_connection() {
    let sim = start();
    let client = client(&sim, Attempt::stream().state("starting").stall());
    let abort = Arc::new(AtomicBool::new(false));
    let signal = Arc::clone(&abort);
    let signal = poll_fn(move |_| if signal.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending });
    let watches = client.watch_all(["a", "b", "c"], "running").max_streams(2);
    let mut task = pin!(watches.abort_on(signal).into_future());
    assert!(sim.time().poll(task.as_mut()).is_pending());
    assert_eq!(sim.log().open_connections(), 2);
    abort.store(true, Ordering::Relaxed);
    let Poll::Ready(outcomes) = sim.time().poll(task.as_mut()) else { panic!("the abort was not heard") };
    let aborted = |error: &WatchError| matches!(error.failure(), Some(Failure::Aborted));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.as_ref().is_err_and(aborted)), "{outcomes:?}");
    assert_eq!((outcomes.len(), sim.log().open_connections()), (3, 0));

    let mut task = Box::pin(client.watch_all(["a", "b", "c"], "running").max_streams(2).into_future());
    assert!(sim.time().poll(task.as_mut()).is_pending());
    assert_eq!(sim.log().open_connections(), 2);
    drop(task);
    assert_eq!(sim.log().open_connections(), 0);
}

#[test]
fn an_abort_is_heard_in_a_flood_of_all_streams() {
    let sim = start();
    let flood = || Attempt::stream().repeat(": beat\n", Duration::ZERO, 100_000).complete("running");
    let watches = client(&sim, flood()).watch_all(["a", "b"], "running");
    let outcomes = sim.time().run(watches.abort_on(std::future::ready(())));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()));
    assert_eq!((sim.log().open_connections(), sim.log().requests().len()), (0, 0));
}

#[test]
fn a_callback_sees_each_event_with_its_id_and_may_stop_it_all() {
    let sim = start();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let also_seen = Arc::clone(&seen);
    let watches = client(&sim, boot()).watch_all(["a", "b"], "running").on_event(move |id, _| {
        also_seen.lock().unwrap().push(id.to_owned());
        if id == "b" { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    let outcomes = sim.time().run(watches);
    assert_eq!(*seen.lock().unwrap(), ["a", "b"]);
    assert!(matches!(outcomes[0].1.as_ref().unwrap_err().failure(), Some(Failure::Aborted)));
    assert!(matches!(&outcomes[1].1, Err(WatchError::Stopped(error)) if error.to_string() == "enough"));
    assert_eq!(sim.log().open_connections(), 0);
}

#[test]
fn a_flood_on_one_stream_holds_up_neither_the_others_nor_the_runtime() {
    let sim = start();
    let client = client(&sim, Attempt::stream().wait(SECOND).complete("running"));
    sim.script("flood", Attempt::stream().repeat(": beat\n", Duration::ZERO, 10_000).stall());
    let watches = client.watch_all(["flood", "calm"], "running").configure(|config| config.deadline(60 * SECOND));
    let outcomes = sim.time().run(watches);
    assert!(outcomes[0].1.is_err() && outcomes[1].1.is_ok());
    assert!(sim.time().polls() >= 10_000 / 32, "polled {} times", sim.time().polls());
}

#[test]
fn bytes_that_are_ready_on_any_stream_are_read_before_a_timer_is_judged() {
    let sim = start();
    // The byte is ready at the very moment at which the idle timeout passes, on every stream.
    let script = || Attempt::stream().wait(10 * SECOND).comment("beat").wait(10 * SECOND).complete("running");
    let watches = client(&sim, script()).watch_all(["a", "b", "c"], "running");
    let outcomes = sim.time().run(watches.configure(|config| config.idle_timeout(10 * SECOND).max_retries(0)));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
}

#[test]
fn after_a_resume_every_stream_of_a_fleet_is_reopened() {
    let sim = start();
    let mut task = pin!(
        client(&sim, boot()).watch_all(["a", "b"], "running").configure(|config| config.max_retries(0)).into_future()
    );
    assert!(sim.time().poll(task.as_mut()).is_pending());
    sim.time().suspend(8 * 3600 * SECOND);
    let outcomes = sim.time().run(task);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
}

#[test]
fn a_system_sleep_without_a_due_timer_is_noticed_too() {
    let sim = start();
    let mut task = pin!(client(&sim, boot()).watch_all(["a", "b"], "running").into_future());
    assert!(sim.time().poll(task.as_mut()).is_pending());
    sim.time().suspend(20 * SECOND);
    let outcomes = sim.time().run(task);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    assert!(sim.time().now() < Timestamp::from_secs(30), "it waited until {}", sim.time().now());
}

#[test]
fn a_flood_on_one_stream_keeps_no_timer_of_another_from_being_judged() {
    let sim = start();
    let client = client(&sim, Attempt::stream().stall());
    sim.script("flood", Attempt::stream().repeat("event: x\ndata: x\n\n", Duration::ZERO, 1000).stall());
    let watches = client.watch_all(["flood", "silent"], "running");
    let mut watches = watches.configure(|config| config.idle_timeout(10 * SECOND).max_retries(0));
    // Each event takes the caller a second, and meanwhile the next one has come.
    for _ in 0..20 {
        assert!(sim.time().poll(pin!(watches.next_update())).is_ready());
        sim.time().pass(SECOND);
    }
    assert!(watches.outcome(member(1)).is_some_and(Result::is_err), "at {}", sim.time().now());
    assert!(watches.outcome(member(0)).is_none());
}

#[test]
fn a_steady_target_that_counts_is_reported() {
    let sim = start();
    let client = client(&sim, Attempt::stream().state("running").stall());
    let mut alone = client.watch("my-cvm", "running").configure(|config| config.after_change(20 * SECOND));
    let steady = |update: &Update| *update == Update::steady_target(20 * SECOND);
    let mut told = 0;
    sim.time().run(async {
        while let Some(update) = alone.next_update().await {
            told += usize::from(steady(&update));
        }
    });
    let mut all = client.watch_all(["a", "b"], "running").configure(|config| config.after_change(20 * SECOND));
    sim.time().run(async {
        while let Some((_, update)) = all.next_update().await {
            told += usize::from(steady(&update));
        }
    });
    assert_eq!(told, 3);
}

#[test]
fn a_slow_caller_does_not_starve_other_members() {
    for (cvms, streams, seconds) in [(5, 4, 3), (8, 4, 3), (2, 1, 11)] {
        let sim = start();
        let script = || Script::new().then(Attempt::stream().wait(SECOND / 10).state("running").complete("running"));
        let ids: Vec<_> = (0..cvms).map(|number| format!("cvm-{number}")).collect();
        let mut watches = client(&sim, script()).watch_all(&ids, "running").max_streams(streams);
        watches = watches.configure(|config| config.deadline(3600 * SECOND));
        sim.time().run(async {
            while watches.next_update().await.is_some() {
                sim.time().pass(seconds * SECOND);
            }
        });
        assert!((0..cvms).all(|cvm| watches.outcome(member(cvm)).is_some_and(Result::is_ok)), "{cvms} over {streams}");
    }
}

#[test]
fn an_abort_takes_nothing_back_of_what_has_ended() {
    let sim = start();
    let abort = Arc::new(AtomicBool::new(false));
    let signal = Arc::clone(&abort);
    let signal = poll_fn(move |_| if signal.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending });
    let client = client(&sim, Attempt::stream().state("running").stall());
    let watches = client.watch_all(["a", "b"], "running").abort_on(signal);
    let mut watches = watches.configure(|config| config.after_change(20 * SECOND));
    let mut steady = 0;
    sim.time().run(async {
        while let Some(update) = watches.next_update().await {
            if let (_, Update::SteadyTarget { .. }) = update {
                steady += 1;
                abort.store(true, Ordering::Relaxed);
            }
        }
    });
    let reached = (0..2).filter(|index| watches.outcome(member(*index)).is_some_and(Result::is_ok)).count();
    assert_eq!(steady, reached);
}

struct Task;

impl std::task::Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_fleet_that_is_over_or_dropped_leaves_no_waker_behind() {
    for drop_it_early in [false, true] {
        let sim = start();
        let task = Arc::new(Task);
        let waker = std::task::Waker::from(Arc::clone(&task));
        let stall = || Attempt::stream().state("starting").stall();
        let done = || Attempt::stream().complete("running");
        let client = client(&sim, if drop_it_early { stall() } else { done() });
        let mut watches = Box::pin(client.watch_all(["a", "b"], "running").into_future());
        let mut cx = std::task::Context::from_waker(&waker);
        assert_eq!(watches.as_mut().poll(&mut cx).is_pending(), drop_it_early);
        drop(watches);
        drop((waker, client, sim));
        assert_eq!(Arc::strong_count(&task), 1, "dropped early: {drop_it_early}");
    }
}

#[test]
fn a_handle_says_how_many_it_watches_and_where_it_stands() {
    let sim = start();
    let client = client(&sim, Attempt::stream().stall());
    let mut all = client.watch_all(["a", "b"], "running");
    let mut one = client.watch("a", "running");
    assert_eq!((all.len(), all.is_empty(), all.id(member(1)), all.id(member(2))), (2, false, Some("b"), None));
    assert_eq!(format!("{all:?}"), r#"FleetHandle { len: 2, stage: "planned" }"#);
    assert_eq!(format!("{one:?}"), r#"WatchHandle { id: "a", stage: "planned" }"#);
    let next = poll_fn(|cx| Pin::new(&mut all).poll_next(cx));
    assert_eq!(sim.time().run(next), Some((member(0), Update::connecting(AttemptId::from_number(1)))));
    assert!(sim.time().poll(pin!(one.next_update())).is_ready());
    let (all, one) = (format!("{:?}", all.into_future()), format!("{:?}", one.into_future()));
    assert_eq!(all, r#"FleetFuture(FleetHandle { len: 2, stage: "running" })"#);
    assert_eq!(one, r#"WatchFuture(WatchHandle { id: "a", stage: "running" })"#);
}

#[test]
fn a_fleet_of_none_ends_at_once() {
    let sim = start();
    let watches = client(&sim, boot()).watch_all(Vec::<String>::new(), "running");
    assert!(watches.is_empty());
    assert_eq!(sim.time().run(watches).len(), 0);
}

#[test]
fn an_id_given_several_times_is_watched_as_often_and_costs_no_more_than_other_ids() {
    let polls = |ids: Vec<String>| {
        let sim = start();
        let client = client(&sim, Attempt::stream().complete("running"));
        let count = ids.len();
        let outcomes = sim.time().run(client.watch_all(ids, "running"));
        assert!(outcomes.len() == count && outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
        assert_eq!(sim.log().requests().len(), count);
        sim.time().polls()
    };
    let others = polls((0..500).map(|number| format!("cvm-{number}")).collect());
    assert_eq!(polls(vec!["cvm".to_owned(); 500]), others);
}
