//! Bodies: every byte arrives in time, and a broken body is distinguished from an end.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Framing, Script, Split};

use crate::scenario::{Scenario, Stop};

const BOOT: &str = "starting, running, complete; resolved running; 1 request; closed";

fn boot() -> Attempt {
    Attempt::stream().state("starting").state("running").complete("running")
}

/// The raw bytes of a head that a transport must understand.
fn raw_head(status_line: &str) -> String {
    format!("{status_line}\r\ncontent-type: text/event-stream\r\n")
}

/// The raw bytes of a `state` event.
pub(super) const STATE: &str = "event: state\ndata: {\"status\":\"starting\"}\n\n";
const EVENT: &str = "event: complete\ndata: {\"status\":\"running\"}\n\n";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let close_delimited = raw_head("HTTP/1.0 200 OK") + "\r\n" + EVENT;
    let early_hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_owned()
        + &raw_head("HTTP/1.1 200 OK")
        + &format!("content-length: {}\r\n\r\n{EVENT}", EVENT.len());
    let extension = raw_head("HTTP/1.1 200 OK")
        + &format!("transfer-encoding: chunked\r\n\r\n{:x};name=\"value\"\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len());
    vec![
        Scenario::new("boot", "events arrive in order, and the connection is closed at the end", boot(), BOOT),
        Scenario::new(
            "byte-packets",
            "a response cut into packets of one byte reads the same",
            boot().split(Split::Packets(1)),
            BOOT,
        ),
        Scenario::new("byte-chunks", "a body of one-byte chunks reads the same", boot().split(Split::Chunks(1)), BOOT),
        Scenario::new(
            "content-length",
            "a body with a Content-Length reads the same",
            boot().framing(Framing::ContentLength),
            BOOT,
        ),
        Scenario::new(
            "until-close",
            "a body that ends with its connection reads the same",
            boot().framing(Framing::UntilClose),
            BOOT,
        ),
        Scenario::new(
            "http-1.0",
            "an HTTP/1.0 response is read to the end of its connection",
            Attempt::new().raw(close_delimited).close(),
            "complete; resolved running; 1 request; closed",
        ),
        Scenario::new(
            "early-hints",
            "a 103 before the answer is not the answer",
            Attempt::new().raw(early_hints).close(),
            "complete; resolved running; 1 request; closed",
        ),
        Scenario::new(
            "chunk-extension",
            "a chunk extension is passed over",
            Attempt::new().raw(extension).close(),
            "complete; resolved running; 1 request; closed",
        ),
        Scenario::new(
            "at-once",
            "an event reaches the caller while the server holds back the rest",
            Attempt::stream().state("starting").stall(),
            "starting; dropped; 1 request; closed",
        )
        .stop(Stop::DropAfter(1)),
        Scenario::new(
            "flood",
            "a flood of events loses none",
            Attempt::stream().flood(STATE, 20_000 * STATE.len() as u64).complete("running"),
            "starting ×20000, complete; resolved running; 1 request; closed",
        ),
        Scenario::new(
            "large-event",
            "an event of a megabyte arrives whole",
            Attempt::stream().event("other", "x".repeat(1 << 20)).complete("running"),
            "other of 1048576 bytes, complete; resolved running; 1 request; closed",
        ),
        Scenario::new(
            "too-large-event",
            "an event over the limit is dropped and the stream goes on",
            Attempt::stream().bytes("data: ").flood("x", 5 << 20).bytes("\n\n").complete("running"),
            "malformed, complete; resolved running; 1 request; closed",
        ),
    ]
}

pub(crate) fn broken() -> Vec<Scenario> {
    let cut_chunk = raw_head("HTTP/1.1 200 OK") + "transfer-encoding: chunked\r\n\r\n40\r\ndata: cut";
    let bad_chunk = raw_head("HTTP/1.1 200 OK") + "transfer-encoding: chunked\r\n\r\nxyz\r\n";
    let starting = || Attempt::stream().state("starting");
    vec![
        Scenario::new(
            "clean-end",
            "a body that ends properly is reported as an end",
            starting().close(),
            "starting; failed: gave up after 1 attempt: the stream ended; 1 request; closed",
        ),
        Scenario::new(
            "truncated-chunked",
            "a chunked body without its last chunk is reported as cut off",
            starting().truncate(),
            "starting; failed: gave up after 1 attempt: the response was cut off; 1 request; closed",
        ),
        Scenario::new(
            "truncated-length",
            "a body shorter than its Content-Length is reported as cut off",
            starting().framing(Framing::ContentLength).truncate(),
            "starting; failed: gave up after 1 attempt: the response was cut off; 1 request; closed",
        ),
        Scenario::new(
            "truncated-in-chunk",
            "a body cut inside a chunk is reported as cut off",
            Attempt::new().raw(cut_chunk).truncate(),
            "failed: gave up after 1 attempt: the response was cut off; 1 request; closed",
        ),
        Scenario::new(
            "reset-in-body",
            "a reset in the middle of a body is reported as one",
            // The pause lets the client read the event before the reset discards unread bytes.
            starting().wait(Duration::from_millis(100)).reset(),
            "starting; failed: gave up after 1 attempt: the connection was reset; 1 request; closed",
        ),
        Scenario::new(
            "bad-chunk",
            "a chunk whose size is no number is reported as bad HTTP",
            Attempt::new().raw(bad_chunk).stall(),
            "failed: gave up after 1 attempt: the answer is not valid HTTP; 1 request; closed",
        ),
        Scenario::new(
            "reconnect",
            "each attempt is a new connection",
            Script::new().then(starting().truncate()).then(starting().close()).then(boot()),
            "starting, retry: the response was cut off, starting, retry: the stream ended, starting, running, complete; \
             resolved running; 3 requests; closed",
        )
        .retries(2)
        .inspect(|requests| {
            let mut connections: Vec<_> = requests.iter().map(|request| request.connection).collect();
            connections.dedup();
            if connections.len() == 3 { Ok(()) } else { Err(format!("connections used: {connections:?}")) }
        }),
        Scenario::new(
            "timeout-event",
            "after a timeout event the old connection is closed and a new one made",
            Script::new().then(starting().timeout("running", 300.0).stall()).then(boot()),
            "starting, timeout, retry: the server's timeout for this stream was reached, starting, running, complete; \
             resolved running; 2 requests; closed",
        )
        .retries(1),
    ]
}
