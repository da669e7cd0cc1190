//! The decoder against its naive twin: any bytes, any limits, any cuts.

use cvm_watch_core::sse::{Decoder, Event, Item, Limits};

use super::choices::Choices;
use super::twin::{self, TwinItem};

/// Claims: the decoder sees what the twin sees, given whole or in any pieces; at each cut it has
/// reported all that the bytes so far prove; it uses its input up; it holds no more memory than it
/// promises.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let max_event_bytes = choices.pick(&[4 << 20, 0, 1, 2, 3, 4, 5, 8, 16, 40, 300]);
    let max_id_bytes = choices.pick(&[1024, usize::MAX, 0, 1, 2, 3, 8]);
    let limits = Limits::default().max_event_bytes(max_event_bytes).max_id_bytes(max_id_bytes);
    let limits = (limits, max_event_bytes, max_id_bytes);
    let (sizes, looked_at) = ([choices.byte(), choices.byte(), choices.byte()], usize::from(choices.byte()));
    let stream = choices.rest();

    for way in [Way::ByChunk, Way::OneByOne, Way::InTurns] {
        let expected = twin::read(stream, max_event_bytes, max_id_bytes);
        assert_eq!(decode(way, limits, [stream]), expected, "{way:?}, whole, {limits:?}, of {}", stream.escape_ascii());
        let pieces = pieces(stream, sizes);
        assert_eq!(decode(way, limits, pieces.iter().copied()), expected, "{way:?}, {limits:?}, of {pieces:x?}");
        if !stream.is_empty() {
            let begun = &stream[..looked_at % stream.len()];
            let expected = twin::read(begun, max_event_bytes, max_id_bytes);
            assert_eq!(
                decode(way, limits, [begun]),
                expected,
                "{way:?}, begun, {limits:?}, of {}",
                begun.escape_ascii()
            );
        }
    }
}

/// How a piece is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By `Decoder::read`, to its end.
    ByChunk,
    /// By `Decoder::decode`, and the memory of each event given back.
    OneByOne,
    /// An item by `read`, the next by `decode`.
    InTurns,
}

/// Cuts into pieces of these sizes in turn; a size of 0 is an empty piece.
fn pieces(mut stream: &[u8], sizes: [u8; 3]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let sizes = [sizes[0], sizes[1], sizes[2], 1];
    let mut turn = sizes.iter().cycle();
    while let (false, Some(size)) = (stream.is_empty(), turn.next()) {
        let (piece, rest) = stream.split_at(usize::from(*size).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

fn decode<'a>(
    way: Way,
    (limits, max_event_bytes, max_id_bytes): (Limits, usize, usize),
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<TwinItem>, String) {
    let mut decoder = Decoder::new(limits);
    let mut items = Vec::new();
    let mut most_held = 0;
    let mut given = 0;
    for mut piece in pieces {
        given += piece.len();
        match way {
            Way::ByChunk => {
                let mut chunk = decoder.read(piece);
                while let Some(item) = chunk.next_item() {
                    items.push(seen(item));
                }
                piece = chunk.rest();
            }
            Way::OneByOne => {
                while let Some(item) = decoder.decode(&mut piece) {
                    items.push(seen(item));
                    decoder.free_event();
                }
            }
            Way::InTurns => loop {
                let mut chunk = decoder.read(piece);
                let Some(item) = chunk.next_item() else { break piece = chunk.rest() };
                items.push(seen(item));
                piece = chunk.rest();
                let Some(item) = decoder.decode(&mut piece) else { break };
                items.push(seen(item));
            },
        }
        assert!(piece.is_empty(), "the input is used up");
        most_held = most_held.max(decoder.buffered_bytes());
    }
    // Each byte can become a U+FFFD of three.
    let (event, id) = (max_event_bytes.min(given * 3), max_id_bytes.min(max_event_bytes).min(given * 3));
    assert!(most_held <= event + event / 2 + 2 * (id + id / 2) + (16 << 10), "{most_held} bytes held of {given}");
    (items, decoder.last_event_id().into())
}

fn seen(item: Item<'_>) -> TwinItem {
    match item {
        Item::Event(Event { name, data, id, .. }) => {
            TwinItem::Event { name: name.into(), data: data.into(), id: id.into() }
        }
        Item::Retry(millis) => TwinItem::Retry(millis),
        Item::TooLarge { .. } => TwinItem::TooLarge,
        other => panic!("the twin knows no {other:?}"),
    }
}
