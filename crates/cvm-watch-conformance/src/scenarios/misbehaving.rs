//! The driver behaves correctly over a misbehaving transport.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Script};

use crate::misbehaving::Fault;
use crate::scenario::Scenario;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let boot = || Attempt::stream().state("starting").state("running").complete("running");
    vec![
        Scenario::new(
            "never-answers",
            "a transport that keeps its answer to itself is given up at the connect timeout",
            boot().stall(),
            "failed: gave up after 1 attempt: no response within the connect timeout; 1 request; closed",
        )
        .connect_timeout(Duration::from_millis(300))
        .fault(Fault::NeverAnswers),
        Scenario::new(
            "empty-chunks",
            "empty chunks change nothing",
            boot(),
            "starting, running, complete; resolved running; 1 request; closed",
        )
        .fault(Fault::EmptyChunks),
        Scenario::new(
            "only-empty-chunks",
            "a flood of empty chunks is no sign of life, and ends at the deadline",
            boot().stall(),
            "failed: the deadline of 1s passed; no status was seen; 1 request; closed",
        )
        .deadline(Duration::from_secs(1))
        .fault(Fault::OnlyEmptyChunks),
        Scenario::new(
            "speaks-after-the-end",
            "what comes after the end of a body is not heard",
            Attempt::stream().state("starting").close(),
            "starting; failed: gave up after 1 attempt: the stream ended; 1 request; closed",
        )
        .fault(Fault::SpeaksAfterTheEnd),
        Scenario::new(
            "panics",
            "a panic in a body reaches the caller, and the connection is closed",
            Attempt::stream().state("starting").stall(),
            "starting; panicked; 1 request; closed",
        )
        .fault(Fault::Panics),
        Scenario::new(
            "answers-twice",
            "a second answer on the same connection is not heard",
            answers_twice(),
            "starting; failed: gave up after 1 attempt: the stream ended; 1 request; closed",
        ),
        Scenario::new(
            "bytes-after-the-end",
            "bytes after the last chunk are not heard",
            Attempt::new()
                .raw(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
                )
                .raw("event: complete\ndata: {\"status\":\"running\"}\n\n")
                .close(),
            "failed: gave up after 1 attempt: the stream ended; 1 request; closed",
        ),
    ]
}

fn answers_twice() -> Script {
    let answer = |body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let first = answer("event: state\ndata: {\"status\":\"starting\"}\n\n");
    let second = answer("event: complete\ndata: {\"status\":\"running\"}\n\n");
    Attempt::new().raw(first + &second).close().into()
}
