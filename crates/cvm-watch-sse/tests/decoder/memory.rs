use cvm_watch_sse::{Chunk, Decoder, Item, Limits};

const LIMIT: usize = 64 * 1024;
/// What the small buffers may keep for reuse.
const SLACK: usize = 16 * 1024;

/// Feeds `head`, then 40 times the limit of `filler` in pieces of `size`: the items seen, and the
/// most bytes held.
fn flood(head: &[u8], filler: &[u8], size: usize) -> (Vec<String>, usize) {
    let mut decoder = Decoder::new(Limits::default().max_event_bytes(LIMIT));
    let piece = filler.repeat(size.div_ceil(filler.len()));
    let (mut seen, mut most, mut fed) = (Vec::new(), 0, 0);
    let mut feed = |input: &[u8]| {
        let mut input = Chunk::new(input);
        while let Some(item) = decoder.decode(&mut input) {
            seen.push(match item {
                Item::Event(event) => format!("event of {}", event.data.len()),
                Item::Retry(_) => "retry".into(),
                Item::TooLarge { .. } => "too large".into(),
                other => panic!("an item of another kind: {other:?}"),
            });
        }
        most = most.max(decoder.buffered_bytes());
    };
    feed(head);
    while fed < 40 * LIMIT {
        feed(&piece);
        fed += piece.len();
    }
    feed(b"\n\ndata: after\n\n");
    (seen, most)
}

#[test]
fn what_never_ends_is_held_up_to_the_limit_only() {
    for size in [100, 5_000, 1024 * 1024] {
        let cases: [(&str, &str, &[&str], usize); 12] = [
            ("data: ", "x", &["too large", "event of 5"], LIMIT),
            ("", "data: xxxxxxxxxxxxxxxxxxx\n", &["too large", "event of 5"], LIMIT),
            ("", "data\n", &["too large", "event of 5"], LIMIT),
            ("event: ", "x", &["too large", "event of 5"], LIMIT),
            ("data: \u{fffd}", "\u{fffd}", &["too large", "event of 5"], LIMIT),
            ("id: ", "x", &["too large", "event of 5"], LIMIT),
            ("", "event: xxxxxxxxx\n", &["event of 5"], 0),
            ("", "id: xxxxxxxxx\n", &["event of 5"], 0),
            (": ", "x", &["event of 5"], 0),
            ("data", "x", &["event of 5"], 0),
            ("unknown: ", "data: x", &["event of 5"], 0),
            ("retry: ", "1", &["retry", "event of 5"], 0),
        ];
        for (head, filler, expected, limit) in cases {
            let (seen, most) = flood(head.as_bytes(), filler.as_bytes(), size);
            assert_eq!(seen, expected, "{head:?} {filler:?} {size}");
            assert!(most <= limit + 256, "{head:?} {filler:?} {size}: {most} bytes held");
        }
    }
}

#[test]
fn an_id_is_held_up_to_its_own_limit_only() {
    let mut decoder = Decoder::new(Limits::default().max_id_bytes(100));
    for _ in 0..100 {
        assert_eq!(decoder.decode(&mut Chunk::new("id: ".as_bytes())), None);
        for _ in 0..1_000 {
            assert_eq!(decoder.decode(&mut Chunk::new("0123456789".as_bytes())), None);
            assert!(decoder.buffered_bytes() <= 256, "{}", decoder.buffered_bytes());
        }
        assert_eq!(decoder.decode(&mut Chunk::new("\n\n".as_bytes())), None);
    }
}

#[test]
fn a_kept_event_of_comments_survives_them_in_little_memory() {
    let (seen, most) = flood(b"data: kept\n", b": a comment\n", 5_000);
    assert_eq!(seen, ["event of 4", "event of 5"]);
    assert!(most < 256, "{most}");
}

#[test]
fn buffers_shrink_after_a_large_event() {
    let mut decoder = Decoder::default();
    let large = "x".repeat(1_000_000);
    for field in ["data", "event", "id"] {
        decoder.decode(&mut Chunk::new(format!("{field}: {large}").as_bytes()));
        assert!(decoder.buffered_bytes() >= 1_000_000);
        let mut end = Chunk::new(b"\ndata: a\n\n");
        assert!(matches!(decoder.decode(&mut end), Some(Item::Event(_))));
        assert_eq!(decoder.decode(&mut Chunk::new(b"id: 1\n\n")), None);
        assert!(decoder.buffered_bytes() < 512, "{field}: {}", decoder.buffered_bytes());
    }
}

#[test]
fn a_replaced_or_dropped_field_gives_its_memory_back() {
    for stream in
        ["event: {x}\nevent: y\ndata: a", "id: {x}\nid: y\ndata: a", "data: {x}\nevent: {x}", "id: {x}\0\nid: y"]
    {
        let mut decoder = Decoder::new(Limits::default().max_event_bytes(1_500_000));
        let stream = stream.replace("{x}", &"x".repeat(1_000_000));
        for mut piece in stream.as_bytes().chunks(10_000).map(Chunk::new) {
            while decoder.decode(&mut piece).is_some() {}
        }
        assert!(decoder.buffered_bytes() < 256, "{}: {}", &stream[..10], decoder.buffered_bytes());
    }
}

#[test]
fn buffers_of_usual_size_are_reused() {
    let mut decoder = Decoder::default();
    let mut held = Vec::new();
    for _ in 0..100 {
        for mut piece in b"id: 12\nevent: state\ndata: {\"status\":\"starting\"}\n\n".chunks(9).map(Chunk::new) {
            while decoder.decode(&mut piece).is_some() {}
        }
        held.push(decoder.buffered_bytes());
    }
    assert!(held[10..].iter().all(|&bytes| bytes == held[10] && bytes < 512), "{held:?}");
}

#[test]
fn events_whole_in_their_chunk_are_not_copied() {
    let mut decoder = Decoder::default();
    let chunk = b"event: state\ndata: {}\n\n: beat\n\ndata: more\n\n".repeat(10);
    let mut input = Chunk::new(&chunk);
    let mut events = 0;
    while let Some(item) = decoder.decode(&mut input) {
        if let Item::Event(event) = item {
            assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
            events += 1;
        }
    }
    assert_eq!((events, decoder.buffered_bytes()), (20, 0));
}

#[test]
fn the_worst_mix_of_fields_stays_under_the_documented_sum() {
    let max_id = 20_000;
    let mut decoder = Decoder::new(Limits::default().max_event_bytes(LIMIT).max_id_bytes(max_id));
    let most = LIMIT + LIMIT / 4 + 2 * (max_id + max_id / 4) + SLACK;
    for round in 0..50 {
        let id = "i".repeat(max_id - round);
        let name = "n".repeat(LIMIT / 4 + 100 * round);
        let data = "d".repeat(LIMIT / 8 - 200);
        let stream = format!("id: {id}\ndata: {data}\nevent: {name}\ndata: {data}\nid: {id}\0\nid: {id}\n\n");
        for mut piece in stream.as_bytes().chunks(997).map(Chunk::new) {
            while decoder.decode(&mut piece).is_some() {}
            assert!(decoder.buffered_bytes() <= most, "{} > {most}", decoder.buffered_bytes());
        }
        assert_eq!(decoder.last_event_id(), id);
    }
}

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 200, "{}", size_of::<Decoder>());
}

#[test]
fn the_memory_of_an_event_is_given_back_at_once_when_asked_and_never_what_is_unfinished() {
    let mut decoder = Decoder::default();
    // Cut in two, so that it is held.
    assert_eq!(decoder.decode(&mut Chunk::new(b"event: state\ndata: {\"status\":")), None);
    let mut input = Chunk::new(b"\"starting\"}\n\ndata: more");
    assert!(matches!(decoder.decode(&mut input), Some(Item::Event(event)) if event.name == "state"));
    assert!(decoder.buffered_bytes() > 16);
    decoder.free_event();
    // A short name is not worth giving back.
    assert!(decoder.buffered_bytes() <= 16, "{} bytes held", decoder.buffered_bytes());
    assert_eq!(decoder.decode(&mut input), None);
    decoder.free_event();
    let Some(Item::Event(event)) = decoder.decode(&mut Chunk::new(b" and more\n\n")) else { panic!("no event") };
    assert_eq!(event.data, "more and more");
}

#[test]
fn ascii_in_small_pieces_never_outgrows_what_an_event_may_hold() {
    let limits = Limits::default().max_event_bytes(LIMIT);
    let mut decoder = Decoder::new(limits);
    assert_eq!(decoder.decode(&mut Chunk::new(b"data: x")), None);
    for length in 2..=LIMIT {
        assert_eq!(decoder.decode(&mut Chunk::new(b"x")), None);
        assert!(decoder.buffered_bytes() <= LIMIT, "{} bytes held of {length}", decoder.buffered_bytes());
    }
    assert_eq!(decoder.decode(&mut Chunk::new(b"x")), Some(Item::TooLarge { limit: LIMIT }));
}
