//! Pools: independent handles over a few slots.

use std::cell::RefCell;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{Action, CvmState, Failure, Timestamp};
use cvm_watch_driver::{Client, Observed, Pool, Update, WatchError};
use cvm_watch_sim::virtual_time::{Tasks, VirtualSim, VirtualTime};
use cvm_watch_sim::{Attempt, Script, Sim};

use crate::sim::{client, start};

const SECOND: Duration = Duration::from_secs(1);

type Outcomes = Rc<RefCell<Vec<(String, Result<CvmState, WatchError>, Timestamp)>>>;

/// A pool whose driver is a task, and the tasks.
fn pool(client: &Client<VirtualSim, VirtualTime>, streams: usize) -> (Pool<VirtualSim, VirtualTime>, Tasks) {
    let (pool, driver) = client.pool();
    let mut tasks = Tasks::default();
    tasks.spawn(driver.max_streams(streams));
    (pool, tasks)
}

fn stall() -> Attempt {
    Attempt::stream().state("starting").stall()
}

/// Starting at the first check, running at the second.
fn boot() -> Script {
    Script::new().then(stall()).then(Attempt::stream().state("running").complete("running"))
}

/// Awaits each of these watches in a separate task.
fn await_each(
    sim: &VirtualSim,
    tasks: &mut Tasks,
    watches: impl IntoIterator<Item = cvm_watch_driver::WatchHandle<VirtualSim, VirtualTime>>,
) -> Outcomes {
    let outcomes = Outcomes::default();
    for watch in watches {
        let (time, outcomes) = (sim.time().clone(), Rc::clone(&outcomes));
        tasks.spawn(async move {
            let id = watch.id().to_owned();
            let outcome = watch.await;
            outcomes.borrow_mut().push((id, outcome, time.now()));
        });
    }
    outcomes
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("cvm-{number}")).collect()
}

/// A server that allows five streams, and on which each CVM boots for five seconds from its first
/// stream on.
fn five_streams() -> VirtualSim {
    let sim = Sim::builder().start_virtual();
    let stream = || Attempt::stream().wait(SECOND / 50);
    let boot = stream().state("starting").wait(5 * SECOND).state("running").complete("running");
    sim.script_others(Script::new().then(boot).then(stream().state("running").complete("running")));
    sim
}

/// Starts thirty watches.
type Start = dyn Fn(&VirtualSim, &Client<VirtualSim, VirtualTime>, &mut Tasks) -> Outcomes;

#[test]
fn thirty_boots_in_a_pool_take_as_long_and_as_many_requests_as_in_a_fleet() {
    let run = |start: &Start| {
        let (sim, mut tasks) = (five_streams(), Tasks::default());
        let outcomes = start(&sim, &sim.client(), &mut tasks);
        assert!(sim.time().run_tasks(&mut tasks));
        let outcomes = outcomes.borrow();
        assert!(outcomes.len() == 30 && outcomes.iter().all(|(_, outcome, _)| outcome.is_ok()), "{outcomes:?}");
        let last = outcomes.iter().map(|(.., at)| *at).max().unwrap();
        (last.since(Timestamp::ZERO).as_secs_f64(), sim.log().requests().len())
    };
    let (alone, requests_alone) = run(&|sim, client, tasks| {
        let watches = ids(30).into_iter().enumerate();
        await_each(sim, tasks, watches.map(|(number, id)| client.watch(id, "running").seed(number as u64)))
    });
    let (in_a_fleet, requests_in_a_fleet) = run(&|sim, client, tasks| {
        let watches = client.watch_all(ids(30), "running").seed(0);
        let (time, outcomes) = (sim.time().clone(), Outcomes::default());
        let shared = Rc::clone(&outcomes);
        tasks.spawn(async move {
            let now = |(id, outcome)| (id, outcome, time.now());
            let all: Vec<_> = watches.await.into_iter().map(now).collect();
            shared.borrow_mut().extend(all);
        });
        outcomes
    });
    let (in_a_pool, requests_in_a_pool) = run(&|sim, client, tasks| {
        let (pool, driver) = client.pool();
        tasks.spawn(driver);
        let watches = ids(30).into_iter().enumerate();
        await_each(sim, tasks, watches.map(|(number, id)| pool.watch(id, "running").seed(number as u64)))
    });
    println!(
        "alone {alone} s, {requests_alone} requests; fleet {in_a_fleet} s, {requests_in_a_fleet} requests; pool {in_a_pool} s, {requests_in_a_pool} requests"
    );
    assert!(alone > 30.0 && requests_alone > 90, "{alone} s, {requests_alone} requests");
    assert!(in_a_fleet < 5.5 && requests_in_a_fleet <= 60, "{in_a_fleet} s, {requests_in_a_fleet} requests");
    assert_eq!((in_a_pool, requests_in_a_pool), (in_a_fleet, requests_in_a_fleet));
}

#[test]
fn a_handle_of_a_pool_reports_what_a_handle_of_a_client_does() {
    let script = || {
        Script::new()
            .then(Attempt::stream().state("starting").wait(SECOND).reset())
            .then(Attempt::stream().state("starting").wait(SECOND).state("running").complete("running"))
    };
    let seen = |in_a_pool: bool| {
        let sim = start();
        let client = client(&sim, script());
        let (pool, mut tasks) = pool(&client, 4);
        let watch = if in_a_pool { pool.watch("my-cvm", "running") } else { client.watch("my-cvm", "running") };
        let mut watch = watch.retry_delay(3 * SECOND).max_retries(1);
        let updates = Rc::new(RefCell::new(Vec::new()));
        let (also_updates, now) = (Rc::clone(&updates), sim.time().clone());
        tasks.spawn(async move {
            while let Some(update) = watch.next_update().await {
                also_updates.borrow_mut().push(format!("{} {update:?}", now.now()));
            }
            assert_eq!(watch.outcome().unwrap().as_ref().unwrap().status, "running");
            assert_eq!(watch.next_update().await, None);
            assert_eq!(watch.await.unwrap().status, "running");
        });
        drop(pool);
        assert!(sim.time().run_tasks(&mut tasks));
        assert_eq!(sim.log().open_connections(), 0);
        updates.take()
    };
    assert_eq!(seen(true), seen(false));
    assert_eq!(seen(true).len(), 8);
}

#[test]
fn watches_join_and_leave_while_the_pool_runs() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, boot()), 1);
    let first = await_each(&sim, &mut tasks, [pool.watch("a", "running")]);
    tasks.poll_woken();
    assert_eq!(sim.log().requests().len(), 1);
    let second = await_each(&sim, &mut tasks, ["b", "c"].map(|id| pool.watch(id, "running")));
    assert!(!sim.time().run_tasks(&mut tasks), "only the driver is left");
    assert_eq!((first.borrow().len(), second.borrow().len(), tasks.len()), (1, 2, 1));
    assert!(sim.peak_streams() == 1 && sim.log().open_connections() == 0);
    let third = await_each(&sim, &mut tasks, [pool.watch("d", "running")]);
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks), "without a pool and handles the driver ends");
    assert!(third.borrow()[0].1.is_ok());
}

#[test]
fn dropping_a_handle_closes_its_connection_and_gives_its_slot_to_another() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, stall()), 1);
    let mut held = Box::new(pool.watch("a", "running"));
    assert!(sim.time().poll(std::pin::pin!(held.next_update())).is_pending());
    tasks.poll_woken();
    assert_eq!((sim.log().requests().len(), sim.log().open_connections()), (1, 1));
    let _waiting = await_each(&sim, &mut tasks, [pool.watch("b", "running")]);
    tasks.poll_woken();
    assert_eq!(sim.log().requests().len(), 1);
    drop(held);
    tasks.poll_woken();
    assert_eq!((sim.log().requests().len(), sim.log().open_connections()), (2, 1));
    assert!(sim.log().requests()[1].uri.contains("/cvms/b/"));
}

#[test]
fn each_handle_is_aborted_alone_and_its_connection_is_closed_by_then() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, stall()), 4);
    let abort = Arc::new(AtomicBool::new(false));
    let signal = Arc::clone(&abort);
    let signal = poll_fn(move |_| if signal.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending });
    let mut aborted = Box::pin(pool.watch("a", "running").abort_on(signal).into_future());
    assert!(sim.time().poll(aborted.as_mut()).is_pending());
    let others = await_each(&sim, &mut tasks, ["b", "c"].map(|id| pool.watch(id, "running")));
    tasks.poll_woken();
    assert!(sim.time().poll(aborted.as_mut()).is_pending());
    assert_eq!(sim.log().open_connections(), 3);
    abort.store(true, Ordering::Relaxed);
    assert!(sim.time().poll(aborted.as_mut()).is_pending(), "the driver has not closed the connection");
    tasks.poll_woken();
    let Poll::Ready(Err(error)) = sim.time().poll(aborted.as_mut()) else { panic!("it goes on") };
    assert!(error.is_aborted());
    assert_eq!((sim.log().open_connections(), others.borrow().len()), (2, 0));
}

#[test]
fn an_abort_before_the_start_makes_no_request() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, stall()), 4);
    let outcomes = await_each(&sim, &mut tasks, [pool.watch("a", "running").abort_on(async {})]);
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks));
    assert!(outcomes.borrow()[0].1.as_ref().unwrap_err().is_aborted());
    assert_eq!(sim.log().requests().len(), 0);
}

#[test]
fn a_callback_stops_its_own_watch_only() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, boot()), 4);
    let stopped = pool.watch("a", "running").on_event(|_| Err::<(), _>("enough"));
    let outcomes = await_each(&sim, &mut tasks, [stopped, pool.watch("b", "running")]);
    drop(pool);
    // A lone stream of "b" stalls until its time limit, after which it is running.
    assert!(sim.time().run_tasks(&mut tasks));
    let outcomes = outcomes.borrow();
    assert!(
        matches!(&outcomes[0], (id, Err(WatchError::Stopped(error)), _) if id == "a" && error.to_string() == "enough")
    );
    assert!(outcomes[1].1.is_ok());
}

#[test]
fn a_slow_caller_is_read_no_further_than_it_takes_and_holds_up_no_other() {
    let sim = start();
    let client = client(&sim, Attempt::stream().wait(SECOND).state("running").complete("running"));
    sim.script("slow", Attempt::stream().repeat("event: x\ndata: x\n\n", Duration::ZERO, 1000).stall());
    let (pool, mut tasks) = pool(&client, 1);
    let mut slow = pool.watch("slow", "running");
    // It is polled only once.
    assert!(sim.time().poll(std::pin::pin!(slow.next_update())).is_pending());
    let others = await_each(&sim, &mut tasks, ids(5).into_iter().map(|id| pool.watch(id, "running")));
    while others.borrow().len() < 5 {
        tasks.poll_woken();
        assert!(sim.time().advance(), "the others are held up");
    }
    assert!(sim.time().now() < Timestamp::from_secs(20), "at {}", sim.time().now());
    assert_eq!(sim.log().requests().iter().filter(|request| request.uri.contains("/slow/")).count(), 1);
    // It receives the updates from before it was polled no more.
    let first = sim.time().poll(std::pin::pin!(slow.next_update()));
    assert!(matches!(first, Poll::Ready(Some(Update::Connecting { .. }))), "{first:?}");
    assert!(sim.time().poll(std::pin::pin!(slow.next_update())).is_pending());
    // Now it gets a slot again.
    tasks.poll_woken();
    assert_eq!(sim.log().requests().iter().filter(|request| request.uri.contains("/slow/")).count(), 2);
}

#[test]
fn waiting_bytes_of_a_slow_caller_prove_that_the_server_lives() {
    let sim = start();
    // All bytes are ready at once.
    let beats = Attempt::stream().repeat("event: x\ndata: x\n\n", Duration::ZERO, 5).complete("running");
    let (pool, mut tasks) = pool(&client(&sim, beats), 1);
    let mut slow = pool.watch("slow", "running").idle_timeout(10 * SECOND).max_retries(0);
    assert!(sim.time().poll(std::pin::pin!(slow.next_update())).is_pending());
    tasks.poll_woken();
    while sim.time().now() < Timestamp::from_secs(40) && sim.time().advance() {
        tasks.poll_woken();
    }
    let mut updates = 0;
    let outcome = Rc::new(RefCell::new(None));
    let ended = Rc::clone(&outcome);
    tasks.spawn(async move {
        while let Some(update) = slow.next_update().await {
            updates += usize::from(matches!(update, Update::Event { .. }));
        }
        *ended.borrow_mut() = Some((updates, slow.await.is_ok()));
    });
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks));
    assert_eq!(*outcome.borrow(), Some((6, true)));
}

#[test]
fn dropping_the_driver_closes_every_connection_and_ends_every_handle() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, stall()), 1);
    let mut handles = Tasks::default();
    let outcomes = await_each(&sim, &mut handles, ["a", "b"].map(|id| pool.watch(id, "running")));
    handles.poll_woken();
    tasks.poll_woken();
    assert_eq!(sim.log().open_connections(), 1);
    let late = await_each(&sim, &mut handles, [pool.watch("c", "running")]);
    handles.poll_woken();
    drop(tasks);
    assert_eq!(sim.log().open_connections(), 0);
    handles.poll_woken();
    let never = await_each(&sim, &mut handles, [pool.watch("d", "running")]);
    handles.poll_woken();
    for outcomes in [outcomes, late, never] {
        let all = outcomes.take();
        assert!(!all.is_empty());
        assert!(all.iter().all(|(_, outcome, _)| matches!(outcome, Err(WatchError::DriverDropped))), "{all:?}");
    }
}

#[test]
fn a_pool_without_slots_refuses_each_watch() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, stall()), 0);
    let outcomes = await_each(&sim, &mut tasks, [pool.watch("a", "running")]);
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks));
    let error = outcomes.borrow()[0].1.as_ref().unwrap_err().to_string();
    assert_eq!(error, r#"max streams "0" must be at least 1"#);
}

#[test]
fn a_refused_parameter_ends_its_handle_without_the_driver() {
    let sim = start();
    let (pool, _driver) = client(&sim, stall()).pool();
    let error = sim.time().run(pool.watch("..", "running")).unwrap_err();
    assert!(matches!(&error, WatchError::Config(error) if error.field() == "id"), "{error}");
}

#[test]
fn each_watch_has_its_own_deadline_from_when_it_joins() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, stall()), 1);
    let outcomes = await_each(&sim, &mut tasks, [pool.watch("a", "running").deadline(7 * SECOND)]);
    tasks.poll_woken();
    sim.time().pass(SECOND);
    let waits = await_each(&sim, &mut tasks, [pool.watch("b", "running").deadline(3 * SECOND)]);
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks));
    for (outcomes, seconds) in [(outcomes, 7), (waits, 4)] {
        let (_, outcome, at) = outcomes.take().remove(0);
        assert!(matches!(outcome.unwrap_err().failure(), Some(Failure::DeadlineExceeded { .. })));
        assert_eq!(at, Timestamp::from_secs(seconds));
    }
}

#[test]
fn an_observer_of_a_handle_sees_its_member_and_one_of_the_driver_sees_all() {
    let sim = start();
    let (pool, driver) = client(&sim, boot()).pool();
    let (all, own) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let note = |to: &Arc<Mutex<Vec<String>>>| {
        let to = Arc::clone(to);
        move |observed: Observed<'_>| match observed {
            Observed::FleetStarted { max_streams, .. } => to.lock().unwrap().push(format!("fleet {max_streams}")),
            Observed::Started { member, id, .. } => to.lock().unwrap().push(format!("{member} started {id}")),
            Observed::Polled(Some((member, Action::Resolve(_)))) => {
                to.lock().unwrap().push(format!("{member} resolved"));
            }
            Observed::Removed(member) => to.lock().unwrap().push(format!("{member} removed")),
            _ => {}
        }
    };
    let mut tasks = Tasks::default();
    tasks.spawn(driver.max_streams(1).observe(note(&all)));
    let watches = [pool.watch("a", "running"), pool.watch("b", "running").observe(note(&own))];
    let _outcomes = await_each(&sim, &mut tasks, watches);
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks));
    let expected = ["fleet 1", "0 started a", "1 started b", "0 resolved", "0 removed", "1 resolved", "1 removed"];
    assert_eq!(*all.lock().unwrap(), expected);
    assert_eq!(*own.lock().unwrap(), ["1 started b", "1 resolved", "1 removed"]);
}

#[test]
fn a_break_of_control_flow_is_an_error_of_the_callback_too() {
    let sim = start();
    let (pool, mut tasks) = pool(&client(&sim, stall()), 1);
    let watch = pool.watch("a", "running").on_event(|_| ControlFlow::<&str>::Break("enough"));
    let outcomes = await_each(&sim, &mut tasks, [watch]);
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks));
    assert!(matches!(outcomes.borrow()[0].1, Err(WatchError::Stopped(_))));
    assert_eq!(sim.log().open_connections(), 0);
}
