//! Three workers and 300 CVMs, while one worker is killed, the NATS server restarted and another worker partitioned.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod nats;
mod proxy;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Context};
use cvm_watch_sim::{Attempt, Script, Sim};
use futures_util::StreamExt;
use nats::Nats;
use serde_json::{Value, json};
use tokio::time::sleep;
use workers::Workers;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(180);
const CVMS: usize = 300;
const KEYS: usize = 6;
const SLOTS: usize = 4;

/// What a CVM does, and the outcome that its id must have.
fn script(number: usize) -> (Script, &'static str) {
    match number % 15 {
        7 => {
            let body = json!({"error_code": "ERR-03-001", "message": "CVM not found"});
            (Attempt::json(404, body).into(), "rejected")
        }
        11 => (Attempt::stream().state("stopped").stall().into(), "deadline_exceeded"),
        _ => {
            // It boots for four checks, or eight seconds of one stream.
            let boot = || Attempt::stream().state("starting").wait(8 * SECOND).state("running").complete("running");
            let script = (0..4).fold(Script::new(), |script, _| script.then(boot()));
            (script.then(Attempt::stream().state("running").complete("running")), "target")
        }
    }
}

fn job(number: usize) -> Value {
    let mut job = json!({"id": format!("cvm-{number}")});
    if script(number).1 == "deadline_exceeded" {
        job["deadline_seconds"] = json!(12);
    }
    job
}

/// Polls until `done` returns something.
async fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(done) = done() {
            return done;
        }
        assert!(began.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        sleep(SECOND / 20).await;
    }
}

async fn publish(context: &Context) {
    let mut acks = Vec::new();
    for number in 0..CVMS {
        let subject = format!("cvm.watch.key-{}", number % KEYS);
        acks.push(context.publish(subject, job(number).to_string().into()).await.unwrap());
    }
    // A job that no worker can read.
    acks.push(context.publish("cvm.watch.key-0", "cvm-1".into()).await.unwrap());
    for ack in acks {
        ack.await.unwrap();
    }
}

/// Every outcome of each id, once each has one and no job is left.
async fn outcomes(context: &Context) -> BTreeMap<String, Vec<Value>> {
    let began = Instant::now();
    let mut outcomes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let stream = context.get_stream("CVM_OUTCOME").await.unwrap();
    let config = pull::Config { ack_policy: AckPolicy::None, ..Default::default() };
    let consumer = stream.create_consumer(config).await.unwrap();
    loop {
        let mut batch = consumer.fetch().max_messages(CVMS).messages().await.unwrap();
        while let Some(message) = batch.next().await {
            let outcome: Value = serde_json::from_slice(&message.unwrap().payload).unwrap();
            outcomes.entry(outcome["id"].as_str().unwrap_or("unreadable").to_owned()).or_default().push(outcome);
        }
        let jobs = context.get_stream("CVM_WATCH").await.unwrap().cached_info().state.messages;
        if outcomes.len() == CVMS + 1 && jobs == 0 {
            return outcomes;
        }
        assert!(began.elapsed() < PATIENCE, "{} outcomes, {jobs} jobs left", outcomes.len());
        sleep(SECOND / 5).await;
    }
}

/// A stream as the simulator saw it.
struct Stream {
    key: String,
    worker: String,
    began: Instant,
    ended: Instant,
}

/// Every stream, in the order in which they began.
fn streams(sim: &Sim) -> Vec<Stream> {
    let connections: BTreeMap<u64, _> =
        sim.log().connections().into_iter().map(|connection| (connection.number, connection)).collect();
    let mut streams: Vec<Stream> = sim
        .log()
        .requests()
        .iter()
        .map(|request| {
            let secret = String::from_utf8(request.header("x-api-key").unwrap().to_vec()).unwrap();
            let (key, worker) = secret.split_once('/').unwrap();
            let end = connections[&request.connection].end;
            let ended = end.map_or_else(Instant::now, |(_, at)| at);
            Stream { key: key.to_owned(), worker: worker.to_owned(), began: request.at, ended }
        })
        .collect();
    streams.sort_by_key(|stream| stream.began);
    streams
}

/// No worker opens a stream of a key while another one has a stream of it.
fn assert_no_key_is_shared(streams: &[Stream]) {
    for (number, stream) in streams.iter().enumerate() {
        let shared = |earlier: &&Stream| {
            earlier.key == stream.key && earlier.worker != stream.worker && earlier.ended > stream.began
        };
        if let Some(earlier) = streams[..number].iter().find(shared) {
            let for_so_long = earlier.ended - stream.began;
            panic!("{}: worker {} for {for_so_long:?} while worker {}", stream.key, stream.worker, earlier.worker);
        }
    }
}

/// No key has more streams than slots. A server may read a request before the end of the connection that it replaces,
/// so only what lasts is counted.
fn assert_no_slot_is_exceeded(streams: &[Stream]) {
    for stream in streams {
        let at = stream.began + SECOND / 2;
        let is_open = |other: &&Stream| other.key == stream.key && other.began <= stream.began && other.ended > at;
        let open = streams.iter().filter(is_open).count();
        assert!(open <= SLOTS, "{open} streams of {}", stream.key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_id_gets_its_outcome_while_workers_and_the_server_fail() {
    let Some(mut nats) = Nats::start() else {
        println!("skipped: scale-out: no nats-server program");
        return;
    };
    // Without a limit the simulator shows how many streams there really were.
    let sim = Sim::builder().stream_limit(0).start().unwrap();
    for number in 0..CVMS {
        sim.script(&format!("cvm-{number}"), script(number).0);
    }
    let keys: BTreeMap<String, &str> = (0..KEYS).map(|key| (format!("key-{key}"), "")).collect();
    let config = json!({
        "keys": keys, "base_url": sim.base_url(), "max_streams": SLOTS,
        "lease_seconds": 3, "ack_wait_seconds": 3, "delivery_seconds": 9,
    });
    let began = Instant::now();
    let mut workers = Workers::start(3, &nats, &config).await;
    let context = jetstream::new(async_nats::connect(nats.address()).await.unwrap());
    until("every key has a worker", || (workers.owners().len() == KEYS).then_some(())).await;
    let spread: BTreeSet<usize> = workers.owners().into_values().collect();
    assert!(spread.len() > 1, "one worker took every key");
    publish(&context).await;
    println!("{:.1} s: published", began.elapsed().as_secs_f64());

    // Every id is a record of the log by then, and hardly one has ended.
    sim.log().wait_for_requests(350, PATIENCE).unwrap();
    let (key, killed) = workers.owners().into_iter().next().unwrap();
    workers.kill(killed);
    println!("{:.1} s: worker {killed} killed, which had {key}", began.elapsed().as_secs_f64());
    until("another worker takes the keys of the killed one", || (workers.owners().len() == KEYS).then_some(())).await;
    println!("{:.1} s: its keys are taken", began.elapsed().as_secs_f64());

    sim.log().wait_for_requests(700, PATIENCE).unwrap();
    nats.restart();
    println!("{:.1} s: NATS restarted", began.elapsed().as_secs_f64());
    until("every key has a worker after the restart", || (workers.owners().len() == KEYS).then_some(())).await;

    let (key, cut) = workers.owners().into_iter().next_back().unwrap();
    workers.set_partitioned(cut, true);
    println!("{:.1} s: worker {cut} partitioned, which has {key}", began.elapsed().as_secs_f64());
    let moved = || workers.owners().get(&key).is_some_and(|owner| *owner != cut).then_some(());
    until("another worker takes the keys of the partitioned one", moved).await;
    println!("{:.1} s: its keys are taken", began.elapsed().as_secs_f64());
    workers.set_partitioned(cut, false);

    let outcomes = outcomes(&context).await;
    let took = began.elapsed();
    for number in 0..CVMS {
        let (id, expected) = (format!("cvm-{number}"), script(number).1);
        for outcome in &outcomes[&id] {
            assert_eq!(outcome["outcome"], expected, "{outcome}");
            match expected {
                "target" => assert_eq!(outcome["state"]["status"], "running", "{outcome}"),
                "rejected" => assert_eq!(outcome["error_code"], "ERR-03-001", "{outcome}"),
                _ => assert!(outcome["deliveries"].as_i64().unwrap() > 1, "a deadline without a redelivery: {outcome}"),
            }
        }
    }
    assert_eq!(outcomes["unreadable"][0]["outcome"], "refused");
    assert_eq!(outcomes.len(), CVMS + 1);
    let reports: usize = outcomes.values().map(Vec::len).sum();
    let requests = sim.log().requests().len();
    println!("{:.1} s: {reports} outcomes of {CVMS} ids, {requests} requests", took.as_secs_f64());
    let streams = streams(&sim);
    assert_no_key_is_shared(&streams);
    assert_no_slot_is_exceeded(&streams);

    let mut counted = 0.0;
    for text in workers.metrics() {
        for line in text.lines() {
            let value = || line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            if line.starts_with("cvm_watch_open_streams{") {
                assert!((0.0..=SLOTS as f64).contains(&value()), "{line}");
            } else if line.starts_with("cvm_watch_outcomes_total{") && line.contains("outcome=\"target\"") {
                counted += value();
            }
        }
    }
    assert!(counted > 0.0, "the metrics count no outcome");
    workers.stop().await;
}
