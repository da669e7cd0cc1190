//! Our decoder and the peers over the same streams, in one run.
//!
//! `cargo run --release --bin decoder [PART OF A CORPUS NAME]`; for all corpora it also writes the plots
//! into `docs/benchmarks`.

use std::path::Path;

use cvm_watch_benches::corpus::{self, Corpus};
use cvm_watch_benches::measure::{Candidate, medians};
use cvm_watch_benches::peers::{self, Kind, Peer};
use cvm_watch_benches::plot::{Bar, Bars, Grid, Group, Plot};
use cvm_watch_benches::report::{Table, load, machine, throughput};

/// The chunk sizes, each with that of its streams. These are small enough to stay in the
/// second-level cache: what is measured is decoding, not memory. Shorter ones for tiny chunks, as
/// some peers take quadratic time.
const CHUNKS: [(usize, &str, usize); 5] = [
    (64 * 1024, "64 KiB", 1 << 20),
    (1460, "1460 B", 1 << 20),
    (200, "200 B", 1 << 18),
    (16, "16 B", 1 << 17),
    (1, "1 B", 1 << 15),
];
/// The column of which the bars are: what a TCP segment carries.
const PLOTTED_CHUNK: usize = 1;
const PLOTTED: [&str; 3] = ["cvm events, 200 B", "token events, 17 B", "64 KiB events, 1 KiB lines"];

/// MB/s by peer, for each chunk size; none for a peer that misreads.
type Columns = Vec<Vec<Option<f64>>>;

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    println!("{}\n", machine());
    println!("MB/s of CPU time, by the size of the chunks.\n");
    let sets = CHUNKS.map(|(chunk, _, size)| (chunk, corpus::all(size)));
    let names = sets[0].1.iter().map(|corpus| corpus.name).enumerate();
    let mut measured = Vec::new();
    for (number, name) in names.filter(|(_, name)| name.contains(&wanted)) {
        let columns = sets.iter().map(|(chunk, corpora)| column(&corpora[number], *chunk)).collect();
        print(name, &columns);
        measured.push((name, columns));
    }
    println!("{} at the end", load());
    if wanted.is_empty() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks");
        bars(&measured).write(&folder, "decoders").expect("docs/benchmarks can be written");
        grid(&measured).write(&folder, "ratios").expect("docs/benchmarks can be written");
    }
}

fn print(name: &str, columns: &Columns) {
    let mut table = Table::new([name].into_iter().chain(CHUNKS.map(|(_, name, _)| name)));
    for (number, peer) in peers::ALL.iter().enumerate() {
        let figures = columns.iter().map(|column| column[number].map_or("wrong".into(), |mbs| format!("{mbs:.0}")));
        table.row([peer.name.to_owned()].into_iter().chain(figures));
    }
    for (number, peer) in peers::ALL.iter().enumerate().filter(|(_, peer)| peer.kind == Kind::Ours) {
        let ratios = columns.iter().map(|column| format!("{:.2}x", ratio(column, number)));
        table.row([format!("**{}** / best peer", peer.name)].into_iter().chain(ratios));
    }
    table.print();
    println!();
}

fn bars(measured: &[(&str, Columns)]) -> Bars {
    let plotted = measured.iter().filter(|(name, _)| PLOTTED.contains(name));
    let groups = plotted.map(|(name, columns)| {
        let column = &columns[PLOTTED_CHUNK];
        let mut bars: Vec<Bar> = peers::ALL
            .iter()
            .zip(column)
            .filter(|(peer, _)| peer.kind != Kind::Yardstick)
            .map(|(peer, mbs)| Bar {
                name: peer.name.into(),
                value: mbs.unwrap_or(0.0),
                label: mbs.map_or("misreads it".into(), |mbs| format!("{mbs:.0}")),
                is_ours: peer.kind == Kind::Ours,
            })
            .collect();
        bars.sort_by(|a, b| b.value.total_cmp(&a.value));
        Group { title: (*name).into(), bars }
    });
    let (_, chunk, _) = CHUNKS[PLOTTED_CHUNK];
    Bars { title: format!("Decoders, chunks of {chunk}: MB per CPU second, more is better"), groups: groups.collect() }
}

fn grid(measured: &[(&str, Columns)]) -> Grid {
    let rows = measured
        .iter()
        .map(|(name, columns)| ((*name).to_owned(), columns.iter().map(|column| ratio(column, 0)).collect()));
    Grid {
        title: "Throughput of cvm-watch-sse / that of the fastest peer, by chunk size".into(),
        columns: CHUNKS.map(|(_, name, _)| name.to_owned()).into(),
        rows: rows.collect(),
    }
}

fn ratio(column: &[Option<f64>], number: usize) -> f64 {
    column[number].unwrap_or(f64::NAN) / best(column)
}

/// MB/s of each peer; none for one that saw something else than is there.
fn column(corpus: &Corpus, chunk: usize) -> Vec<Option<f64>> {
    let right: Vec<bool> = peers::ALL.iter().map(|peer| is_right(peer, corpus, chunk)).collect();
    let mut candidates: Vec<Candidate<'_>> = peers::ALL
        .iter()
        .zip(&right)
        .filter(|(_, right)| **right)
        .map(|(peer, _)| Candidate { name: peer.name.into(), work: Box::new(|| run(peer, corpus, chunk)) })
        .collect();
    let mut times = medians(&mut candidates).into_iter();
    right.iter().map(|right| right.then(|| throughput(corpus.bytes.len(), times.next().unwrap_or_default()))).collect()
}

fn is_right(peer: &Peer, corpus: &Corpus, chunk: usize) -> bool {
    let right = peer.kind == Kind::Yardstick || (peer.check)(corpus.bytes, chunk) == corpus.expected;
    assert!(right || peer.kind == Kind::Peer, "{} misreads {}", peer.name, corpus.name);
    right
}

fn run(peer: &Peer, corpus: &Corpus, chunk: usize) {
    let sum = (peer.run)(corpus.bytes, chunk);
    let (events, bytes) = (corpus.expected.events, corpus.expected.bytes);
    assert!(peer.kind == Kind::Yardstick || (sum.events, sum.bytes) == (events, bytes), "{}", peer.name);
}

fn best(column: &[Option<f64>]) -> f64 {
    let peers = peers::ALL.iter().zip(column).filter(|(peer, _)| peer.kind == Kind::Peer);
    peers.filter_map(|(_, mbs)| *mbs).fold(f64::NAN, f64::max)
}
