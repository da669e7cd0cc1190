//! What one idle watch holds, by an allocator that counts.
//!
//! `cargo run --release --bin memory`

use std::alloc::System;
use std::sync::Arc;

use cvm_watch_benches::corpus;
use cvm_watch_benches::report::{Table, machine};
use cvm_watch_benches::streaming::Streaming;
use cvm_watch_core::sse::Decoder;
use cvm_watch_core::{Policy, Watch};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WATCHES: usize = 1000;
const LIMIT: usize = 1024;

fn main() {
    println!("{}\n", machine());
    println!("Bytes, the shared `Policy` left out; per watch the mean of {WATCHES}. Target: under {LIMIT}.\n");
    let mut table = Table::new(["", "size_of", "heap", "sum"]);
    let event = format!("event: state\ndata: {}\n\n", corpus::state(7, "compose-web"));
    let (first, second) = event.as_bytes().split_at(100);
    let cases: [(&str, &[&[u8]]); 4] = [
        ("stream open, no event yet", &[]),
        ("after one event in one chunk", &[event.as_bytes()]),
        ("after one event cut in two", &[first, second]),
        ("in the middle of its second event", &[event.as_bytes(), first]),
    ];
    for (name, chunks) in cases {
        let (heap, size) = (heap_per_watch(chunks), size_of::<Watch>());
        table.row([name.to_owned(), size.to_string(), heap.to_string(), (heap + size).to_string()]);
    }
    let decoder = size_of::<Decoder>();
    table.row(["a decoder by itself".to_owned(), decoder.to_string(), "0".into(), decoder.to_string()]);
    table.print();
}

fn heap_per_watch(chunks: &[&[u8]]) -> usize {
    let policy = Arc::new(Policy::builder("running").build().expect("a valid policy"));
    let mut watches = Vec::with_capacity(WATCHES);
    let region = Region::new(ALLOCATOR);
    for _ in 0..WATCHES {
        let mut watch = Streaming::new(Arc::clone(&policy));
        chunks.iter().for_each(|chunk| watch.receive(chunk, drop));
        watches.push(watch);
    }
    let change = region.change();
    (change.bytes_allocated - change.bytes_deallocated) / watches.len()
}
