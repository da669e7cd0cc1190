//! Watches that come and go while they share two streams: `cargo run -p cvm-watch-hyper --example pool`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cvm_watch_hyper::Client;
use cvm_watch_sim::Sim;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Sim::builder().speed(20.0).start()?;
    let client = Client::builder().base_url(sim.base_url()).api_key("phak_example").build()?;

    let (pool, driver) = client.pool();
    let driver = tokio::spawn(driver.max_streams(2));
    let mut boots = Vec::new();
    for id in ["web", "worker", "db"] {
        // Each watch has a separate handle, which any task may hold.
        let watch = pool.watch(id, "running").on_event(move |_| println!("{id}: an event"));
        boots.push(tokio::spawn(watch.into_future()));
    }
    // Dropping a handle gives its slot to another watch.
    drop(pool.watch("canary", "running"));
    for boot in boots {
        assert!(boot.await??.is("running"));
    }
    // Without the pool and its handles there is nothing left to drive.
    drop(pool);
    driver.await?;
    Ok(())
}
