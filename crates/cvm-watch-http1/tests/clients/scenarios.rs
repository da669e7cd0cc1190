//! The simulator's scenarios over real sockets: how each ends, and how often the server is asked.

use std::error::Error;
use std::time::Duration;

use cvm_watch_sim::Sim;

use super::client;
use crate::subject::Failure;

/// The id, which picks the scenario; how the watch ends, with three retries; requests.
const EXPECTED: &[(&str, &str, usize)] = &[
    ("boot-x", "resolved running", 1),
    ("restart-x", "resolved running", 1),
    // Rows 1 to 3.
    ("complete-only-x", "resolved running", 1),
    ("complete-upper-x", "resolved RUNNING", 1),
    ("after-complete-x", "resolved running", 1),
    (
        "wrong-complete-x",
        "gave up after 4 attempts: the server completed with status \"exited\", which is not the target",
        4,
    ),
    ("no-complete-x", "resolved running", 1),
    ("no-complete-end-x", "resolved running", 1),
    ("no-complete-cut-x", "resolved running", 1),
    ("no-complete-timeout-x", "resolved running", 1),
    ("flap-x", "resolved running", 1),
    // Rows 4 to 10.
    ("end-x", "gave up after 4 attempts: the stream ended", 4),
    ("empty-x", "gave up after 4 attempts: the stream ended", 4),
    ("timeout-x", "gave up after 4 attempts: the server's timeout for this stream was reached", 4),
    ("timeout-odd-x", "gave up after 4 attempts: the server's timeout for this stream was reached", 4),
    ("error-event-x", "resolved running", 1),
    ("error-end-x", "gave up after 4 attempts: the stream ended: could not reach the host for its state", 4),
    ("other-event-x", "resolved running", 1),
    ("malformed-x", "resolved running", 1),
    ("odd-fields-x", "resolved running", 1),
    ("odd-format-x", "resolved running", 1),
    ("bytewise-x", "resolved running", 1),
    ("too-large-x", "resolved running", 1),
    // Row 12.
    ("refuse-x", "gave up after 4 attempts: the server closed the connection without an answer", 4),
    ("reset-x", "gave up after 4 attempts: the connection was reset", 4),
    ("cut-x", "gave up after 4 attempts: the response was cut off", 4),
    ("cut-length-x", "gave up after 4 attempts: the response was cut off", 4),
    ("bad-chunk-x", "gave up after 4 attempts: the answer is not valid HTTP", 4),
    ("not-http-x", "gave up after 4 attempts: the answer is not valid HTTP", 4),
    ("endless-headers-x", "gave up after 4 attempts: the response head is too large", 4),
    ("http-500-x", "gave up after 4 attempts: HTTP 500: Internal Server Error", 4),
    ("http10-x", "resolved running", 1),
    ("until-close-x", "resolved running", 1),
    ("interim-x", "resolved running", 1),
    // Rows 13 to 15.
    ("http-409-coded-x", "the server rejected the watch: HTTP 409 (ERR-02-009): the CVM is being deleted", 1),
    ("late-body-x", "the server rejected the watch: HTTP 403: {\"detail\":\"this CVM belongs to", 1),
    ("cut-body-x", "the server rejected the watch: HTTP 403: {\"detail\":\"this CVM belongs to", 1),
    (
        "redirect-x",
        "the server rejected the watch: HTTP 307, a redirect to https://elsewhere.invalid/api/v1/cvms/x/state; redirects \
         are not followed, set the base URL to the final address",
        1,
    ),
    (
        "html-x",
        "the server rejected the watch: HTTP 200 with content type \"text/html; charset=utf-8\", not text/event-stream; \
         check the base URL",
        1,
    ),
    ("no-type-x", "resolved running", 1),
    (
        "gzip-x",
        "the server rejected the watch: HTTP 200 with content encoding \"gzip\", which was not asked for; check proxies on \
         the way",
        1,
    ),
    // Heads and error bodies of old servers, gateways and CDNs.
    ("folded-header-x", "resolved running", 1),
    ("odd-lines-x", "resolved running", 1),
    ("many-lines-x", "resolved running", 1),
    ("too-many-lines-x", "gave up after 4 attempts: the response head is too large", 4),
    ("encoding-none-x", "resolved running", 1),
    ("encoding-empty-x", "resolved running", 1),
    ("two-types-x", "resolved running", 1),
    (
        "other-type-x",
        "the server rejected the watch: HTTP 200 with content type \"text/html\", not text/event-stream; check the base URL",
        1,
    ),
    (
        "transfer-gzip-x",
        "the server rejected the watch: HTTP 200 with transfer encoding \"gzip, chunked\", which is not supported; check proxies on the way",
        1,
    ),
    ("bad-length-x", "gave up after 4 attempts: the answer is not valid HTTP", 4),
    ("bom-body-x", "the server rejected the watch: HTTP 403: no quota is left", 1),
    ("gzip-body-x", "the server rejected the watch: HTTP 403: 3 KiB of gzip", 1),
    ("cdn-403-x", "the server rejected the watch: HTTP 403: a proxy or CDN answered, not the API: error code: 1010", 1),
    (
        "cdn-429-x",
        "gave up after 4 attempts: HTTP 429: a proxy or CDN answered, not the API: Too many requests from your network",
        4,
    ),
    ("cdn-522-x", "gave up after 4 attempts: HTTP 522: a proxy or CDN answered, not the API: Connection timed out", 4),
    ("bare-404-x", "the server rejected the watch: HTTP 404: Not Found", 1),
    // Rows 23 and 24.
    ("resume-x", "resolved running", 2),
    ("echo-key-x", "the server rejected the watch: HTTP 403 (forbidden): key *** may not do this", 1),
];

#[crate::runtime_test]
async fn every_scenario_ends_as_the_contract_says() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let client = client(&sim);
    let mut wrong = Vec::new();
    for &(id, expected, requests) in EXPECTED {
        let before = sim.log().requests().len();
        let watch = client.watch(id, "running").max_retries(3).retry_delay(Duration::ZERO);
        let end = watch.await.map_or_else(|error| error.to_string(), |state| format!("resolved {}", state.status));
        let found = sim.log().requests().len() - before;
        if (end.as_str(), found) != (expected, requests) {
            wrong.push(format!("{id}: {end}, {found} requests; expected: {expected}, {requests}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[crate::runtime_test]
async fn a_head_that_cannot_be_read_is_named_for_what_it_is() {
    let sim = Sim::start().unwrap();
    for (id, expected) in
        [("too-many-lines-x", "2000 header lines are over the limit of 1000"), ("bad-length-x", "content-length")]
    {
        let error = client(&sim).watch(id, "running").max_retries(0).await.unwrap_err();
        let sources = std::iter::successors(error.source(), |error| (*error).source());
        let sources: Vec<_> = sources.map(ToString::to_string).collect();
        assert!(sources.iter().any(|source| source.contains(expected)), "{sources:?}");
    }
}

#[crate::runtime_test]
async fn a_cdns_answer_has_its_request_id() {
    let sim = Sim::start().unwrap();
    let error = client(&sim).watch("cdn-403-x", "running").await.unwrap_err();
    let Some(Failure::Rejected(rejection)) = error.failure() else { panic!("{error}") };
    assert_eq!(rejection.request_id.as_deref(), Some("sim-ray-0001"));
}
