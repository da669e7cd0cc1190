//! A worker: takes the leases of keys, and watches what the queue names for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Context, Message, kv};
use cvm_watch_driver::WatchError;
use cvm_watch_hyper::{Client, HyperTransport, TokioTimer};
use futures_util::StreamExt;
use metrics::{counter, gauge};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Error;
use crate::config::Config;
use crate::lease::Lease;
use crate::queue::{self, Job};

type Pool = cvm_watch_driver::Pool<HyperTransport, TokioTimer>;

/// The pause after NATS could not be asked.
const PAUSE: Duration = Duration::from_millis(500);
/// How many jobs are asked for at once, and for how long a request waits for one.
const BATCH: usize = 100;
const BATCH_WAIT: Duration = Duration::from_secs(1);

/// Runs until it is dropped or `stopped` ends; then every stream is closed and every lease given back.
pub async fn run(
    config: Config,
    context: Context,
    worker: String,
    stopped: impl Future<Output = ()>,
) -> Result<(), Error> {
    let config = Arc::new(config);
    let leases = loop {
        match queue::create(&context, &config).await {
            Ok(leases) => break leases,
            Err(error) => eprintln!("NATS: {error}"),
        }
        sleep(PAUSE).await;
    };
    let (stop, _) = tokio::sync::watch::channel(false);
    let mut serving = JoinSet::new();
    let mut held = BTreeSet::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        // One key at a time, so that other workers get some too.
        if let Some((lease, key, secret)) = acquire(&config, &leases, &worker, &held).await {
            println!("key {key}: acquired");
            held.insert(key.clone());
            let (config, context, mut stop) = (Arc::clone(&config), context.clone(), stop.subscribe());
            serving.spawn(async move {
                let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
                if let Err(error) = serve(&config, &context, &key, secret, lease, stopped).await {
                    eprintln!("key {key}: {error}");
                }
                key
            });
        }
        gauge!("cvm_watch_queue_leases").set(held.len() as f64);
        tokio::select! {
            () = sleep(config.lease() / 3) => {}
            Some(ended) = serving.join_next() => {
                let key = ended?;
                println!("key {key}: released");
                held.remove(&key);
            }
            () = &mut stopped => break,
        }
    }
    stop.send_replace(true);
    while serving.join_next().await.is_some() {}
    Ok(())
}

/// Takes the lease of any key that no worker holds.
async fn acquire(
    config: &Config,
    leases: &kv::Store,
    worker: &str,
    held: &BTreeSet<String>,
) -> Option<(Lease, String, String)> {
    for (key, secret) in config.keys.iter().filter(|(key, _)| !held.contains(*key)) {
        match Lease::acquire(leases, key, worker, config.lease()).await {
            Ok(Some(lease)) => return Some((lease, key.clone(), secret.clone())),
            Ok(None) => {}
            Err(error) => {
                eprintln!("key {key}: {error}");
                return None;
            }
        }
    }
    None
}

/// Watches the jobs of a key for as long as the lease holds. Every stream is closed when it returns.
async fn serve(
    config: &Arc<Config>,
    context: &Context,
    key: &str,
    secret: String,
    mut lease: Lease,
    stopped: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut client = Client::builder().api_key(secret);
    if let Some(url) = &config.base_url {
        client = client.base_url(url);
    }
    let (pool, driver) = client.build()?.pool();
    let mut tasks = JoinSet::new();
    tasks.spawn(driver.max_streams(config.max_streams).metrics_label(key));
    let outcome = tokio::select! {
        () = lease.hold() => Ok(()),
        () = stopped => Ok(()),
        error = take_jobs(config, context, key, &pool, &mut tasks) => Err(error),
    };
    tasks.shutdown().await;
    lease.release().await;
    outcome
}

/// Starts a watch for each job that is delivered; ends only by an error of the configuration.
async fn take_jobs(config: &Arc<Config>, context: &Context, key: &str, pool: &Pool, tasks: &mut JoinSet<()>) -> Error {
    loop {
        // A new consumer after each error: the server may have been restarted.
        let jobs = match queue::jobs(context, config, key).await {
            Ok(jobs) => jobs,
            Err(error) => {
                eprintln!("key {key}: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        while let Ok(mut batch) = jobs.batch().max_messages(BATCH).expires(BATCH_WAIT).messages().await {
            let mut has_failed = false;
            while let Some(message) = batch.next().await {
                let Ok(message) = message else {
                    has_failed = true;
                    continue;
                };
                let (config, context, pool) = (Arc::clone(config), context.clone(), pool.clone());
                let key = key.to_owned();
                tasks.spawn(async move {
                    if let Err(error) = work(&config, &context, &key, &pool, &message).await {
                        // It is delivered again after the time to acknowledge it.
                        eprintln!("key {key}: {error}");
                    }
                });
            }
            // Ended tasks are dropped.
            while tasks.try_join_next().is_some() {}
            if has_failed {
                break;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Watches one job to its outcome, or gives it back to the queue.
async fn work(config: &Config, context: &Context, key: &str, pool: &Pool, message: &Message) -> Result<(), Error> {
    let is_redelivered = if message.info()?.delivered > 1 { "true" } else { "false" };
    counter!("cvm_watch_queue_deliveries_total", "pool" => key.to_owned(), "redelivered" => is_redelivered)
        .increment(1);
    let job = match Job::read(message) {
        Ok(job) => job,
        Err(error) => {
            let outcome = queue::outcome(message, None, Err(&*error))?;
            return queue::settle(context, key, message, outcome).await;
        }
    };
    let time_left = job.time_left(message)?;
    // A deadline that has passed still gets one check, which the least deadline allows for.
    let deadline = time_left.unwrap_or(config.delivery()).clamp(Duration::from_secs(1), config.delivery());
    let mut watch = std::pin::pin!(pool.watch(&job.id, &job.target).deadline(deadline).into_future());
    let mut progress = interval(config.ack_wait() / 3);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let outcome = loop {
        tokio::select! {
            outcome = &mut watch => break outcome,
            _ = progress.tick() => {
                // Without a connection to NATS the job may be delivered again; its outcome is then reported twice.
                let _ = message.ack_with(AckKind::Progress).await;
            }
        }
    };
    let outcome = match &outcome {
        Ok(state) => queue::outcome(message, Some(&job), Ok(state))?,
        // The job has time left, only this delivery has not: it makes room for others.
        Err(error) if error.is_deadline() && time_left.is_none_or(|left| left > deadline) => {
            return message.ack_with(AckKind::Nak(None)).await;
        }
        // The lease was lost.
        Err(WatchError::DriverDropped) => return Ok(()),
        Err(error) => queue::outcome(message, Some(&job), Err(error))?,
    };
    queue::settle(context, key, message, outcome).await
}
