//! What the client promises beside the scenarios of the suite.

use std::time::{Duration, Instant};

use cvm_watch_sim::{Attempt, Script, Sim};

use super::client;
use super::threads::{on_thread, run_until};
use crate::subject::{Client, ConfigError, Event, Failure, Update, WatchError};

#[test]
fn the_handle_and_its_future_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let sim = Sim::start().unwrap();
    let watch = client(&sim).watch("my-cvm", "running");
    is_send(&watch);
    is_send(&watch.into_future());
    is_send(&client(&sim));
}

#[crate::runtime_test]
async fn the_call_reads_like_the_original() {
    let sim = Sim::builder().speed(200.0).start().unwrap();
    let (count, events) = std::sync::mpsc::channel();
    let state = client(&sim)
        .watch("my-cvm", "running")
        .interval(Duration::from_secs(5))
        .timeout(Duration::from_secs(300))
        .max_retries(3)
        .retry_delay(Duration::from_millis(1))
        .on_event(move |event: &Event| count.send(matches!(event, Event::State(_))).unwrap())
        .abort_on(std::future::pending::<()>())
        .await
        .unwrap();
    assert_eq!((state.status.as_str(), state.boot_progress.as_deref()), ("running", Some("done")));
    let mut states = 0;
    while let Ok(is_state) = events.try_recv() {
        states += usize::from(is_state);
    }
    assert!(states >= 8, "{states} states of the boot");
}

#[crate::runtime_test]
async fn a_stream_extension_can_drive_the_handle() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("running").complete("running"));
    let mut watch = std::pin::pin!(client(&sim).watch("my-cvm", "running"));
    let mut updates = 0;
    while let Some(update) = std::future::poll_fn(|cx| {
        let stream: std::pin::Pin<&mut dyn futures_core::Stream<Item = Update>> = watch.as_mut();
        stream.poll_next(cx)
    })
    .await
    {
        updates += 1;
        drop(update);
    }
    assert_eq!(updates, 4, "connecting, state, complete, ended");
}

#[crate::runtime_test]
async fn the_failure_and_the_io_error_are_kept_apart() {
    let port = cvm_watch_sim::RefusedPort::new().unwrap();
    let client = Client::builder().base_url(format!("http://{}", port.addr())).build().unwrap();
    let error = client.watch("my-cvm", "running").max_retries(0).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::MaxRetriesExceeded { attempts: 1, .. })));
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    let mut io = None;
    while let Some(error) = source {
        io = io.or(error.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
        source = error.source();
    }
    assert_eq!(io, Some(std::io::ErrorKind::ConnectionRefused));
}

/// Contract row 25.
#[crate::runtime_test]
async fn a_refused_parameter_makes_no_request() {
    let sim = Sim::start().unwrap();
    let refused: [(&str, crate::subject::WatchHandle); 3] = [
        ("id", client(&sim).watch("..", "running")),
        ("target", client(&sim).watch("my-cvm", "  ")),
        ("interval", client(&sim).watch("my-cvm", "running").interval(Duration::from_secs(4))),
    ];
    for (field, watch) in refused {
        let WatchError::Config(error) = watch.await.unwrap_err() else { panic!("{field} was not refused") };
        assert_eq!(error.field(), field);
    }
    let build = |base: &str| -> ConfigError { Client::builder().base_url(base).api_key("phak_1").build().unwrap_err() };
    assert_eq!(build("cloud.example").field(), "base url");
    assert_eq!(build("http://cloud.example").field(), "base url");
    assert_eq!(sim.log().connections().len(), 0);
}

/// Contract row 11.
#[crate::runtime_test]
async fn retry_after_is_honoured_over_sockets() {
    let sim = Sim::start().unwrap();
    let busy = Attempt::new().head(429, &[("retry-after", "1")]).close();
    sim.script("my-cvm", Script::new().then(busy).then(Attempt::stream().complete("running")));
    let start = Instant::now();
    client(&sim).watch("my-cvm", "running").retry_delay(Duration::ZERO).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(sim.log().requests().len(), 2);
}

/// Contract row 3.
#[crate::runtime_test]
async fn a_stream_at_its_target_without_complete_resolves_after_the_grace() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("running").stall());
    let start = Instant::now();
    let state = client(&sim).watch("my-cvm", "running").max_retries(0).await.unwrap();
    assert_eq!(state.status, "running");
    assert!(start.elapsed() >= Duration::from_secs(2));
    sim.log().wait_until_idle(Duration::from_secs(5)).unwrap();
}

/// Contract row 24.
#[crate::runtime_test]
async fn a_repeated_key_is_never_shown() {
    let sim = Sim::start().unwrap();
    let json = r#"{"error_code":"E phak_hunter2","message":"bad phak_\u0068unter2","request_id":"phak_hunter2"}"#;
    for (script, id) in [
        (Attempt::json(401, json), "rejected"),
        (Attempt::respond(503, "text/html", "<title>phak_hunter2</title>"), "retried"),
        (Attempt::new().head(302, &[("location", "https://x/phak_hunter2")]).close(), "redirect"),
        (Attempt::respond(200, "phak_hunter2/html", ""), "type"),
        (Attempt::stream().error("phak_hunter2").event("x", "phak_hunter2").close(), "events"),
    ] {
        sim.script(id, script);
        let client = Client::builder().base_url(sim.base_url()).api_key("phak_hunter2").build().unwrap();
        let mut watch = client.watch(id, "running").max_retries(0);
        let mut shown = format!("{client:?} {watch:?}");
        while let Some(update) = watch.next_update().await {
            shown += &format!("{update:?}");
        }
        let error = watch.await.unwrap_err();
        shown += &format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("unter2"), "{id}: {shown}");
        assert!(shown.contains("***"), "{id}: nothing was echoed, so nothing was tried: {shown}");
    }
}

#[crate::runtime_test]
async fn a_silent_stream_costs_no_work() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("starting").stall());
    let mut watch = client(&sim).watch("my-cvm", "running");
    while !matches!(watch.next_update().await, Some(Update::Event { .. })) {}
    let mut polls = 0;
    let mut next = std::pin::pin!(watch.next_update());
    let counted = std::future::poll_fn(|cx| {
        polls += 1;
        next.as_mut().poll(cx)
    });
    // Long enough for a loop to show.
    let pause = on_thread(|| std::thread::sleep(Duration::from_millis(200)));
    run_until(pause, counted).await;
    assert!(polls < 20, "polled {polls} times with nothing to do");
}

#[crate::runtime_test]
async fn the_longest_duration_is_as_good_as_none_wherever_one_is_given() {
    let sim = Sim::start().unwrap();
    let script =
        Script::new().then(Attempt::stream().state("starting").close()).then(Attempt::stream().complete("running"));
    for id in ["alone", "fleet"] {
        sim.script(id, script.clone());
    }
    let watch = client(&sim)
        .watch("alone", "running")
        .connect_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .deadline(Duration::MAX)
        .complete_grace(Duration::MAX)
        .retry_delay(Duration::ZERO);
    assert_eq!(watch.await.unwrap().status, "running");
    let fleet = client(&sim).watch_all(["fleet"], "running");
    let fleet = fleet.connect_timeout(Duration::MAX).idle_timeout(Duration::MAX).deadline(Duration::MAX);
    assert!(fleet.retry_delay(Duration::ZERO).await.iter().all(|(_, outcome)| outcome.is_ok()));
    // A delay that never ends is cut by an abort.
    sim.script("waits", Attempt::stream().state("starting").close());
    let mut watch = client(&sim).watch("waits", "running").retry_delay(Duration::MAX);
    while !matches!(watch.next_update().await, Some(Update::Retrying { delay: Duration::MAX, .. })) {}
    drop(watch);
    let error = client(&sim).watch("waits", "running").interval(Duration::MAX).await.unwrap_err();
    assert!(matches!(error, WatchError::Config(_)), "{error}");
}
