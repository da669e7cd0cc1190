//! A service that waits for the CVMs of many customers at once, each with a separate key:
//! `cargo run -p cvm-watch-hyper --example service`.
//!
//! One task a customer, one fleet a key: the endpoint counts streams by user. What ends is put on a
//! channel, where the rest of the service takes it from.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use cvm_watch_hyper::{Client, CvmState, FailEarly, WatchError};
use cvm_watch_sim::Sim;
use tokio::sync::mpsc;

const CUSTOMERS: usize = 25;
const CVMS_EACH: usize = 8;

struct Ended {
    customer: usize,
    cvm: String,
    outcome: Result<CvmState, WatchError>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Five streams a key, as the real one.
    let sim = Sim::builder().speed(20.0).start()?;
    let (ended, mut all_ended) = mpsc::channel(64);
    for customer in 0..CUSTOMERS {
        let client = Client::builder().base_url(sim.base_url()).api_key(format!("phak_{customer}")).build()?;
        tokio::spawn(wait_for_all(client, customer, ended.clone()));
    }
    drop(ended);
    let mut running = 0;
    while let Some(Ended { customer, cvm, outcome }) = all_ended.recv().await {
        match outcome {
            Ok(state) => running += usize::from(state.is("running")),
            Err(error) => println!("{cvm} of customer {customer}: {error}"),
        }
    }
    println!("{running} CVMs of {CUSTOMERS} customers run; at most {} streams a key were open", sim.peak_streams());
    assert_eq!(running, CUSTOMERS * CVMS_EACH);
    Ok(())
}

async fn wait_for_all(client: Client, customer: usize, ended: mpsc::Sender<Ended>) {
    let ids = (0..CVMS_EACH).map(|number| format!("cvm-{customer}-{number}"));
    let watches = client.watch_all(ids, "running").configure(|config| {
        // A watch has a deadline, and fails early if the CVM cannot reach the target.
        config.deadline(Duration::from_secs(600)).fail_early(FailEarly::of_a_boot())
    });
    for (cvm, outcome) in watches.await {
        // The receiver is gone when the service shuts down.
        let _ = ended.send(Ended { customer, cvm, outcome }).await;
    }
}
