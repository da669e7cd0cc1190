//! The simulator in virtual time.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{Failure, Timestamp};
use cvm_watch_driver::{Client, Settings, Timer, Update};
use cvm_watch_sim::virtual_time::{VirtualSim, VirtualTime};
use cvm_watch_sim::{Attempt, End, Framing, Script, Sim};

const SECOND: Duration = Duration::from_secs(1);

/// How a watch of this script ends that may not retry.
fn failure(script: impl Into<Script>) -> String {
    let sim = VirtualSim::start();
    sim.script("a", script);
    sim.time().run(sim.client().watch("a", "running").max_retries(0)).unwrap_err().to_string()
}

#[test]
fn a_scenario_takes_its_time_and_no_other() {
    let sim = VirtualSim::start();
    let state = sim.time().run(sim.client().watch("my-cvm", "running")).unwrap();
    assert_eq!(state.status, "running");
    assert_eq!(sim.time().now(), Timestamp::ZERO + 12 * SECOND);
    let log = sim.log().connections();
    assert_eq!((log.len(), log[0].end.unwrap().1 - log[0].accepted_at), (1, 12 * SECOND));
}

#[test]
fn every_ending_is_reported_as_what_it_is() {
    let starting = || Attempt::stream().state("starting");
    for (script, expected) in [
        (starting().close(), "the stream ended"),
        (starting().truncate(), "the response was cut off"),
        (starting().framing(Framing::UntilClose).truncate(), "the stream ended"),
        (starting().reset(), "the connection was reset"),
        (starting().raw("zz\r\n"), "the answer is not valid HTTP"),
        (Attempt::new().reset(), "the connection was reset"),
        (Attempt::new().raw("SSH-2.0\r\n"), "the answer is not valid HTTP"),
        (Attempt::new().refuse(), "the server closed the connection without an answer"),
        (Attempt::new(), "the server closed the connection without an answer"),
        (Attempt::new().stall(), "no response within the connect timeout"),
    ] {
        assert_eq!(failure(script), format!("gave up after 1 attempt: {expected}"));
    }
}

#[test]
fn the_endpoint_makes_its_own_checks() {
    let sim = Sim::builder().require_key("k").start_virtual();
    let error = sim.time().run(sim.client().watch("a", "running")).unwrap_err();
    assert!(error.to_string().contains("HTTP 401: Invalid or missing API key"), "{error}");
    let settings = Settings::builder().base_url("http://localhost/api/v1").api_key("k").build().unwrap();
    let client = Client::new(settings, sim.clone(), sim.time().clone());
    sim.time().run(client.watch("a", "running")).unwrap();
    assert_eq!((sim.log().requests().len(), sim.log().refused_requests().len()), (2, 1));
}

#[test]
fn a_minted_token_expires_in_virtual_time() {
    let sim = Sim::builder().require_token(300 * SECOND).start_virtual();
    let token = format!("Bearer {}", sim.mint_token());
    let settings = Settings::builder().base_url("http://localhost/api/v1").header("authorization", &token);
    let client = Client::new(settings.build().unwrap(), sim.clone(), sim.time().clone());
    sim.time().run(client.watch("a", "running")).unwrap();
    sim.time().pass(300 * SECOND);
    let error = sim.time().run(client.watch("a", "running")).unwrap_err();
    assert!(error.to_string().contains("HTTP 401: The token has expired"), "{error}");
}

#[test]
fn behind_a_buffering_proxy_a_stream_brings_nothing_until_the_boot_ends_in_time() {
    let sim = VirtualSim::start();
    let mut watch = sim.client().watch("buffering-proxy-1", "running").retry_delay(SECOND);
    let mut seen = Vec::new();
    sim.time().run(async {
        while let Some(update) = watch.next_update().await {
            match update {
                Update::Retrying { cause, .. } => seen.push(format!("retry: {cause}")),
                Update::Event { .. } => seen.push(format!("event at {}", sim.time().now())),
                _ => {}
            }
        }
    });
    seen.dedup();
    // Three attempts of 60 s and three delays; the fourth ends with the boot, 240.4 s after the first request.
    let last = seen.pop().unwrap();
    assert_eq!(seen, ["retry: the response was cut off"]);
    assert!(last.starts_with("event at 240.4"), "{last}");
}

#[test]
fn behind_an_edge_a_watch_reaches_its_target_over_cut_streams() {
    let sim = VirtualSim::start();
    let state = sim.time().run(sim.client().watch("edge-1", "running")).unwrap();
    assert_eq!(state.status, "running");
    assert_eq!(sim.log().requests().len(), 2);
}

#[test]
fn a_sixth_stream_is_refused_until_one_is_closed() {
    let sim = VirtualSim::start();
    sim.script_others(Attempt::stream().state("starting").stall());
    sim.script("done", Attempt::stream().complete("running"));
    let client = sim.client();
    let mut streams: Vec<_> = ["a", "b", "c", "d", "e"].map(|id| client.watch(id, "running")).into();
    for watch in &mut streams {
        while !matches!(sim.time().run(watch.next_update()), Some(Update::Event { .. })) {}
    }
    assert_eq!((sim.log().open_connections(), sim.peak_streams()), (5, 5));
    let mut done = pin!(client.watch("done", "running").into_future());
    assert!(sim.time().poll(done.as_mut()).is_pending());
    drop(streams.pop());
    let ends = sim.log().connections().iter().filter_map(|known| known.end).map(|(end, _)| end).collect::<Vec<_>>();
    assert_eq!(ends, [End::ClientLeft, End::Closed]);
    sim.time().run(done).unwrap();
}

#[test]
fn the_server_does_not_wait_for_a_slow_caller() {
    let sim = VirtualSim::start();
    sim.script("a", Attempt::stream().wait(10 * SECOND).state("starting").wait(10 * SECOND).complete("running"));
    let mut watch = sim.client().watch("a", "running");
    let mut events = Vec::new();
    sim.time().run(async {
        while let Some(update) = watch.next_update().await {
            if let Update::Event { .. } = update {
                events.push(sim.time().now());
            }
            sim.time().pass(7 * SECOND);
        }
    });
    assert_eq!(events, [10, 20].map(Timestamp::from_secs));
}

#[test]
fn events_happen_in_order_and_all_of_one_moment_before_a_task_runs() {
    let time = VirtualTime::default();
    let calls = Rc::new(Cell::new(0));
    for number in 0..3 {
        let calls = Rc::clone(&calls);
        time.call_at(Timestamp::from_secs(5), move || assert_eq!(calls.replace(number + 1), number));
    }
    time.run(time.sleep_until(Timestamp::from_secs(5)));
    assert_eq!((calls.get(), time.now(), time.next_event()), (3, Timestamp::from_secs(5), None));
    time.call_at(Timestamp::ZERO, || {});
    assert!(time.step() && !time.step() && !time.advance());
    assert_eq!(time.now(), Timestamp::from_secs(5));
}

#[test]
fn a_suspended_machine_opens_its_connection_anew() {
    let sim = VirtualSim::start();
    sim.script(
        "a",
        Script::new().then(Attempt::stream().state("starting").stall()).then(Attempt::stream().complete("running")),
    );
    let mut watch = pin!(sim.client().watch("a", "running").max_retries(0).into_future());
    assert!(sim.time().poll(watch.as_mut()).is_pending());
    sim.time().suspend(3600 * SECOND);
    assert_eq!(sim.time().suspended(), 3600 * SECOND);
    assert_eq!(sim.time().run(watch).unwrap().status, "running");
}

#[test]
fn a_watch_ends_at_its_deadline_exactly() {
    let sim = VirtualSim::start();
    let error = sim.time().run(sim.client().watch("stall-1", "running").deadline(90 * SECOND)).unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::DeadlineExceeded { .. })), "{error}");
    assert_eq!(sim.time().now(), Timestamp::from_secs(90));
}

#[test]
#[should_panic(expected = "the task waits for nothing, at 0")]
fn a_task_that_waits_for_nothing_is_reported() {
    let time = VirtualTime::default();
    time.run(async {
        time.sleep_until(Timestamp::MAX).await;
    });
}
