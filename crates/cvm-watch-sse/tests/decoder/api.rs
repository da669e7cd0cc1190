use cvm_watch_sse::{Chunk, Decoder, Item, Limits};

#[test]
fn the_input_is_left_right_after_the_line_that_completed_the_item() {
    for (input, left) in [
        ("data: a\n\ndata: b\n\n", "data: b\n\n"),
        ("data: a\r\n\r\ndata: b", "data: b"),
        ("data: a\r\rdata: b", "data: b"),
        ("data: a\r\n\r\n", ""),
        ("data: a\n\n\n", "\n"),
        ("retry: 1\ndata: b", "data: b"),
        ("retry: 1\r\n\r\n", "\r\n"),
        ("data: 123456789\ndata: b", "data: b"),
        ("data: 123456789", ""),
    ] {
        for before in ["", "data: b\n\n"] {
            let mut decoder = Decoder::new(Limits::default().max_event_bytes(8));
            let stream = [before, input].concat();
            let mut chunk = Chunk::new(stream.as_bytes());
            for item in 0..=usize::from(!before.is_empty()) {
                assert!(decoder.decode(&mut chunk).is_some(), "{stream:?}, item {item}");
            }
            assert_eq!(chunk.rest(), left.as_bytes(), "{stream:?}");
        }
    }
}

#[test]
fn the_rest_of_a_chunk_may_be_given_as_a_new_one_after_any_item() {
    let stream = b"data: a\r\n\r\n:\n\nevent: x\ndata: b\n\nretry: 1\ndata: c\ndata: d\n\ndata: e\n\n".repeat(3);
    let mut whole = Decoder::default();
    let mut all = Chunk::new(&stream);
    let (mut one, mut part) = (Decoder::default(), all.clone());
    let mut count = 0;
    while let Some(expected) = whole.decode(&mut all) {
        if count % 2 == 0 {
            part = Chunk::new(part.rest());
        }
        assert_eq!(one.decode(&mut part), Some(expected));
        count += 1;
    }
    assert_eq!((count, one.decode(&mut part)), (15, None));
}

#[test]
fn an_lf_that_follows_a_cr_in_a_later_chunk_is_swallowed() {
    let mut decoder = Decoder::default();
    assert!(matches!(decoder.decode(&mut Chunk::new(b"data: a\r\n\r")), Some(Item::Event(_))));
    assert_eq!(decoder.decode(&mut Chunk::new(b"")), None);
    let mut rest = Chunk::new(b"\ndata: b\n\n");
    assert!(matches!(decoder.decode(&mut rest), Some(Item::Event(event)) if event.data == "b"));
    assert!(rest.rest().is_empty());
}

#[test]
fn a_reset_drops_the_unfinished_and_keeps_the_last_event_id() {
    for cut in ["id: 2\ndata: b", "id: 2\nevent: x\n", "data: \u{fffd}", "dat", "data: b\r", "", "retry: 5", ": comm"] {
        let mut decoder = Decoder::default();
        assert!(decoder.decode(&mut Chunk::new(b"id: 1\ndata: a\n\n")).is_some());
        assert_eq!(decoder.decode(&mut Chunk::new(cut.as_bytes())), None);
        decoder.reset();
        assert_eq!(decoder.last_event_id(), "1");
        // The mark and the blank line would be read otherwise anywhere but at a stream's start.
        let mut rest = Chunk::new("\u{feff}data: c\n\n".as_bytes());
        let item = decoder.decode(&mut rest);
        assert!(matches!(item, Some(Item::Event(event)) if event.data == "c" && event.name.is_empty()), "{cut:?}");
    }
}

#[test]
fn a_reset_forgets_a_cut_crlf() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.decode(&mut Chunk::new(b": beat\r")), None);
    decoder.reset();
    // The LF is a separate line, so the mark after it is text.
    assert_eq!(decoder.decode(&mut Chunk::new("\n\u{feff}data: a\n\n".as_bytes())), None);
}

#[test]
fn a_reset_forgets_a_dropped_event_and_a_cut_mark() {
    let mut decoder = Decoder::new(Limits::default().max_event_bytes(4));
    assert_eq!(decoder.decode(&mut Chunk::new(b"data: 12345")), Some(Item::TooLarge { limit: 4 }));
    decoder.reset();
    assert!(decoder.decode(&mut Chunk::new(b"data: a\n\n")).is_some());
    decoder.reset();
    assert_eq!(decoder.decode(&mut Chunk::new(b"\xef\xbb")), None);
    decoder.reset();
    assert!(decoder.decode(&mut Chunk::new(b"data: a\n\n")).is_some());
}

#[test]
fn an_event_without_a_name_is_a_message() {
    for (input, name, kind) in [
        ("data\n\n", "", "message"),
        ("event\ndata\n\n", "", "message"),
        ("event: state\ndata\n\n", "state", "state"),
        ("event: message\ndata\n\n", "message", "message"),
    ] {
        let mut decoder = Decoder::default();
        let item = decoder.decode(&mut Chunk::new(input.as_bytes()));
        let Some(Item::Event(event)) = item else { panic!("{item:?}") };
        assert_eq!((event.name, event.event_type()), (name, kind), "{input:?}");
    }
}

#[test]
fn debug_output_shows_no_payload() {
    let mut decoder = Decoder::default();
    decoder.decode(&mut Chunk::new(b"id: secret\n\nevent: secret\ndata: secret"));
    let shown = format!("{decoder:?}");
    assert!(shown.contains("max_event_bytes") && !shown.contains("secret"), "{shown}");
}
