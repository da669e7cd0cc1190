use super::reference::{self, ReferenceItem};
use core::fmt::Write;
use cvm_watch_sse::{Chunk, Decoder, Event, Item, Limits};

/// Checks what `input` shows under the default limits; see [`check_within`].
pub(super) fn check(input: &[u8], expected: &str) {
    check_within(Limits::default(), input, expected);
}

/// Checks what `input` shows, given whole, in pieces of 1, 2, 3 and 7 bytes, and cut in two
/// anywhere; by the decoder and by the reference decoder.
///
/// `expected` lists the items, separated by `; `: `name "data"`, then ` #id` if there is one;
/// `retry 10`; `too large`. A last `id "x"` tells the last event id if it is not that of the last
/// event.
pub(super) fn check_within(limits: Limits, input: &[u8], expected: &str) {
    let text = input.escape_ascii();
    let (items, id) = reference::read(input, limits.max_event_bytes, limits.max_id_bytes);
    assert_eq!(render(&items, &id), expected, "the reference decoder, of {text}");
    for size in [input.len().max(1), 1, 2, 3, 7] {
        let (items, id) = decode(limits, input.chunks(size));
        assert_eq!(render(&items, &id), expected, "pieces of {size}, of {text}");
    }
    for at in 0..=input.len() {
        let (first, second) = input.split_at(at);
        let (items, id) = decode(limits, [first, second]);
        assert_eq!(render(&items, &id), expected, "cut at {at}, of {text}");
    }
}

/// The items that the decoder reads in `pieces`, and its last event id after them: a chunk for each
/// piece, and a new one after each item.
pub(super) fn decode<'a>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
) -> (Vec<ReferenceItem>, String) {
    let pieces = pieces.into_iter();
    let [once, anew] = [false, true].map(|anew| decode_chunks(limits, pieces.clone(), anew));
    assert_eq!(once, anew, "a chunk for each piece, and a new one after each item");
    once
}

fn decode_chunks<'a>(
    limits: Limits,
    pieces: impl Iterator<Item = &'a [u8]>,
    anew: bool,
) -> (Vec<ReferenceItem>, String) {
    let mut decoder = Decoder::new(limits);
    let mut items = Vec::new();
    for mut chunk in pieces.map(Chunk::new) {
        while let Some(item) = decoder.decode(&mut chunk) {
            items.push(own(item, limits));
            if anew {
                chunk = Chunk::new(chunk.rest());
            }
        }
        assert!(chunk.rest().is_empty(), "the input is used up");
        assert!(decoder.buffered_bytes() <= most_held(limits), "{decoder:?}");
    }
    (items, decoder.last_event_id().into())
}

/// The sum that [`Decoder::buffered_bytes`] promises.
fn most_held(limits: Limits) -> usize {
    let event = limits.max_event_bytes + limits.max_event_bytes / 4;
    let id = limits.max_id_bytes.min(limits.max_event_bytes);
    event + 2 * (id + id / 4) + 16 * 1024
}

fn own(item: Item<'_>, limits: Limits) -> ReferenceItem {
    match item {
        Item::Event(Event { name, data, id, .. }) => {
            ReferenceItem::Event { name: name.into(), data: data.into(), id: id.into() }
        }
        Item::Retry(milliseconds) => ReferenceItem::Retry(milliseconds),
        Item::TooLarge { limit } => {
            assert_eq!(limit, limits.max_event_bytes);
            ReferenceItem::TooLarge
        }
        other => panic!("the reference decoder knows no {other:?}"),
    }
}

fn render(items: &[ReferenceItem], last_id: &str) -> String {
    let mut text = String::new();
    let mut shown_id = "";
    for item in items {
        if !text.is_empty() {
            text.push_str("; ");
        }
        match item {
            ReferenceItem::Event { name, data, id } => {
                shown_id = id;
                let name = if name.is_empty() { "message" } else { name };
                let mark = if id.is_empty() { "" } else { " #" };
                write!(text, "{name} {data:?}{mark}{id}").unwrap();
            }
            ReferenceItem::Retry(milliseconds) => write!(text, "retry {milliseconds}").unwrap(),
            ReferenceItem::TooLarge => text.push_str("too large"),
        }
    }
    if shown_id != last_id {
        let separator = if text.is_empty() { "" } else { "; " };
        write!(text, "{separator}id {last_id:?}").unwrap();
    }
    text
}
