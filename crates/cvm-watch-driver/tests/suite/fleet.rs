//! What the handle of many watches promises to those who hold it.

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cvm_watch_driver::core::{AttemptId, CvmState, Failure, MemberId, Timestamp, Until};
use cvm_watch_driver::{Update, WatchError};
use cvm_watch_sim::{Attempt, Script};
use futures_core::Stream;

use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// Starting at the first look, running at the second.
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
    let world = World::default();
    let outcomes = world.run(world.client(boot()).watch_all(["a", "b"], "running").max_streams(0));
    let refused = "max streams \"0\" must be at least 1";
    assert_eq!(shown(outcomes), [format!("a {refused}"), format!("b {refused}")]);
    assert_eq!(world.requests().len(), 0);
}

#[test]
fn awaiting_gives_the_outcome_of_each_in_the_order_of_the_ids() {
    let world = World::default();
    let client = world.client_of(|id| match id {
        "lost" => Attempt::json(404, r#"{"detail":"no such CVM"}"#).into(),
        _ => boot(),
    });
    let watches = client.watch_all(["a", "lost", "bad\nid", "b"], "running").max_streams(2);
    let outcomes = shown(world.run(watches));
    assert_eq!(
        outcomes,
        [
            "a running".to_owned(),
            "lost the server rejected the watch: HTTP 404: no such CVM".to_owned(),
            "bad\nid id \"bad\\nid\" has the control byte 0x0a at position 3; remove it".to_owned(),
            "b running".to_owned(),
        ]
    );
    assert_eq!(world.open(), 0);
}

#[test]
fn no_more_connections_are_open_than_asked_for() {
    for (cvms, streams) in [(1, 4), (30, 4), (30, 1), (30, 7)] {
        let world = World::default();
        let ids: Vec<_> = (0..cvms).map(|number| format!("cvm-{number}")).collect();
        let watches = world.client_of(|_| boot()).watch_all(&ids, "running").max_streams(streams);
        let outcomes = world.run(watches);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()) && outcomes.len() == cvms);
        assert!(world.most_open() <= streams, "{} open of {streams}", world.most_open());
        assert_eq!(world.open(), 0);
    }
}

#[test]
fn without_any_stream_each_watch_is_refused() {
    let world = World::default();
    let mut watches = world.client_of(|_| boot()).watch_all(["a", "b"], "running").max_streams(0);
    let ends = world.run(async { [watches.next_update().await, watches.next_update().await] });
    assert_eq!(ends, [0, 1].map(|number| Some((member(number), Update::Ended))));
    let refused = r#"max streams "0" must be at least 1"#;
    assert_eq!(shown(world.run(watches)), [format!("a {refused}"), format!("b {refused}")]);
    assert_eq!(world.requests().len(), 0);
}

#[test]
fn the_same_handle_is_a_stream_of_updates_that_says_who_has_ended() {
    let world = World::default();
    let mut watches = world.client_of(|_| boot()).watch_all(["a", "b"], "running").max_streams(1);
    let mut seen = Vec::new();
    world.run(async {
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
    assert_eq!(shown(world.run(watches)), ["a running", "b running"]);
}

#[test]
fn where_any_is_enough_the_first_ends_the_others_and_closes_their_connections() {
    let world = World::default();
    let client = world.client_of(|id| match id {
        "quick" => boot(),
        _ => Attempt::stream().state("starting").stall().into(),
    });
    let watches = client.watch_all(["slow", "quick", "slower"], "running").until(Until::Any);
    let outcomes = world.run(watches);
    let ends: Vec<_> = outcomes.iter().map(|(id, outcome)| (id.as_str(), outcome.is_ok())).collect();
    assert_eq!(ends, [("slow", false), ("quick", true), ("slower", false)]);
    assert!(outcomes.iter().all(|(_, outcome)| match outcome {
        Ok(_) => true,
        Err(error) => matches!(error.failure(), Some(Failure::Aborted)),
    }));
    assert_eq!(world.open(), 0);
}

#[test]
fn one_deadline_holds_for_all_and_passes_exactly_then() {
    let world = World::default();
    let watches = world.client_of(|_| Attempt::stream().stall().into()).watch_all(["a", "b", "c"], "running");
    let outcomes = world.run(watches.max_streams(1).configure(|config| config.deadline(Duration::from_millis(33_333))));
    for (id, outcome) in outcomes {
        assert!(matches!(outcome.unwrap_err().failure(), Some(Failure::DeadlineExceeded { .. })), "{id}");
    }
    assert_eq!(world.now(), Timestamp::from_millis(33_333));
}

#[test]
fn an_abort_ends_all_at_once_and_dropping_the_handle_closes_every_connection() {
    let world = World::default();
    let client = world.client_of(|_| Attempt::stream().state("starting").stall().into());
    let abort = Arc::new(AtomicBool::new(false));
    let signal = Arc::clone(&abort);
    let signal = poll_fn(move |_| if signal.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending });
    let watches = client.watch_all(["a", "b", "c"], "running").max_streams(2);
    let mut task = pin!(watches.abort_on(signal).into_future());
    assert!(world.poll(task.as_mut()).is_pending());
    assert_eq!(world.open(), 2);
    abort.store(true, Ordering::Relaxed);
    let Poll::Ready(outcomes) = world.poll(task.as_mut()) else { panic!("the abort was not heard") };
    let aborted = |error: &WatchError| matches!(error.failure(), Some(Failure::Aborted));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.as_ref().is_err_and(aborted)), "{outcomes:?}");
    assert_eq!((outcomes.len(), world.open()), (3, 0));

    let mut task = Box::pin(client.watch_all(["a", "b", "c"], "running").max_streams(2).into_future());
    assert!(world.poll(task.as_mut()).is_pending());
    assert_eq!(world.open(), 2);
    drop(task);
    assert_eq!(world.open(), 0);
}

#[test]
fn an_abort_is_heard_in_a_flood_of_all_streams() {
    let world = World::default();
    let flood = || Attempt::stream().repeat(": beat\n", Duration::ZERO, 100_000).complete("running");
    let watches = world.client_of(move |_| flood().into()).watch_all(["a", "b"], "running");
    let outcomes = world.run(watches.abort_on(std::future::ready(())));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()));
    assert_eq!((world.open(), world.requests().len()), (0, 0));
}

#[test]
fn a_callback_sees_each_event_with_its_id_and_may_stop_it_all() {
    let world = World::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let also_seen = Arc::clone(&seen);
    let watches = world.client_of(|_| boot()).watch_all(["a", "b"], "running").on_event(move |id, _| {
        also_seen.lock().unwrap().push(id.to_owned());
        if id == "b" { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    let outcomes = world.run(watches);
    assert_eq!(*seen.lock().unwrap(), ["a", "b"]);
    assert!(matches!(outcomes[0].1.as_ref().unwrap_err().failure(), Some(Failure::Aborted)));
    assert!(matches!(&outcomes[1].1, Err(WatchError::Stopped(error)) if error.to_string() == "enough"));
    assert_eq!(world.open(), 0);
}

#[test]
fn a_flood_on_one_stream_holds_up_neither_the_others_nor_the_runtime() {
    let world = World::default();
    let client = world.client_of(|id| match id {
        "flood" => Attempt::stream().repeat(": beat\n", Duration::ZERO, 10_000).stall().into(),
        _ => Attempt::stream().wait(SECOND).complete("running").into(),
    });
    let watches = client.watch_all(["flood", "calm"], "running").configure(|config| config.deadline(60 * SECOND));
    let outcomes = world.run(watches);
    assert!(outcomes[0].1.is_err() && outcomes[1].1.is_ok());
    assert!(world.polls() >= 10_000 / 32, "polled {} times", world.polls());
}

#[test]
fn bytes_that_are_ready_on_any_stream_are_read_before_a_timer_is_judged() {
    let world = World::default();
    // The byte is ready at the very moment at which the idle timeout passes, on every stream.
    let script = || Attempt::stream().wait(10 * SECOND).comment("beat").wait(10 * SECOND).complete("running");
    let watches = world.client_of(move |_| script().into()).watch_all(["a", "b", "c"], "running");
    let outcomes = world.run(watches.configure(|config| config.idle_timeout(10 * SECOND).max_retries(0)));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
}

#[test]
fn after_a_nap_every_stream_is_opened_anew() {
    let world = World::default();
    let mut task = pin!(
        world
            .client_of(|_| boot())
            .watch_all(["a", "b"], "running")
            .configure(|config| config.max_retries(0))
            .into_future()
    );
    assert!(world.poll(task.as_mut()).is_pending());
    world.nap(8 * 3600 * SECOND);
    let outcomes = world.run(task);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
}

#[test]
fn a_nap_in_which_no_timer_came_due_is_noticed_too() {
    let world = World::default();
    let mut task = pin!(world.client_of(|_| boot()).watch_all(["a", "b"], "running").into_future());
    assert!(world.poll(task.as_mut()).is_pending());
    world.nap(20 * SECOND);
    let outcomes = world.run(task);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    assert!(world.now() < Timestamp::from_secs(30), "it waited until {}", world.now());
}

#[test]
fn a_flood_on_one_stream_keeps_no_timer_of_another_from_being_judged() {
    let world = World::default();
    let client = world.client_of(|id| match id {
        "flood" => Attempt::stream().repeat("event: x\ndata: x\n\n", Duration::ZERO, 1000).stall().into(),
        _ => Attempt::stream().stall().into(),
    });
    let watches = client.watch_all(["flood", "silent"], "running");
    let mut watches = watches.configure(|config| config.idle_timeout(10 * SECOND).max_retries(0));
    // Each event takes the caller a second, and meanwhile the next one has come.
    for _ in 0..20 {
        assert!(world.poll(pin!(watches.next_update())).is_ready());
        world.jump(SECOND);
    }
    assert!(watches.outcome(member(1)).is_some_and(Result::is_err), "at {}", world.now());
    assert!(watches.outcome(member(0)).is_none());
}

#[test]
fn a_steady_target_that_counts_is_told() {
    let world = World::default();
    let client = world.client_of(|_| Attempt::stream().state("running").stall().into());
    let mut alone = client.watch("my-cvm", "running").configure(|config| config.after_change(20 * SECOND));
    let steady = |update: &Update| *update == Update::steady_target(20 * SECOND);
    let mut told = 0;
    world.run(async {
        while let Some(update) = alone.next_update().await {
            told += usize::from(steady(&update));
        }
    });
    let mut all = client.watch_all(["a", "b"], "running").configure(|config| config.after_change(20 * SECOND));
    world.run(async {
        while let Some((_, update)) = all.next_update().await {
            told += usize::from(steady(&update));
        }
    });
    assert_eq!(told, 3);
}

#[test]
fn a_caller_that_takes_its_time_does_not_starve_a_crowd() {
    for (cvms, streams, seconds) in [(5, 4, 3), (8, 4, 3), (2, 1, 11)] {
        let world = World::default();
        let script = || Script::new().then(Attempt::stream().wait(SECOND / 10).state("running").complete("running"));
        let ids: Vec<_> = (0..cvms).map(|number| format!("cvm-{number}")).collect();
        let mut watches = world.client_of(move |_| script()).watch_all(&ids, "running").max_streams(streams);
        watches = watches.configure(|config| config.deadline(3600 * SECOND));
        world.run(async {
            while watches.next_update().await.is_some() {
                world.jump(seconds * SECOND);
            }
        });
        assert!((0..cvms).all(|cvm| watches.outcome(member(cvm)).is_some_and(Result::is_ok)), "{cvms} over {streams}");
    }
}

#[test]
fn an_abort_takes_nothing_back_of_what_has_ended() {
    let world = World::default();
    let abort = Arc::new(AtomicBool::new(false));
    let signal = Arc::clone(&abort);
    let signal = poll_fn(move |_| if signal.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending });
    let client = world.client_of(|_| Attempt::stream().state("running").stall().into());
    let watches = client.watch_all(["a", "b"], "running").abort_on(signal);
    let mut watches = watches.configure(|config| config.after_change(20 * SECOND));
    let mut steady = 0;
    world.run(async {
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
        let world = World::default();
        let task = Arc::new(Task);
        let waker = std::task::Waker::from(Arc::clone(&task));
        let stall = || Attempt::stream().state("starting").stall().into();
        let done = || Attempt::stream().complete("running").into();
        let client = world.client_of(move |_| if drop_it_early { stall() } else { done() });
        let mut watches = Box::pin(client.watch_all(["a", "b"], "running").into_future());
        let mut cx = std::task::Context::from_waker(&waker);
        assert_eq!(watches.as_mut().poll(&mut cx).is_pending(), drop_it_early);
        drop(watches);
        drop((waker, client, world));
        assert_eq!(Arc::strong_count(&task), 1, "dropped early: {drop_it_early}");
    }
}

#[test]
fn a_handle_says_how_many_it_watches_and_where_it_stands() {
    let world = World::default();
    let client = world.client_of(|_| Attempt::stream().stall().into());
    let mut all = client.watch_all(["a", "b"], "running");
    let mut one = client.watch("a", "running");
    assert_eq!((all.len(), all.is_empty(), all.id(member(1)), all.id(member(2))), (2, false, Some("b"), None));
    assert_eq!(format!("{all:?}"), r#"FleetHandle { len: 2, stage: "planned" }"#);
    assert_eq!(format!("{one:?}"), r#"WatchHandle { id: "a", stage: "planned" }"#);
    let next = poll_fn(|cx| Pin::new(&mut all).poll_next(cx));
    assert_eq!(world.run(next), Some((member(0), Update::connecting(AttemptId::from_number(1)))));
    assert!(world.poll(pin!(one.next_update())).is_ready());
    let (all, one) = (format!("{:?}", all.into_future()), format!("{:?}", one.into_future()));
    assert_eq!(all, r#"FleetFuture(FleetHandle { len: 2, stage: "running" })"#);
    assert_eq!(one, r#"WatchFuture(WatchHandle { id: "a", stage: "running" })"#);
}

#[test]
fn a_fleet_of_none_ends_at_once() {
    let world = World::default();
    let watches = world.client_of(|_| boot()).watch_all(Vec::<String>::new(), "running");
    assert!(watches.is_empty());
    assert_eq!(world.run(watches).len(), 0);
}
