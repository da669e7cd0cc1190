//! What the decoder holds on the heap, by an allocator that counts: never more than is documented,
//! for any input and any cuts.
//!
//! A separate program, since a program has one allocator. It counts per thread.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers of tests may panic too, and some are shared with the core's tests"
)]

mod meter;

use cvm_watch_sse::{Chunk, Decoder, Item, Limits};
use meter::{A_FEW_KIB, KIB, Meter, adversaries, cuts, documented};

#[test]
fn a_decoder_holds_no_more_than_it_documents() {
    for (limit, max_id) in [(KIB, 100), (32 * KIB, KIB), (100 * KIB, usize::MAX)] {
        let most = documented(limit, max_id.min(limit));
        for (name, stream) in adversaries(limit) {
            for cut in cuts(&stream) {
                let mut decoder = Decoder::new(Limits::default().max_event_bytes(limit).max_id_bytes(max_id));
                let mut meter = Meter::default();
                for chunk in stream.chunks(cut) {
                    meter.step(|| {
                        let mut rest = Chunk::new(chunk);
                        while decoder.decode(&mut rest).is_some() {}
                    });
                    let (live, reported) = (meter.live(), decoder.buffered_bytes());
                    assert!(live <= most, "{name}, cut by {cut}: {live} bytes live, over {most}");
                    assert!(live <= reported + 64, "{name}, cut by {cut}: {live} bytes live, {reported} reported");
                }
                let peak = meter.peak();
                assert!(peak <= 2 * most, "{name}, cut by {cut}: {peak} bytes at once, over twice {most}");
            }
        }
    }
}

#[test]
fn a_decoder_gives_its_memory_back_after_a_large_event() {
    let large = "x".repeat(3 << 20);
    let after = b"id: 1\nevent: a\ndata: b\n\nid: 2\nevent: a\ndata: b\n\n";
    for stream in [
        format!("data: {large}\n\n"),
        format!("event: {large}\ndata: a\n\n"),
        format!("id: {large}\ndata: a\n\n"),
        format!("data: {large}{large}\n\n"),
        format!("data: {large}\ndata: {large}\n\n"),
        format!("id: {large}\n\n"),
    ] {
        for cut in [997, 64 * KIB, 8 << 20] {
            let (mut decoder, mut meter) = (Decoder::default(), Meter::default());
            for chunk in stream.as_bytes().chunks(cut).chain(after.chunks(7)) {
                meter.step(|| {
                    let mut rest = Chunk::new(chunk);
                    while decoder.decode(&mut rest).is_some() {}
                });
            }
            assert!(meter.live() <= A_FEW_KIB, "{}, cut by {cut}: {} bytes live", &stream[..9], meter.live());
        }
    }
}

#[test]
fn events_whole_in_their_chunk_cost_no_allocation() {
    let chunk =
        "event: state\ndata: {\"status\":\"starting\"}\n\n: beat\n\ndata: without a name\r\n\r\nretry: 5\n".repeat(100);
    let (mut decoder, mut meter, mut events) = (Decoder::default(), Meter::default(), 0);
    meter.step(|| {
        let mut rest = Chunk::new(chunk.as_bytes());
        while let Some(item) = decoder.decode(&mut rest) {
            events += usize::from(matches!(item, Item::Event(_)));
        }
    });
    assert_eq!((events, meter.allocations), (200, 0));
}

#[test]
fn cut_events_cost_no_allocation_once_the_buffers_are_warm() {
    let event = "id: 17\nevent: state\ndata: {\"status\":\"starting\",\ndata: \"boot_progress\":\"booting\"}\n\n";
    for cut in 1..event.len() + 3 {
        // Long enough that it is cut at every place that this cut comes to.
        let (warm_up, steady) = (event.repeat(100), event.repeat(100));
        let (mut decoder, mut meter, mut events) = (Decoder::default(), Meter::default(), 0);
        let mut feed = |stream: &str| {
            for chunk in stream.as_bytes().chunks(cut) {
                meter.step(|| {
                    let mut rest = Chunk::new(chunk);
                    while decoder.decode(&mut rest).is_some() {
                        events += 1;
                    }
                });
            }
            meter.allocations
        };
        let warm = feed(&warm_up);
        assert_eq!(feed(&steady) - warm, 0, "cut by {cut}");
        assert_eq!(events, 200, "cut by {cut}");
    }
}
