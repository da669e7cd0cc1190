//! Watches a simulated CVM boot: `cargo run -p cvm-watch-surf --example watch`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cvm_watch_sim::Sim;
use cvm_watch_surf::{Client, Event, Update};

#[async_std::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Sim::builder().speed(10.0).start()?;
    let client = Client::builder().base_url(sim.base_url()).api_key("phak_example").build()?;

    let mut watch = client.watch("my-cvm", "running");
    while let Some(update) = watch.next_update().await {
        match update {
            Update::Event { event: Event::State(state), .. } => {
                println!("{} {}", state.status, state.boot_progress.as_deref().unwrap_or_default());
            }
            Update::Retrying { delay, cause, .. } => println!("{cause}; again in {delay:?}"),
            _ => {}
        }
    }
    let state = watch.await?;
    println!("done: {}", state.status);
    assert!(state.is("running"));
    Ok(())
}
