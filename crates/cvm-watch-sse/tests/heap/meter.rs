//! What both the decoder's and the core's tests of memory use: a count of one thing's heap, and
//! streams that try to make it grow.

use allocation_counter::measure;

pub const KIB: usize = 1 << 10;
/// What the documentation calls a few KiB.
pub const A_FEW_KIB: usize = 16 * KIB;

/// Pieces of every size; the smallest for short streams only.
pub fn cuts(stream: &[u8]) -> impl Iterator<Item = usize> {
    let least = if stream.len() <= 64 * KIB { 0 } else { 500 };
    [3, 997, 16 * KIB, 1 << 20].into_iter().filter(move |cut| *cut > least)
}

/// The heap of one thing, over many steps.
#[derive(Default)]
pub struct Meter {
    live: i64,
    /// The most within a step, when a buffer that grows is there twice.
    peak: i64,
    /// The allocations of all steps.
    pub allocations: u64,
}

impl Meter {
    pub fn step(&mut self, step: impl FnOnce()) {
        let found = measure(step);
        self.peak = self.peak.max(self.live + i64::try_from(found.bytes_max).unwrap());
        self.live += found.bytes_current;
        self.allocations += found.count_total;
    }

    pub fn live(&self) -> usize {
        usize::try_from(self.live).unwrap()
    }

    pub fn peak(&self) -> usize {
        usize::try_from(self.peak).unwrap()
    }
}

/// Streams of what never ends, of what is large, and of what is many.
pub fn adversaries(limit: usize) -> Vec<(String, Vec<u8>)> {
    let endless = |head: &str, filler: &str| {
        let mut stream = head.as_bytes().to_vec();
        stream.extend(filler.repeat(4 * limit / filler.len()).bytes());
        stream.extend(b"\n\ndata: after\n\n");
        (format!("{head:?}, then {filler:?} without an end"), stream)
    };
    let sized = |size: usize| {
        let text = "x".repeat(size);
        let stream = format!("data: {text}\n\nevent: {text}\ndata: {text}\n\nid: {text}\ndata: a\n\ndata: b\n\n");
        (format!("events of {size}"), stream.into_bytes())
    };
    vec![
        endless("data: ", "x"),
        endless("event: ", "x"),
        endless("id: ", "x"),
        endless("retry: ", "9"),
        endless("unknown: ", "x"),
        endless("", "x"),
        endless(": ", "x"),
        endless("", ": a comment\n"),
        endless("data: kept\n", ": a comment\n\r"),
        endless("", "data\n"),
        endless("", "data: many small lines of one event\n"),
        endless("", "event: one name after another\n"),
        endless("", "id: one after another\n"),
        endless("", "id: 1\nevent: state\ndata: {\"status\":\"starting\"}\n\n"),
        endless("", "event: complete\ndata: [\n\n"),
        endless("data: ", "\u{fffd}"),
        ("invalid UTF-8".into(), [b"data: ".as_slice(), &b"\xf0\x9f\xff".repeat(limit), b"\n\ndata: a\n\n"].concat()),
        sized(limit / 3),
        sized(limit / 2),
        sized(limit - 1),
        sized(limit),
        sized(limit + 1),
        sized(3 * limit),
    ]
}

/// The most that `Decoder::buffered_bytes` documents.
pub fn documented(limit: usize, longest_id: usize) -> usize {
    limit + limit / 4 + 2 * (longest_id + longest_id / 4) + A_FEW_KIB
}
