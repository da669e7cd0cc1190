//! Code that takes any client, run on tokio with hyper and on async-std with surf:
//! `cargo run -p cvm-watch-conformance --example runtime_agnostic`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use cvm_watch_driver::{Client, Timer, Transport, WatchError, WatchFuture};
use cvm_watch_sim::Sim;

/// Needs no bound but the two traits: the runtime is the caller's business.
async fn boot<T: Transport, C: Timer>(client: &Client<T, C>, id: &str) -> Result<String, WatchError> {
    Ok(client.watch(id, "running").await?.status)
}

/// A future that can be spawned: that is the bound to name, once, where a task is made of it.
fn boot_in_a_task<T, C>(client: &Client<T, C>, id: &str) -> WatchFuture<T, C>
where
    T: Transport,
    C: Timer,
    WatchFuture<T, C>: Send + 'static,
{
    client.watch(id, "running").into_future()
}

fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::builder().speed(20.0).start()?;

    let hyper = cvm_watch_hyper::Client::builder().base_url(sim.base_url()).build()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        println!("hyper: {}", boot(&hyper, "web").await?);
        let task = tokio::spawn(boot_in_a_task(&hyper, "worker"));
        println!("hyper, in a task: {}", task.await??.status);
        Ok::<(), Box<dyn Error>>(())
    })?;

    let surf = cvm_watch_surf::Client::builder().base_url(sim.base_url()).build()?;
    async_std::task::block_on(async {
        println!("surf: {}", boot(&surf, "db").await?);
        let task = async_std::task::spawn(boot_in_a_task(&surf, "cache"));
        println!("surf, in a task: {}", task.await?.status);
        Ok::<(), Box<dyn Error>>(())
    })
}
