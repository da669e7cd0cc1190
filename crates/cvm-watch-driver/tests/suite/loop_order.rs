//! The order in which the loop handles input, timers and reports, and its fairness to the runtime.

use std::pin::pin;
use std::time::Duration;

use cvm_watch_driver::Update;
use cvm_watch_driver::cvm_watch_core::{Event, Failure, MemberId, Timestamp};
use cvm_watch_sim::{Attempt, Script};

use crate::sim::{client, recorded, start};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_deadline_passes_exactly_then() {
    let sim = start();
    let watch = client(&sim, Attempt::stream().state("starting").stall()).watch("my-cvm", "running");
    let error = sim.time().run(watch.deadline(Duration::from_millis(77_123))).unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::DeadlineExceeded { .. })), "{error}");
    assert_eq!(sim.time().now(), Timestamp::from_millis(77_123));
}

#[test]
fn no_sleep_is_longer_than_the_timer_allows() {
    let sim = start();
    let (client, sleeps) = recorded(&sim, Attempt::stream().stall());
    let watch = client.watch("my-cvm", "running").timeout(600 * SECOND);
    sim.time().run(watch.deadline(600 * SECOND)).unwrap_err();
    let sleeps = sleeps.borrow();
    assert!(sleeps.len() >= 20, "{sleeps:?}");
    assert!(sleeps.iter().all(|(asked, until)| until.since(*asked) <= 30 * SECOND), "{sleeps:?}");
}

#[test]
fn after_a_system_sleep_a_closed_connection_is_noticed_when_the_clock_is_read() {
    let sim = start();
    let script =
        Script::new().then(Attempt::stream().state("starting").stall()).then(Attempt::stream().complete("running"));
    let watch = client(&sim, script).watch("my-cvm", "running").retry_delay(Duration::ZERO);
    let mut task = pin!(watch.into_future());
    assert!(sim.time().poll(task.as_mut()).is_pending());
    sim.time().pass(Duration::from_secs(8 * 3600));
    sim.time().run(task.as_mut()).unwrap();
    // One moment to read what has arrived, and then the second attempt completes at once.
    let passed = sim.time().now().since(Timestamp::from_secs(8 * 3600));
    assert!(passed < Duration::from_millis(10), "{passed:?}");
}

/// Contract row 34: Ctrl-Z and `fg`, a frozen container.
#[test]
fn what_arrived_while_the_process_was_stopped_is_read_before_a_timer_is_judged() {
    let late_end = Attempt::stream().state("starting").wait(SECOND).state("running").complete("running");
    let alive = Attempt::stream().state("starting").wait(SECOND).comment("still here").wait(SECOND);
    let late_head = Attempt::default().wait(SECOND).head(200, &[("content-type", "text/event-stream")]);
    let late_head = late_head.state("running").complete("running");
    let sim = start();
    for (name, script) in [
        ("the end waits", late_end),
        ("the server was alive all along", alive.state("running").complete("running")),
        ("the head waits", late_head),
    ] {
        let client = client(&sim, script);
        let before = sim.log().requests().len();
        let watch = client.watch("my-cvm", "running").max_retries(0);
        let watch = watch.idle_timeout(2 * SECOND).connect_timeout(2 * SECOND);
        let mut task = pin!(watch.into_future());
        assert!(sim.time().poll(task.as_mut()).is_pending(), "{name}");
        sim.time().stop(9 * SECOND);
        let state = sim.time().run(task.as_mut()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((state.status.as_str(), sim.log().requests().len() - before), ("running", 1), "{name}");
    }
    // A stream that stays silent still fails after that.
    let silent = client(&sim, Attempt::stream().state("starting").stall());
    let watch = silent.watch("my-cvm", "running").max_retries(0).idle_timeout(2 * SECOND);
    let mut task = pin!(watch.into_future());
    assert!(sim.time().poll(task.as_mut()).is_pending());
    for _ in 0..2 {
        sim.time().stop(9 * SECOND);
    }
    let error = sim.time().run(task.as_mut()).unwrap_err();
    assert!(error.to_string().contains("idle timeout"), "{error}");
}

#[test]
fn after_a_system_sleep_that_the_clock_reports_it_reconnects_at_once_without_a_retry() {
    let sim = start();
    let script =
        Script::new().then(Attempt::stream().state("starting").stall()).then(Attempt::stream().complete("running"));
    let mut watch = client(&sim, script).watch("my-cvm", "running").retry_delay(60 * SECOND).max_retries(0);
    // Connecting, and the first state.
    for _ in 0..2 {
        assert!(sim.time().poll(pin!(watch.next_update())).is_ready());
    }
    assert!(sim.time().poll(pin!(watch.next_update())).is_pending());
    sim.time().suspend(8 * 3600 * SECOND);
    let state = sim.time().run(watch).unwrap();
    assert_eq!((state.status.as_str(), sim.log().requests().len()), ("running", 2));
    assert!(sim.time().now() < Timestamp::from_secs(8 * 3600 + 6), "it waited until {}", sim.time().now());
}

#[test]
fn input_from_before_a_system_sleep_is_read_before_the_connection_is_closed() {
    let sim = start();
    let script = Attempt::stream().state("starting").wait(SECOND).complete("running");
    let mut watch = client(&sim, script).watch("my-cvm", "running");
    for _ in 0..2 {
        assert!(sim.time().poll(pin!(watch.next_update())).is_ready());
    }
    assert!(sim.time().poll(pin!(watch.next_update())).is_pending());
    sim.time().suspend(200 * SECOND);
    sim.time().run(watch).unwrap();
    assert_eq!(sim.log().requests().len(), 1);
}

#[test]
fn a_flood_lets_other_tasks_run() {
    let sim = start();
    // A thousand chunks that are ready at once, none of which makes an update.
    let flood = Attempt::stream().repeat(": beat\n", Duration::ZERO, 1000).complete("running");
    sim.time().run(client(&sim, flood).watch("my-cvm", "running")).unwrap();
    assert!(sim.time().polls() >= 1000 / 32, "polled {} times", sim.time().polls());
}

#[test]
fn a_flood_of_events_lets_other_tasks_run_too() {
    let sim = start();
    let flood = "event: state\ndata: {\"status\":\"starting\"}\n\n";
    let script = || Attempt::stream().repeat(flood, Duration::ZERO, 1000).complete("running");
    sim.time().run(client(&sim, script()).watch("my-cvm", "running")).unwrap();
    assert!((1000 / 40..1000 / 10).contains(&sim.time().polls()), "polled {} times", sim.time().polls());
    let before = sim.time().polls();
    sim.time().run(client(&sim, script()).watch_all(["a", "b"], "running"));
    let polls = sim.time().polls() - before;
    assert!((2000 / 40..2000 / 10).contains(&polls), "polled {polls} times");
}

#[test]
fn a_system_sleep_is_reported_even_while_updates_wait_for_the_caller() {
    for is_fleet in [false, true] {
        let sim = start();
        let first = Attempt::stream().state("starting").state("starting").wait(SECOND).state("starting").stall();
        let script = Script::new().then(first).then(Attempt::stream().complete("running"));
        let client = client(&sim, script);
        // When the machine is suspended, the first state was taken and the second was not; a third one is ready when it
        // resumes. No timer is due by then.
        if is_fleet {
            let mut watch = client.watch_all(["my-cvm"], "running");
            for _ in 0..2 {
                assert!(sim.time().poll(pin!(watch.next_update())).is_ready());
            }
            sim.time().suspend(20 * SECOND);
            sim.time().run(async { while watch.next_update().await.is_some() {} });
            assert!(watch.outcome(MemberId::from_number(0)).unwrap().is_ok());
        } else {
            let mut watch = client.watch("my-cvm", "running");
            for _ in 0..2 {
                assert!(sim.time().poll(pin!(watch.next_update())).is_ready());
            }
            sim.time().suspend(20 * SECOND);
            sim.time().run(watch).unwrap();
        }
        assert_eq!(sim.log().requests().len(), 2, "fleet: {is_fleet}");
        assert!(sim.time().now() < Timestamp::from_secs(60), "it waited until {}", sim.time().now());
    }
}

#[test]
fn bytes_that_are_ready_are_read_before_a_timer_is_judged() {
    let sim = start();
    // The byte is ready at the very moment at which the idle timeout passes.
    let script = Attempt::stream().wait(10 * SECOND).comment("beat").wait(10 * SECOND).complete("running");
    let watch = client(&sim, script).watch("my-cvm", "running").idle_timeout(10 * SECOND);
    sim.time().run(watch).unwrap();
    assert_eq!(sim.log().requests().len(), 1);
}

#[test]
fn no_timer_is_judged_between_two_events_of_one_chunk() {
    let sim = start();
    let state = |status: &str| format!("event: state\ndata: {{\"status\":\"{status}\"}}\n\n");
    let both = state("running") + &state("stopping") + &state("starting");
    let script = Attempt::stream().bytes(both).complete("running");
    let mut watch = client(&sim, script).watch("my-cvm", "running").idle_timeout(10 * SECOND).max_retries(0);
    let state = sim.time().run(async {
        // A caller that takes a minute for each event: longer than the grace and the idle timeout.
        while watch.next_update().await.is_some() {
            sim.time().pass(60 * SECOND);
        }
        watch.await
    });
    assert_eq!(state.unwrap().status, "running");
    assert_eq!(sim.log().requests().len(), 1);
}

#[test]
fn one_chunk_of_many_events_loses_none() {
    let sim = start();
    let one = "event: state\ndata: {\"status\":\"starting\"}\n\n";
    let script = Attempt::stream().bytes(one.repeat(500)).complete("running");
    let mut watch = client(&sim, script).watch("my-cvm", "running");
    let events = sim.time().run(async {
        let mut events = 0;
        while let Some(update) = watch.next_update().await {
            events += usize::from(matches!(update, Update::Event { .. }));
        }
        events
    });
    assert_eq!(events, 501);
}

#[test]
fn two_connections_never_live_at_once() {
    let sim = start();
    let script = Attempt::stream().timeout("running", 300.0).stall();
    let mut watch = client(&sim, script).watch("my-cvm", "running").max_retries(50).retry_delay(Duration::ZERO);
    sim.time().run(async {
        while watch.next_update().await.is_some() {
            assert!(sim.log().open_connections() <= 1);
        }
    });
    assert_eq!((sim.log().requests().len(), sim.log().open_connections()), (51, 0));
}

#[test]
fn a_caller_who_takes_its_time_holds_up_no_connection() {
    let sim = start();
    let script = Attempt::stream().stall();
    let mut watch = client(&sim, script).watch("my-cvm", "running").retry_delay(Duration::ZERO);
    watch = watch.idle_timeout(SECOND).deadline(30 * SECOND);
    sim.time().run(async {
        while let Some(update) = watch.next_update().await {
            if let Update::Retrying { .. } = update {
                // The next attempt was requested in time, with the timeout of that moment.
                assert_eq!(sim.log().requests().len(), 2);
                sim.time().pass(60 * SECOND);
            }
        }
    });
    let Err(error) = sim.time().run(watch) else { panic!("no target was reported") };
    assert!(matches!(error.failure(), Some(Failure::DeadlineExceeded { attempts: 2, .. })), "{error}");
    assert_eq!((sim.log().requests().len(), sim.log().open_connections()), (2, 0));
}

#[test]
fn the_servers_timeout_closes_the_connection_before_the_caller_hears_of_it() {
    let sim = start();
    let mut watch = client(&sim, Attempt::stream().timeout("running", 300.0).stall()).watch("my-cvm", "running");
    sim.time().run(async {
        while let Some(update) = watch.next_update().await {
            if let Update::Event { event: Event::Timeout(_), .. } = update {
                break;
            }
        }
    });
    assert_eq!((sim.log().requests().len(), sim.log().open_connections()), (1, 0));
}

#[test]
fn a_sleep_is_kept_while_it_will_do() {
    let sim = start();
    let tenth = SECOND / 10;
    let beats = Attempt::stream().repeat(": beat\n", tenth, 45).complete("running");
    let (client, sleeps) = recorded(&sim, beats);
    sim.time().run(client.watch("my-cvm", "running")).unwrap();
    assert!(sim.time().polls() > 45, "polled {} times", sim.time().polls());
    assert_eq!(sleeps.borrow().len(), 1, "{sleeps:?}");
}
