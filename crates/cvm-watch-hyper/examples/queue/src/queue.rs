//! The queue in NATS: its streams, its consumers, and what messages hold.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{Context, Message, kv};
use bytes::Bytes;
use cvm_watch_driver::WatchError;
use cvm_watch_driver::cvm_watch_core::CvmState;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::Config;

const JOBS: &str = "CVM_WATCH";
const OUTCOMES: &str = "CVM_OUTCOME";
const LEASES: &str = "cvm-watch-leases";
/// How long outcomes are kept.
const KEEP_OUTCOMES: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A job: the payload of a message on `cvm.watch.NAME`, where `NAME` is the name of an API key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The CVM.
    pub id: String,
    /// The target, `running` by default.
    #[serde(default = "running")]
    pub target: String,
    /// For how long to watch, in seconds from when the job was published; by default until the outcome is known.
    pub deadline_seconds: Option<u64>,
}

/// How the watch of a job ended: the payload of a message on `cvm.outcome.NAME`.
#[derive(Serialize)]
struct Outcome<'a> {
    id: Option<&'a str>,
    /// `target`, the kind of a failure such as `rejected`, or `refused` for a job that cannot be watched.
    outcome: &'a str,
    state: Option<&'a CvmState>,
    /// The error's message.
    error: Option<String>,
    error_code: Option<&'a str>,
    /// How many times the job was delivered, this one included.
    deliveries: i64,
}

/// Creates the streams and the bucket of leases, where they do not exist.
pub async fn create(context: &Context, config: &Config) -> Result<kv::Store, Error> {
    let jobs = stream::Config {
        name: JOBS.to_owned(),
        subjects: vec!["cvm.watch.*".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    context.get_or_create_stream(jobs).await?;
    let outcomes = stream::Config {
        name: OUTCOMES.to_owned(),
        subjects: vec!["cvm.outcome.*".to_owned()],
        max_age: KEEP_OUTCOMES,
        ..Default::default()
    };
    context.get_or_create_stream(outcomes).await?;
    // A bucket is a stream. The client's own call for it needs fields that older servers do not send.
    let leases = stream::Config {
        name: format!("KV_{LEASES}"),
        subjects: vec![format!("$KV.{LEASES}.>")],
        max_messages_per_subject: 1,
        max_age: config.lease(),
        duplicate_window: config.lease(),
        discard: DiscardPolicy::New,
        allow_rollup: true,
        allow_direct: true,
        deny_delete: true,
        ..Default::default()
    };
    context.get_or_create_stream(leases).await?;
    Ok(context.get_key_value(LEASES).await?)
}

/// The jobs of one key.
pub async fn jobs(context: &Context, config: &Config, key: &str) -> Result<PullConsumer, Error> {
    let consumer = pull::Config {
        durable_name: Some(format!("key-{key}")),
        filter_subject: format!("cvm.watch.{key}"),
        ack_policy: AckPolicy::Explicit,
        ack_wait: config.ack_wait(),
        max_ack_pending: config.max_watches,
        ..Default::default()
    };
    let jobs = context.get_stream(JOBS).await?;
    Ok(jobs.get_or_create_consumer(&format!("key-{key}"), consumer).await?)
}

impl Job {
    pub fn read(message: &Message) -> Result<Self, Error> {
        Ok(serde_json::from_slice(&message.payload)?)
    }

    /// The time that is left until the job's deadline; `None` without one.
    pub fn time_left(&self, message: &Message) -> Result<Option<Duration>, Error> {
        let Some(deadline) = self.deadline_seconds else { return Ok(None) };
        let published: SystemTime = message.info()?.published.into();
        let age = published.elapsed().unwrap_or_default();
        Ok(Some(Duration::from_secs(deadline).saturating_sub(age)))
    }
}

/// How the watch of a job ended, as it is published; without a job if the message holds none.
pub fn outcome(
    message: &Message,
    job: Option<&Job>,
    outcome: Result<&CvmState, &(dyn std::error::Error + 'static)>,
) -> Result<Bytes, Error> {
    let watch_error = outcome.err().and_then(|error| error.downcast_ref::<WatchError>());
    let kind = match (outcome, watch_error.and_then(WatchError::failure)) {
        (Ok(_), _) => "target",
        (Err(_), Some(failure)) => failure.kind(),
        (Err(_), None) => "refused",
    };
    let outcome = Outcome {
        id: job.map(|job| job.id.as_str()),
        outcome: kind,
        state: outcome.ok(),
        error: outcome.err().map(ToString::to_string),
        error_code: watch_error.and_then(WatchError::error_code),
        deliveries: message.info()?.delivered,
    };
    Ok(serde_json::to_vec(&outcome)?.into())
}

/// Publishes the outcome of a job, then acknowledges it. If the worker ends in between, the job is delivered again.
pub async fn settle(context: &Context, key: &str, message: &Message, outcome: Bytes) -> Result<(), Error> {
    // A second outcome of the same job soon after the first is dropped by the server.
    let id = message.info()?.stream_sequence.to_string();
    let publish = PublishMessage::build().payload(outcome).message_id(id);
    context.send_publish(format!("cvm.outcome.{key}"), publish).await?.await?;
    message.double_ack().await
}

fn running() -> String {
    "running".to_owned()
}
