//! Waiting under tokio's paused clock, which jumps to the next timer when nothing else is to be done.

use std::time::Duration;

use cvm_watch_hyper::Client;
use cvm_watch_sim::RefusedPort;
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_hour_of_retries_takes_no_time_under_the_paused_clock() {
    let port = RefusedPort::new().unwrap();
    let client = Client::builder().base_url(port.base_url()).no_proxy().build().unwrap();
    let (start, really) = (Instant::now(), std::time::Instant::now());
    let error = client.watch("my-cvm", "running").deadline(HOUR).await.unwrap_err();
    assert!(error.is_deadline(), "{error}");
    assert!(start.elapsed() >= HOUR && start.elapsed() < HOUR + Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(really.elapsed() < HOUR / 2, "it waited on the real clock");
}
