//! What holds for any bytes, limits and cuts: the decoder reads what the reference decoder reads.
//!
//! Shared with the fuzz target `sse_bytes`.

use std::fmt;

use cvm_watch_sse::{Chunk, Decoder, Event, Item, Limits};

use super::reference::{self, ReferenceItem};

/// The first bytes of the data, which choose limits and cuts; the rest is the stream.
pub const CHOICES: usize = 6;

/// Panics unless the decoder reads what the reference decoder reads, given whole or in any pieces;
/// has reported all that the bytes so far prove, at any cut; uses its input up; and holds no more
/// memory than documented.
pub fn check(data: &[u8]) {
    let (choices, stream) = data.split_at(CHOICES.min(data.len()));
    let choice = |number: usize| choices.get(number).copied().unwrap_or(0);
    let pick = |number: usize, list: &[usize]| list[usize::from(choice(number)) % list.len()];
    let limits = Sizes {
        event: pick(0, &[4 << 20, 0, 1, 2, 3, 4, 5, 8, 16, 40, 300]),
        id: pick(1, &[1024, usize::MAX, 0, 1, 2, 3, 8]),
    };
    let pieces = pieces(stream, [choice(2), choice(3), choice(4)]);
    let cut = usize::from(choice(5)).checked_rem(stream.len()).unwrap_or(0);
    let start = &stream[..cut];

    let (of_all, of_start) = (limits.expected(stream), limits.expected(start));
    for anew in [false, true] {
        compare(Case { limits, pieces: &[stream], anew }, &of_all);
        compare(Case { limits, pieces: &pieces, anew }, &of_all);
        compare(Case { limits, pieces: &[start], anew }, &of_start);
    }
}

/// The limits of a case.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    event: usize,
    id: usize,
}

/// What the reference decoder reads, and the last event id then.
type Expected = (Vec<ReferenceItem>, String);

impl Sizes {
    fn expected(self, stream: &[u8]) -> Expected {
        reference::read(stream, self.event, self.id)
    }
}

/// Cuts into pieces of these sizes in turn; a size of 0 is an empty piece.
fn pieces(mut stream: &[u8], sizes: [u8; 3]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let sizes = [sizes[0], sizes[1], sizes[2], 1];
    let mut next = sizes.iter().cycle();
    while let (false, Some(size)) = (stream.is_empty(), next.next()) {
        let (piece, rest) = stream.split_at(usize::from(*size).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

/// Decodes the pieces and compares each item with what the reference decoder read.
fn compare(case: Case<'_>, expected: &Expected) {
    let Case { limits, pieces, anew } = case;
    let mut decoder = Decoder::new(Limits::default().max_event_bytes(limits.event).max_id_bytes(limits.id));
    let mut seen = Seen { case, expected: &expected.0, count: 0 };
    let mut most_held = 0;
    let mut given = 0;
    for piece in pieces.iter().copied() {
        given += piece.len();
        let mut chunk = Chunk::new(piece);
        while let Some(item) = decoder.decode(&mut chunk) {
            seen.item(&item);
            if anew {
                chunk = Chunk::new(chunk.rest());
                decoder.free_event();
            }
        }
        assert!(chunk.rest().is_empty(), "the input is not used up: {case}");
        most_held = most_held.max(decoder.buffered_bytes());
    }
    assert_eq!(seen.count, expected.0.len(), "items seen of {:?}: {case}", expected.0);
    assert_eq!(decoder.last_event_id(), expected.1, "the last event id: {case}");
    // Each byte can become a U+FFFD of three.
    let (event, id) = (limits.event.min(given * 3), limits.id.min(limits.event).min(given * 3));
    assert!(most_held <= event + event / 2 + 2 * (id + id / 2) + (16 << 10), "{most_held} bytes held: {case}");
}

/// The items read so far.
struct Seen<'a> {
    case: Case<'a>,
    expected: &'a [ReferenceItem],
    count: usize,
}

impl Seen<'_> {
    fn item(&mut self, item: &Item<'_>) {
        let expected = self.expected.get(self.count);
        let is_same = match (item, expected) {
            (Item::Event(Event { name, data, id, .. }), Some(ReferenceItem::Event { name: n, data: d, id: i })) => {
                (name, data, id) == (&n.as_str(), &d.as_str(), &i.as_str())
            }
            (Item::Retry(millis), Some(ReferenceItem::Retry(expected))) => millis == expected,
            (Item::TooLarge { limit }, Some(ReferenceItem::TooLarge)) => *limit == self.case.limits.event,
            _ => false,
        };
        assert!(is_same, "item {} is {item:?}, the reference decoder reads {expected:?}: {}", self.count, self.case);
        self.count += 1;
    }
}

/// What is decoded, and how.
#[derive(Clone, Copy)]
struct Case<'a> {
    limits: Sizes,
    pieces: &'a [&'a [u8]],
    /// A new chunk is made of the rest after each item, and the event's memory given back.
    anew: bool,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, anew {}, of", self.limits, self.anew)?;
        self.pieces.iter().try_for_each(|piece| write!(f, " \"{}\"", piece.escape_ascii()))
    }
}
