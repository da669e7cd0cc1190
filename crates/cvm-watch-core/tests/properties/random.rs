//! Seeded random bytes for each check, composed of the pieces that its inputs consist of.

use crate::checks;

/// `SplitMix64`, so that a failure is replayed from its seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.byte()).collect()
    }

    /// Random bytes, then up to `most` words in a row, with a random byte between some of them.
    pub fn words(&mut self, before: usize, words: &[&str], most: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..before).map(|_| self.byte()).collect();
        for _ in 0..self.below(most + 1) {
            bytes.extend_from_slice(words[self.below(words.len())].as_bytes());
            if self.below(16) == 0 {
                bytes.push(self.byte());
            }
        }
        bytes
    }
}

/// Runs a check on each seed's bytes, and names the seed that breaks it.
pub fn sweep(check: fn(&[u8]), seeds: std::ops::Range<u64>, make: impl Fn(&mut Random) -> Vec<u8>) {
    for seed in seeds {
        let data = make(&mut Random::new(seed));
        if let Err(panic) = std::panic::catch_unwind(|| check(&data)) {
            eprintln!("seed {seed}, of the bytes {}", data.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn any_inputs_in_any_order_keep_the_invariants_and_match_the_model() {
    sweep(checks::watch_ops::check, 0..30_000, |random| random.bytes(300));
}

#[test]
fn any_inputs_to_any_member_keep_the_invariants_of_a_fleet() {
    sweep(checks::fleet_ops::check, 0..10_000, |random| random.bytes(400));
}

#[test]
fn any_answer_is_judged_as_by_the_reference_model() {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\"message\":",
        "\"detail\":",
        "\"code\":",
        "\"error_code\":",
        "\"msg\":",
        "\"loc\":",
        "\"words\"",
        "7",
        "null",
        "<title>",
        "</title>",
        "<html>",
        " ",
        "phak_secret7",
        "ph\\u0061k_secret7",
        "%70hak_secret7",
        "\x0etext/event-stream",
        "\x02gzip",
        "\x03120",
        "\x1dSun, 09 Sep 2001 01:47:40 GMT",
    ];
    sweep(checks::response_head::check, 0..20_000, |random| random.words(4, &words, 24));
}

#[test]
fn any_payload_reads_as_by_the_reference_reader() {
    let words = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "{\"status\":\"a\"",
        "\"status\":",
        "\"elapsed\":",
        "\"boot_error\":",
        "\"error\":",
        "\"message\":",
        "\"a\"",
        "\"\"",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "1",
        "-0.5",
        "1e999",
        "01",
        "true",
        "null",
        " ",
        "\n",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    ];
    sweep(checks::event_json::check, 0..40_000, |random| random.words(1, &words, 16));
}

#[test]
fn no_value_leaves_its_place_in_the_request() {
    let words = [
        "/",
        "..",
        ".",
        "?",
        "#",
        "%2e",
        "&",
        "=",
        "\\",
        "@",
        ":",
        " ",
        "é",
        "\r\n",
        "\0",
        "a",
        "my-cvm",
        "X-Trace",
        "550e8400-e29b-41d4-a716-446655440000",
        "0123456789abcdef0123456789abcdef01234567",
        "host",
    ];
    sweep(checks::cvm_id_and_url::check, 0..20_000, |random| {
        (0..6)
            .flat_map(|_| {
                let text = random.words(0, &words, 4);
                let text = &text[..text.len().min(255)];
                [&[u8::try_from(text.len()).unwrap()], text].concat()
            })
            .collect()
    });
}
