//! The streams that are decoded, and what is in them. Made, not recorded, so that every run has the
//! same bytes.

use crate::digest::{Hashed, Sink, Sum};

/// A stream with the sum of its events.
pub struct Corpus {
    pub name: &'static str,
    pub bytes: &'static [u8],
    pub expected: Sum,
}

/// Makes a corpus of about that many bytes.
pub type Make = fn(usize) -> Corpus;

/// All corpora.
pub const ALL: [Make; 9] = [cvm, crlf, multilingual, ids, tokens, lines, one_line, bare_comments, named_comments];

/// All corpora, of about `size` bytes each.
pub fn all(size: usize) -> Vec<Corpus> {
    ALL.map(|make| make(size)).into()
}

/// `state` events of about 200 bytes, as the endpoint sends them.
pub fn cvm(size: usize) -> Corpus {
    states("cvm events, 200 B", size, "\n", "compose-web", |_| String::new())
}

/// The same with CRLF.
pub fn crlf(size: usize) -> Corpus {
    states("cvm events, CRLF", size, "\r\n", "compose-web", |_| String::new())
}

/// The same with names outside ASCII.
pub fn multilingual(size: usize) -> Corpus {
    states("cvm events, not ASCII", size, "\n", "пример-例え", |_| String::new())
}

/// The same with an id each, as a server writes them that can resume.
pub fn ids(size: usize) -> Corpus {
    states("cvm events with ids", size, "\n", "compose-web", |number| format!("{}-0", 1_700_000_000 + number))
}

/// Events of 17 bytes, as language models stream them.
pub fn tokens(size: usize) -> Corpus {
    let mut stream = Stream::new("token events, 17 B");
    for number in 0..(size / 17) as u32 {
        let letter = char::from_u32(u32::from(b'a') + number % 26).unwrap_or('a');
        stream.event("", &format!(r#"{{"t":"{letter}"}}"#), "", "\n");
    }
    stream.done()
}

/// Events of 64 KiB in data lines of 1 KiB.
pub fn lines(size: usize) -> Corpus {
    let mut stream = Stream::new("64 KiB events, 1 KiB lines");
    while stream.bytes.len() < size {
        let line = "The quick brown fox jumps over the lazy dog. ".repeat(23).split_off(18);
        stream.event("", &[line.as_str(); 64].join("\n"), "", "\n");
    }
    stream.done()
}

/// `:` and a blank line, the shortest keep-alive; an event each 8 KiB.
pub fn bare_comments(size: usize) -> Corpus {
    comments("keep-alives `:`", size, ":\n\n")
}

/// `: keep-alive` and a blank line; an event each 8 KiB.
pub fn named_comments(size: usize) -> Corpus {
    comments("keep-alives `: keep-alive`", size, ": keep-alive\n\n")
}

/// One event, one line.
pub fn one_line(size: usize) -> Corpus {
    let mut stream = Stream::new("one line");
    stream.event("", &"x".repeat(size), "", "\n");
    stream.done()
}

fn states(name: &'static str, size: usize, end: &str, cvm: &str, id: fn(u32) -> String) -> Corpus {
    let mut stream = Stream::new(name);
    for number in 0.. {
        if stream.bytes.len() >= size {
            break;
        }
        let json = state(number, cvm);
        stream.event("state", &json, &id(number), end);
    }
    stream.done()
}

/// The payload of one `state` event.
pub fn state(number: u32, cvm: &str) -> String {
    let progress = ["booting", "requesting app keys", "setting up docker", "starting containers"][number as usize % 4];
    format!(
        concat!(
            r#"{{"id":"{id:08x}a4c1","instance_id":"i-{id:08x}","name":"{cvm}","status":"starting","#,
            r#""uptime":"{up}s","exited_at":null,"boot_progress":"{progress}","boot_error":null}}"#
        ),
        id = number.wrapping_mul(0x9e37_79b9),
        up = number % 10_000,
        cvm = cvm,
        progress = progress,
    )
}

fn comments(name: &'static str, size: usize, comment: &str) -> Corpus {
    let mut stream = Stream::new(name);
    while stream.bytes.len() < size {
        stream.bytes.extend_from_slice(comment.repeat(8192 / comment.len()).as_bytes());
        stream.event("", "still here", "", "\n");
    }
    stream.done()
}

struct Stream {
    name: &'static str,
    bytes: Vec<u8>,
    seen: Hashed,
}

impl Stream {
    fn new(name: &'static str) -> Self {
        Self { name, bytes: Vec::new(), seen: Hashed::default() }
    }

    fn event(&mut self, name: &str, data: &str, id: &str, end: &str) {
        self.seen.event(name, data, id);
        if !id.is_empty() {
            self.bytes.extend_from_slice(format!("id: {id}{end}").as_bytes());
        }
        if !name.is_empty() {
            self.bytes.extend_from_slice(format!("event: {name}{end}").as_bytes());
        }
        for line in data.split('\n') {
            self.bytes.extend_from_slice(format!("data: {line}{end}").as_bytes());
        }
        self.bytes.extend_from_slice(end.as_bytes());
    }

    fn done(self) -> Corpus {
        Corpus { name: self.name, bytes: self.bytes.leak(), expected: self.seen.sum() }
    }
}
