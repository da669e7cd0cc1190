//! Request and response headers.

use cvm_watch_sim::{Attempt, Head, Request, Script};

use crate::scenario::Scenario;
use crate::stage::KEY;

const DONE: &str = "complete; resolved running; 1 request; closed";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let done = || Attempt::stream().complete("running");
    let odd_head = Head::new(200).header("content-type", "text/event-stream").header("x-odd", [b'a', 0xe4, 0xff]);
    vec![
        Scenario::new("request", "path, query and headers go out as they are, each once", done(), DONE)
            .inspect(request_is_exact),
        Scenario::new(
            "last-event-id",
            "an id outside ASCII goes back to the server as the same bytes",
            Script::new().then(Attempt::stream().bytes("id: ünï→\ndata: x\n\n").truncate()).then(done()),
            "other of 1 byte, retry: the response was cut off, complete; resolved running; 2 requests; closed",
        )
        .retries(1)
        .inspect(|requests| match requests.get(1).and_then(|request| request.header("last-event-id")) {
            Some(id) if id == "ünï→".as_bytes() => Ok(()),
            other => Err(format!("Last-Event-ID was {:?}", other.map(|id| id.escape_ascii().to_string()))),
        }),
        Scenario::new(
            "odd-response-header",
            "a response header outside ASCII does no harm",
            Attempt::new().head_exactly(odd_head).event("complete", r#"{"status":"running"}"#),
            DONE,
        ),
        Scenario::new("large-head", "a head of 9 kB is read", done().header("x-large", &"y".repeat(9000)), DONE),
        Scenario::new(
            "no-content-type",
            "an answer without a content type is read as a stream",
            Attempt::new().head_exactly(Head::new(200)).event("complete", r#"{"status":"running"}"#),
            DONE,
        ),
        Scenario::new(
            "folded-header",
            "a header value that goes on in the next line is read",
            behind("content-type: text/event-stream;\r\n charset=utf-8\r\nx-folded: a\r\n\tb\r\n"),
            DONE,
        ),
        Scenario::new(
            "odd-header-lines",
            "header lines that are wrong are left out",
            behind("x-control: a\x01b\r\nx-blank : 1\r\nno colon\r\ncontent-type: text/event-stream\r\n"),
            DONE,
        ),
        Scenario::new(
            "many-header-lines",
            "a head of 1,000 lines is read",
            behind(&("x-line: y\r\n".repeat(998) + "content-type: text/event-stream\r\n")),
            DONE,
        ),
        Scenario::new(
            "encoding-none",
            "a stream with an encoding of none or of nothing is plain",
            done().header("content-encoding", "none").header("content-encoding", ""),
            DONE,
        ),
        Scenario::new(
            "two-content-types",
            "each Content-Type reaches the watch",
            done().header("content-type", "text/html"),
            "failed: the server rejected the watch: HTTP 200 with content type \"text/html\", not text/event-stream; check \
             the base URL; 1 request; closed",
        ),
        Scenario::new(
            "transfer-gzip",
            "a transfer encoding other than chunked is rejected by its name",
            Attempt::new().raw(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: gzip, chunked\r\n\r\n3\r\n",
            ),
            "failed: the server rejected the watch: HTTP 200 with transfer encoding \"gzip, chunked\", which is not \
             supported; check proxies on the way; 1 request; closed",
        ),
        Scenario::new(
            "bad-length",
            "a Content-Length that is no number is bad HTTP",
            Attempt::new()
                .raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 12x\r\n\r\n")
                .stall(),
            "failed: gave up after 1 attempt: the answer is not valid HTTP; 1 request; closed",
        ),
    ]
}

/// A head with these lines, and an event that completes the watch.
fn behind(lines: &str) -> Attempt {
    let head = format!("HTTP/1.1 200 OK\r\n{lines}connection: close\r\n\r\n");
    Attempt::new().raw(head).event("complete", r#"{"status":"running"}"#)
}

fn request_is_exact(requests: &[Request]) -> Result<(), String> {
    let [request] = requests else { return Err(format!("{} requests", requests.len())) };
    // The `timeout` that is sent follows from the suite's deadline.
    let uri = "/api/v1/cvms/my%20cvm/state?target=running&interval=5&timeout=10";
    if (request.method.as_str(), request.uri.as_str()) != ("GET", uri) {
        return Err(format!("the request line was {} {}", request.method, request.uri));
    }
    for (name, expected) in [
        ("accept", "text/event-stream"),
        ("accept-encoding", "identity"),
        ("cache-control", "no-cache"),
        ("x-api-key", KEY),
        ("x-phala-version", "2026-06-23"),
    ] {
        let values: Vec<_> = request
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        if values != [expected.as_bytes()] {
            return Err(format!("the header {name} came {} times, or with another value", values.len()));
        }
    }
    for (name, times) in
        [("host", 1), ("user-agent", 1), ("content-length", 0), ("content-type", 0), ("transfer-encoding", 0)]
    {
        let found = request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count();
        if found != times {
            return Err(format!("the header {name} came {found} times, not {times}"));
        }
    }
    Ok(())
}
