//! Answers that are not an event stream, and connections without an answer.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Script};

use crate::scenario::{Scenario, Server};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let done = || Attempt::stream().complete("running");
    vec![
        Scenario::new(
            "status-401",
            "a status and its body reach the watch",
            Attempt::json(401, r#"{"detail":"bad key"}"#),
            "failed: the server rejected the watch: HTTP 401: bad key; 1 request; closed",
        ),
        Scenario::new(
            "status-503-retry",
            "after a 503 the next attempt is made",
            Script::new().then(Attempt::respond(503, "text/plain", "busy")).then(done()),
            "retry: HTTP 503: busy, complete; resolved running; 2 requests; closed",
        )
        .retries(1),
        Scenario::new(
            "status-204",
            "an answer without a body ends by itself",
            Attempt::new().raw("HTTP/1.1 204 No Content\r\n\r\n").stall(),
            "failed: the server rejected the watch: HTTP 204; 1 request; closed",
        ),
        Scenario::new(
            "error-body-cut",
            "the body of an error that is cut off gives what came",
            Attempt::new().head(500, &[("content-type", "text/plain")]).bytes("out of").truncate(),
            "failed: gave up after 1 attempt: HTTP 500: out of; 1 request; closed",
        ),
        Scenario::new(
            "error-body-stalls",
            "the body of an error that never ends is not waited for",
            Attempt::new().head(404, &[("content-type", "text/plain")]).bytes("no such").stall(),
            "failed: the server rejected the watch: HTTP 404: no such; 1 request; closed",
        ),
        Scenario::new(
            "redirect",
            "a redirect is not followed, and the other server sees nothing",
            Script::new(),
            "failed: the server rejected the watch: HTTP 302, a redirect to elsewhere; redirects are not followed, set the \
             base URL to the final address; 1 request; closed",
        )
        .at(Server::RedirectElsewhere),
        Scenario::new(
            "html",
            "a page where a stream should be is rejected",
            Attempt::respond(200, "text/html", "<html></html>"),
            "failed: the server rejected the watch: HTTP 200 with content type \"text/html\", not text/event-stream; check \
             the base URL; 1 request; closed",
        ),
        Scenario::new(
            "gzip",
            "a compressed stream is neither asked for nor decoded",
            Attempt::new()
                .head(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")])
                .bytes([0x1f, 0x8b, 8])
                .stall(),
            "failed: the server rejected the watch: HTTP 200 with content encoding \"gzip\", which was not asked for; check \
             proxies on the way; 1 request; closed",
        ),
        Scenario::new(
            "no-answer",
            "a connection that ends before any answer is reported as that",
            Attempt::new().refuse(),
            "failed: gave up after 1 attempt: the server closed the connection without an answer; 1 request; closed",
        ),
        Scenario::new(
            "reset-before-head",
            "a reset before any answer is reported as one",
            Attempt::new().reset(),
            "failed: gave up after 1 attempt: the connection was reset; 1 request; closed",
        ),
        Scenario::new(
            "not-http",
            "an answer that is not HTTP is reported as that",
            Attempt::new().raw("SSH-2.0-OpenSSH_9.2\r\n").stall(),
            "failed: gave up after 1 attempt: the answer is not valid HTTP; 1 request; closed",
        ),
        Scenario::new(
            "head-cut",
            "a head that is cut off is reported as that",
            Attempt::new().raw("HTTP/1.1 200 OK\r\ncontent-ty").truncate(),
            "failed: gave up after 1 attempt: the response was cut off; 1 request; closed",
        )
        .or("failed: gave up after 1 attempt: the server closed the connection without an answer; 1 request; closed"),
        Scenario::new(
            "endless-head",
            "a head without end is given up at a limit",
            Attempt::new().raw("HTTP/1.1 200 OK\r\nx: ").raw_flood("y", 8 << 20).stall(),
            "failed: gave up after 1 attempt: the response head is too large; 1 request; closed",
        ),
        Scenario::new(
            "endless-interim",
            "interim responses without end are given up at the connect timeout",
            Attempt::new().raw_flood("HTTP/1.1 103 Early Hints\r\n\r\n", 1 << 40),
            "failed: gave up after 1 attempt: no response within the connect timeout; 1 request; closed",
        )
        .or("failed: gave up after 1 attempt: the answer is not valid HTTP; 1 request; closed")
        .or("failed: gave up after 1 attempt: the response head is too large; 1 request; closed")
        .connect_timeout(Duration::from_millis(500)),
        Scenario::new(
            "endless-chunk-size",
            "the size of a chunk without end does not hold up the deadline",
            Attempt::new()
                .raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
                .raw_flood("0", 1 << 40),
            "failed: the deadline of 1s passed; no status was seen; 1 request; closed",
        )
        .or("failed: gave up after 1 attempt: the answer is not valid HTTP; 1 request; closed")
        .deadline(Duration::from_secs(1)),
        Scenario::new(
            "silence",
            "an attempt without an answer within the connect timeout fails",
            Attempt::new().stall(),
            "failed: gave up after 1 attempt: no response within the connect timeout; 1 request; closed",
        )
        .connect_timeout(Duration::from_millis(300)),
    ]
}
