//! Our decoder and the peers over the same streams, in one run.
//!
//! `cargo run --release --bin decoder [PART OF A CORPUS NAME]`

use cvm_watch_benches::corpus::{self, Corpus};
use cvm_watch_benches::measure::{Candidate, medians};
use cvm_watch_benches::peers::{self, Kind, Peer};
use cvm_watch_benches::report::{Table, machine, throughput};

/// The chunk sizes, each with that of its streams. These are small enough to stay in the
/// second-level cache: what is measured is decoding, not memory. Shorter ones for tiny chunks, as
/// some peers take quadratic time.
const CHUNKS: [(usize, &str, usize); 4] =
    [(64 * 1024, "64 KiB", 1 << 20), (1460, "1460 B", 1 << 20), (16, "16 B", 1 << 17), (1, "1 B", 1 << 15)];

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    println!("{}\n", machine());
    println!("MB/s of CPU time, by the size of the chunks.\n");
    let sets = CHUNKS.map(|(chunk, _, size)| (chunk, corpus::all(size)));
    let names = sets[0].1.iter().map(|corpus| corpus.name).enumerate();
    for (number, name) in names.filter(|(_, name)| name.contains(&wanted)) {
        measure(name, sets.iter().map(|(chunk, corpora)| column(&corpora[number], *chunk)).collect());
    }
}

fn measure(name: &str, columns: Vec<Vec<Option<f64>>>) {
    let mut table = Table::new([name].into_iter().chain(CHUNKS.map(|(_, name, _)| name)));
    for (number, peer) in peers::ALL.iter().enumerate() {
        let figures = columns.iter().map(|column| column[number].map_or("wrong".into(), |mbs| format!("{mbs:.0}")));
        table.row([peer.name.to_owned()].into_iter().chain(figures));
    }
    for (number, peer) in peers::ALL.iter().enumerate().filter(|(_, peer)| peer.kind == Kind::Ours) {
        let ratios = columns.iter().map(|column| format!("{:.2}x", column[number].unwrap_or(f64::NAN) / best(column)));
        table.row([format!("**{}** / best peer", peer.name)].into_iter().chain(ratios));
    }
    table.print();
    println!();
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
