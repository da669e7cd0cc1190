//! How soon a connection is gone.

use std::time::{Duration, Instant};

use cvm_watch_hyper::{Client, Failure};
use cvm_watch_sim::{Attempt, Sim};

const SOON: Duration = Duration::from_secs(2);

/// Contract row 21.
#[tokio::test]
async fn an_abort_closes_the_socket_in_every_phase() {
    for (phase, script) in [
        ("before the head", Attempt::new().stall()),
        ("streaming", Attempt::stream().state("starting").stall()),
        ("in a flood", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", 1 << 40)),
        ("reading an error", Attempt::new().head(404, &[]).stall()),
    ] {
        let sim = Sim::start().unwrap();
        sim.script("my-cvm", script);
        let client = Client::builder().base_url(sim.base_url()).build().unwrap();
        let (abort, signal) = tokio::sync::oneshot::channel::<()>();
        let watch = client.watch("my-cvm", "running").abort_on(signal);
        let log = sim.log();
        let asked = tokio::task::spawn_blocking(move || log.wait_for_requests(1, SOON).map(drop));
        let aborting = async {
            asked.await.unwrap().unwrap();
            abort.send(()).unwrap();
        };
        let (outcome, ()) = tokio::join!(async { watch.await }, aborting);
        let start = Instant::now();
        assert_eq!(outcome.unwrap_err().failure(), Some(&Failure::Aborted), "{phase}");
        sim.wait_until_idle(SOON).unwrap();
        assert!(start.elapsed() < SOON, "{phase}: the socket stayed open for {:?}", start.elapsed());
        assert_eq!(sim.requests().len(), 1, "{phase}");
    }
}

#[tokio::test]
async fn an_abort_while_waiting_to_retry_makes_no_more_requests() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::new().refuse());
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let (abort, signal) = tokio::sync::oneshot::channel::<()>();
    let mut watch = client.watch("my-cvm", "running").retry_delay(Duration::from_secs(3600)).abort_on(signal);
    while let Some(update) = watch.next_update().await {
        if let cvm_watch_hyper::Update::Retrying { .. } = update {
            break;
        }
    }
    abort.send(()).unwrap();
    assert_eq!(watch.await.unwrap_err().failure(), Some(&Failure::Aborted));
    assert_eq!(sim.requests().len(), 1);
}

/// Contract row 5.
#[tokio::test]
async fn the_old_connection_is_closed_before_the_new_one_is_made() {
    let sim = Sim::builder().stream_limit(1).start().unwrap();
    // With room for one stream, a second connection beside the first would be answered by 429.
    sim.script("my-cvm", Attempt::stream().timeout("running", 300.0).stall());
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let watch = client.watch("my-cvm", "running").max_retries(5).retry_delay(Duration::from_millis(100));
    let error = watch.await.unwrap_err();
    assert!(error.to_string().contains("the server's timeout"), "{error}");
    assert_eq!((sim.requests().len(), sim.peak_streams()), (6, 1));
}
