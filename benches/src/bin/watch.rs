//! The whole watch, bytes to typed events, against `serde_json` alone on the same payloads.
//!
//! `cargo run --release --bin watch`; it writes its plot into `docs/benchmarks`.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use cvm_watch_benches::corpus::{self, Corpus};
use cvm_watch_benches::measure::{Candidate, medians};
use cvm_watch_benches::plot::{Bar, Bars, Group, Plot};
use cvm_watch_benches::report::{Table, load, machine, throughput};
use cvm_watch_benches::streaming::Streaming;
use cvm_watch_core::sse::{Chunk, Decoder, Item};
use cvm_watch_core::{ApiKey, Event, Policy};
use serde::Deserialize;

const SIZE: usize = 1 << 20;
/// The most that the watch may take: `serde_json`'s time divided by this.
const SHARE: f64 = 0.7;

/// What `serde_json` reads into: the fields of the watch's own state.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are read into, which is what is measured")]
struct State {
    status: String,
    id: Option<String>,
    instance_id: Option<String>,
    name: Option<String>,
    uptime: Option<String>,
    exited_at: Option<String>,
    boot_progress: Option<String>,
    boot_error: Option<String>,
    shutdown_progress: Option<String>,
}

fn main() {
    println!("{}\n", machine());
    println!("CPU time per `state` event; `of serde_json` may be at most {:.2}.\n", 1.0 / SHARE);
    let mut table = Table::new(["", "chunks", "ns per event", "MB/s", "of serde_json"]);
    let mut groups = Vec::new();
    for corpus in [corpus::cvm(SIZE), corpus::multilingual(SIZE)] {
        for (chunk, name) in [(64 * 1024, "64 KiB"), (1460, "1460 B"), (200, "200 B")] {
            let bars = rows(&corpus, chunk, name, &mut table);
            groups.push(Group { title: format!("{}, chunks of {name}", corpus.name), bars });
        }
    }
    table.print();
    println!("\n{} at the end", load());
    let plot = Bars { title: "The whole watch: CPU ns per event, less is better".into(), groups };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks");
    plot.write(&folder, "watch").expect("docs/benchmarks can be written");
}

fn rows(corpus: &Corpus, chunk: usize, chunk_name: &str, table: &mut Table) -> Vec<Bar> {
    let payloads = payloads(corpus.bytes);
    let plain = Arc::new(Policy::builder("running").build().expect("a valid policy"));
    let key = ApiKey::new("phak_0123456789abcdef0123456789abcdef").expect("a valid key");
    let keyed = Arc::new(Policy::builder("running").credential(key).build().expect("a valid policy"));
    let watch = |name: &str, policy: &Arc<Policy>| {
        let policy = Arc::clone(policy);
        Candidate { name: name.into(), work: Box::new(move || watched(corpus, chunk, &policy)) }
    };
    let mut candidates = [
        Candidate { name: "serde_json alone".into(), work: Box::new(|| parsed(&payloads)) },
        watch("watch without a key", &plain),
        watch("watch with a key to redact", &keyed),
    ];
    let times = medians(&mut candidates);
    let bars = candidates.iter().zip(&times).map(|(candidate, time)| {
        let each = time.as_nanos() as f64 / corpus.expected.events as f64;
        let ratio = time.as_secs_f64() / times[0].as_secs_f64();
        table.row([
            format!("{}, {}", corpus.name, candidate.name),
            chunk_name.to_owned(),
            format!("{each:.0}"),
            format!("{:.0}", throughput(corpus.bytes.len(), *time)),
            format!("{ratio:.2}"),
        ]);
        let is_ours = candidate.name.starts_with("watch");
        Bar { name: candidate.name.clone(), value: each, label: format!("{each:.0} ({ratio:.2}x)"), is_ours }
    });
    bars.collect()
}

fn parsed(payloads: &[String]) {
    for payload in payloads {
        let state: State = serde_json::from_str(payload).expect("a state");
        black_box(Arc::new(state));
    }
}

fn watched(corpus: &Corpus, chunk: usize, policy: &Arc<Policy>) {
    let mut watch = Streaming::new(Arc::clone(policy));
    let (mut events, mut starting) = (0, 0);
    for chunk in corpus.bytes.chunks(chunk) {
        watch.receive(chunk, |event| {
            let Event::State(state) = event else { panic!("a state") };
            events += 1;
            starting += u64::from(state.is("starting") && state.boot_progress.is_some());
            black_box(state);
        });
    }
    assert_eq!((events, starting), (corpus.expected.events, events));
}

fn payloads(stream: &[u8]) -> Vec<String> {
    let (mut decoder, mut payloads) = (Decoder::default(), Vec::new());
    let mut chunk = Chunk::new(stream);
    while let Some(Item::Event(event)) = decoder.decode(&mut chunk) {
        payloads.push(event.data.to_owned());
    }
    payloads
}
