//! Watches the CVMs that a NATS work queue names, as one of any number of workers: `cvm-watch-queue CONFIG.json`.
//!
//! `docs/scale-out.md` says how it works and when one needs it.

mod config;
mod exporter;
mod lease;
mod queue;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::context::ContextBuilder;
use config::Config;

/// Any error.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long an answer of NATS may take.
const NATS_TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cvm-watch-queue: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let path = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: cvm-watch-queue CONFIG.json")?;
    let config = Config::read(&path)?;
    let address = exporter::start(config.metrics).await?;
    println!("metrics: http://{address}/metrics");
    let worker = format!("{}-{:x}", std::process::id(), random_suffix());
    let client = ConnectOptions::new()
        .name(&worker)
        .connection_timeout(NATS_TIMEOUT)
        .request_timeout(Some(NATS_TIMEOUT))
        .ping_interval(NATS_TIMEOUT)
        .reconnect_delay_callback(|attempts| Duration::from_millis(100 * attempts.min(20) as u64))
        .retry_on_initial_connect()
        .connect(&config.nats)
        .await?;
    let context = ContextBuilder::new().timeout(NATS_TIMEOUT).ack_timeout(NATS_TIMEOUT).build(client);
    worker::run(config, context, worker, stopped()).await
}

/// Ends with SIGINT or SIGTERM.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Process ids repeat between machines.
fn random_suffix() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
