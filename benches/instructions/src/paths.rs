//! The hot paths: what is fed, in which chunks, to whom.

use std::hint::black_box;
use std::sync::Arc;

use cvm_watch_core::sse::{Chunk, Decoder, Item};
use cvm_watch_core::{ApiKey, Event, Policy};
use serde::Deserialize;

use crate::corpus::{self, Corpus};
use crate::digest::{Counted, Sink};
use crate::streaming::Streaming;

/// The size of a stream: some hundred events, so that what happens once does not count.
const SIZE: usize = 1 << 16;

/// One hot path.
pub(crate) struct HotPath {
    /// Who decodes.
    who: Who,
    corpus: fn(usize) -> Corpus,
    chunk: usize,
}

/// Who does the work on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Decoder,
    /// The whole watch, bytes to actions.
    Watch,
    /// The same with a key that is looked for in each payload.
    WatchWithKey,
    /// The yardstick: the payloads into an equal struct.
    SerdeJson,
}

const fn path(who: Who, corpus: fn(usize) -> Corpus, chunk: usize) -> HotPath {
    HotPath { who, corpus, chunk }
}

/// The sizes of chunks that the decoder is given.
const CHUNKS: [usize; 5] = [65536, 1460, 200, 16, 1];

/// All of them: the decoder on every corpus in chunks of every size, and the watch. A chunk of 200
/// bytes cuts nearly every `cvm` event in two.
pub(crate) fn all() -> Vec<HotPath> {
    let corpora = corpus::ALL.iter().flat_map(|corpus| CHUNKS.map(|chunk| path(Who::Decoder, *corpus, chunk)));
    let others = [
        path(Who::SerdeJson, corpus::cvm, 65536),
        path(Who::Watch, corpus::cvm, 65536),
        path(Who::Watch, corpus::cvm, 1460),
        path(Who::Watch, corpus::cvm, 200),
        path(Who::WatchWithKey, corpus::cvm, 65536),
        path(Who::WatchWithKey, corpus::cvm, 200),
        path(Who::SerdeJson, corpus::multilingual, 65536),
        path(Who::Watch, corpus::multilingual, 65536),
        path(Who::Watch, corpus::multilingual, 1460),
        path(Who::Watch, corpus::multilingual, 200),
        path(Who::WatchWithKey, corpus::multilingual, 1460),
    ];
    corpora.chain(others).collect()
}

/// What counts are divided by.
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    pub(crate) each_pass: u64,
}

impl HotPath {
    pub(crate) fn name(&self) -> String {
        let who = match self.who {
            Who::Decoder => "decoder",
            Who::Watch => "watch",
            Who::WatchWithKey => "watch with a key",
            Who::SerdeJson => "serde_json alone",
        };
        let chunk = match self.chunk {
            65536 => "64 KiB".into(),
            bytes => format!("{bytes} B"),
        };
        format!("{who}, {}, {chunk}", (self.corpus)(1).name)
    }

    /// An event, or a KiB where events are few and large.
    pub(crate) fn unit(&self) -> Unit {
        let corpus = (self.corpus)(SIZE);
        let (bytes, events) = (corpus.bytes.len() as u64, corpus.expected.events);
        if events > bytes / 1024 {
            Unit { name: "event", each_pass: events }
        } else {
            Unit { name: "KiB", each_pass: bytes.div_ceil(1024) }
        }
    }
}

/// Goes `passes` times along the path of this name.
pub(crate) fn work(name: &str, passes: u32) -> Result<(), String> {
    let path =
        all().into_iter().find(|path| path.name() == name).ok_or_else(|| format!("there is no path {name:?}"))?;
    let corpus = (path.corpus)(SIZE);
    let payloads = payloads(corpus.bytes);
    for _ in 0..passes {
        match path.who {
            Who::Decoder => decoder(&corpus, path.chunk),
            Who::Watch => watch(&corpus, path.chunk, false),
            Who::WatchWithKey => watch(&corpus, path.chunk, true),
            Who::SerdeJson => serde_json(&payloads),
        }
    }
    Ok(())
}

fn decoder(corpus: &Corpus, chunk: usize) {
    let (mut decoder, mut seen) = (Decoder::default(), Counted::default());
    for chunk in corpus.bytes.chunks(chunk) {
        let mut chunk = Chunk::new(chunk);
        while let Some(item) = decoder.decode(&mut chunk) {
            if let Item::Event(event) = item {
                seen.event(event.name, event.data, event.id);
            }
        }
    }
    assert_eq!(seen.sum().events, corpus.expected.events);
}

fn watch(corpus: &Corpus, chunk: usize, with_key: bool) {
    let mut policy = Policy::builder("running");
    if with_key {
        policy = policy.credential(ApiKey::new("phak_0123456789abcdef0123456789abcdef").expect("a valid key"));
    }
    let mut watch = Streaming::new(Arc::new(policy.build().expect("a valid policy")));
    let mut events = 0;
    for chunk in corpus.bytes.chunks(chunk) {
        watch.receive(chunk, |event| {
            let Event::State(state) = event else { panic!("a state") };
            events += u64::from(state.boot_progress.is_some());
            black_box(state);
        });
    }
    assert_eq!(events, corpus.expected.events);
}

/// What `serde_json` reads into: the fields of the watch's own state.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are read into, which is what is counted")]
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

fn serde_json(payloads: &[String]) {
    for payload in payloads {
        let state: State = serde_json::from_str(payload).expect("a state");
        black_box(Arc::new(state));
    }
}

fn payloads(stream: &[u8]) -> Vec<String> {
    let (mut decoder, mut payloads) = (Decoder::default(), Vec::new());
    let mut chunk = Chunk::new(stream);
    while let Some(Item::Event(event)) = decoder.decode(&mut chunk) {
        payloads.push(event.data.to_owned());
    }
    payloads
}
