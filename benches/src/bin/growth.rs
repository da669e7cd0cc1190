//! Cost per byte as a stream, a line or an event grows, by chunk size: flat if time is linear.
//!
//! `cargo run --release --bin growth`

use std::hint::black_box;

use cvm_watch_benches::measure::{Candidate, medians};
use cvm_watch_benches::report::{Table, machine, throughput};
use cvm_watch_sse::{Chunk, Decoder, Item, Limits};

const KIB: usize = 1024;
const SIZES: [(usize, &str); 6] = [
    (KIB, "1 KiB"),
    (16 * KIB, "16 KiB"),
    (256 * KIB, "256 KiB"),
    (4 * KIB * KIB, "4 MiB"),
    (16 * KIB * KIB, "16 MiB"),
    (64 * KIB * KIB, "64 MiB"),
];
const CHUNKS: [(usize, &str); 3] = [(64 * KIB, "64 KiB"), (1460, "1460 B"), (1, "1 B")];
/// A byte at a time is slow enough without the last sizes.
const LARGEST_BY_BYTES: usize = 4 * KIB * KIB;

/// What grows: its name, the bytes for a size, the events in them.
type Shape = (&'static str, fn(usize) -> (Vec<u8>, u64));

const SHAPES: [Shape; 5] = [
    ("a stream of events", |size| {
        let count = size.div_ceil(200);
        let event = format!("event: state\ndata: {}\n\n", "x".repeat(200 - 21));
        (event.repeat(count).into_bytes(), count as u64)
    }),
    ("one data line", |size| (format!("data: {}\n\n", "x".repeat(size)).into_bytes(), 1)),
    ("one event of data lines", |size| {
        ((format!("data: {}\n", "x".repeat(57)).repeat(size / 64) + "\n").into_bytes(), 1)
    }),
    ("one event of empty data lines", |size| (("data\n".repeat(size / 5) + "\n").into_bytes(), 1)),
    ("one comment", |size| (format!(": {}\n", "x".repeat(size)).into_bytes(), 0)),
];

fn main() {
    println!("{}\n", machine());
    println!("MB/s of CPU time. The event limit is raised to 128 MiB, so that no event is dropped.\n");
    for (name, make) in SHAPES {
        let mut table = Table::new([name].into_iter().chain(CHUNKS.map(|(_, name)| name)));
        for (size, size_name) in SIZES {
            let (stream, events) = make(size);
            let cells = CHUNKS.map(|(chunk, _)| cell(&stream, events, chunk));
            table.row([size_name.to_owned()].into_iter().chain(cells));
        }
        table.print();
        println!();
    }
}

fn cell(stream: &[u8], events: u64, chunk: usize) -> String {
    if chunk == 1 && stream.len() > 2 * LARGEST_BY_BYTES {
        return "-".into();
    }
    let work = Box::new(|| assert_eq!(decoded(stream, chunk), events, "events seen"));
    let times = medians(&mut [Candidate { name: String::new(), work }]);
    format!("{:.0}", throughput(stream.len(), times[0]))
}

fn decoded(stream: &[u8], chunk: usize) -> u64 {
    let mut decoder = Decoder::new(Limits::default().max_event_bytes(128 * KIB * KIB));
    let mut events = 0;
    for chunk in stream.chunks(chunk) {
        let mut chunk = Chunk::new(chunk);
        while let Some(item) = decoder.decode(&mut chunk) {
            events += u64::from(matches!(black_box(item), Item::Event(_)));
        }
    }
    events
}
