use super::harness::decode;
use super::properties;
use super::reference::{self, ReferenceItem};
use cvm_watch_sse::{Chunk, Decoder, Limits};

/// What streams are made of, including what goes wrong.
const FRAGMENTS: &[&[u8]] = &[
    b"\n",
    b"\n",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\n\n",
    b"\r\r",
    b"\r\n\r\n",
    b"\n\r",
    b"data",
    b"data:",
    b"data: ",
    b"\ndata: ",
    b"\ndata:",
    b"\ndata",
    b"event",
    b"event:",
    b"\nevent: ",
    b"\nevent\n",
    b"id",
    b"id:",
    b"\nid: ",
    b"\nid\n",
    b"retry",
    b"retry: ",
    b"\nretry: 12\n",
    b"\nretry: 99999999999999999999",
    b":",
    b":",
    b" ",
    b" ",
    b"\n: c\n",
    b"dat",
    b"datax",
    b"foo: bar",
    b"a",
    b"b",
    b"0",
    b"7",
    b"abcdefghij",
    b"\0",
    b"\t",
    b"\xef\xbb\xbf",
    b"\xef\xbb",
    b"\xef",
    b"\xff",
    b"\x80",
    b"\xc3",
    b"\xa9",
    b"\xc3\xa9",
    b"\xe2\x82",
    b"\xe2\x82\xac",
    b"\xe2",
    b"\xf0\x9f\x98\x80",
    b"\xf0\x9f\x98",
    b"\xf0\x9f",
    b"\xed\xa0\x80",
    b"\xf4\x90",
    b"\xc0",
    b"event: state\ndata: {}\n\n",
    b"id: 5\ndata: x\n\n",
];

/// `SplitMix64`, so that a failure can be replayed from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn stream(&mut self) -> Vec<u8> {
        let mut stream = Vec::new();
        for _ in 0..self.below(60) {
            stream.extend_from_slice(FRAGMENTS[self.below(FRAGMENTS.len())]);
        }
        stream
    }

    fn pieces<'a>(&mut self, mut stream: &'a [u8]) -> Vec<&'a [u8]> {
        let longest = [1, 2, 4, 16, 200][self.below(5)];
        let mut pieces = Vec::new();
        while !stream.is_empty() {
            let (piece, rest) = stream.split_at(self.below(longest + 1).min(stream.len()));
            pieces.push(piece);
            stream = rest;
        }
        pieces
    }

    fn limits(&mut self) -> Limits {
        let limits = Limits::default();
        let limits = if self.below(3) > 0 { limits.max_event_bytes(self.below(24)) } else { limits };
        if self.below(2) > 0 { limits.max_id_bytes(self.below(12)) } else { limits }
    }
}

#[test]
fn any_stream_cut_anywhere_reads_as_the_reference_decoder_reads_it() {
    let mut kinds = [0; 3];
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let (stream, limits) = (random.stream(), random.limits());
        let expected = reference::read(&stream, limits.max_event_bytes, limits.max_id_bytes);
        for item in &expected.0 {
            kinds[match item {
                ReferenceItem::Event { .. } => 0,
                ReferenceItem::Retry(_) => 1,
                ReferenceItem::TooLarge => 2,
            }] += 1;
        }
        let text = stream.escape_ascii();
        assert_eq!(decode(limits, [stream.as_slice()]), expected, "seed {seed}, whole, {limits:?}, of {text}");
        for _ in 0..3 {
            let pieces = random.pieces(&stream);
            assert_eq!(decode(limits, pieces.clone()), expected, "seed {seed}, {limits:?}, of {pieces:x?}");
        }
    }
    assert!(kinds.iter().all(|&count| count > 2_000), "the streams exercise every kind of item: {kinds:?}");
}

/// Long enough for many blocks, and mostly well formed, so that what is learnt ahead of a line is
/// used and thrown away in every way.
#[test]
fn random_streams_keep_the_properties() {
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let choices: Vec<u8> = (0..properties::CHOICES).map(|_| random.next().to_le_bytes()[0]).collect();
        properties::check(&[choices, random.stream()].concat());
    }
}

#[test]
fn a_long_stream_cut_anywhere_reads_as_the_reference_decoder_reads_it() {
    const EVENTS: &[&[u8]] = &[
        b"data: a\n\n",
        b"event: state\ndata: {\"status\":\"starting\"}\n\n",
        b"event: state\r\ndata: {\"status\":\"starting\"}\r\n\r\n",
        b"event: x\rdata: y\r\r",
        b"data: b\n\r\n",
        b": keep-alive\n\n",
        b":\n\n",
        b":\r\n\r\n",
        b"event: nothing\n\n",
        b"id: 12\n\n",
        b"data: a line of some length, as long as a block of the scan, or longer\ndata: b\n\n",
        b"data: \xc3\xa9\xe2\x82\xac\n\n",
        b"data: \xff\n\n",
    ];
    for seed in 0..1_500 {
        let mut random = Random(seed);
        let mut stream = Vec::new();
        for _ in 0..random.below(200) {
            let parts = if random.below(12) == 0 { FRAGMENTS } else { EVENTS };
            stream.extend_from_slice(parts[random.below(parts.len())]);
        }
        let limits = random.limits();
        let expected = reference::read(&stream, limits.max_event_bytes, limits.max_id_bytes);
        let text = stream.escape_ascii();
        assert_eq!(decode(limits, [stream.as_slice()]), expected, "seed {seed}, whole, {limits:?}, of {text}");
        for size in [63, 64, 65, 1 + random.below(300)] {
            assert_eq!(decode(limits, stream.chunks(size)), expected, "seed {seed}, {size}, {limits:?}, of {text}");
        }
    }
}

#[test]
fn a_reset_decoder_differs_from_a_new_one_in_its_last_event_id_only() {
    for seed in 0..4_000 {
        let mut random = Random(seed);
        let (before, after, limits) = (random.stream(), random.stream(), random.limits());
        let mut decoder = Decoder::new(limits);
        for mut piece in random.pieces(&before).into_iter().map(Chunk::new) {
            while decoder.decode(&mut piece).is_some() {}
        }
        let id = decoder.last_event_id().len();
        decoder.reset();
        assert_eq!(decoder.last_event_id().len(), id);
        // Each stream begins with an id, so that no event shows the previous one.
        let opened = [b"id\n\n", after.as_slice()].concat();
        let mut fresh = Decoder::new(limits);
        let (mut left, mut right) = (Chunk::new(&opened), Chunk::new(&opened));
        loop {
            let item = decoder.decode(&mut left);
            assert_eq!(item, fresh.decode(&mut right), "seed {seed}");
            if item.is_none() {
                break;
            }
        }
    }
}
