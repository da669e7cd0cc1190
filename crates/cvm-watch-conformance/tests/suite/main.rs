//! The suite, proved by transports that are wrong on purpose: each fails, and where it should.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic too")]

mod wrong;

use cvm_watch_conformance::{Setup, Suite};
use cvm_watch_hyper::{HyperTransport, TokioTimer};
use wrong::{Buffers, FollowsRedirects, KeepsOpen, Panics, SwallowsTruncation};

fn hyper(setup: &Setup) -> HyperTransport {
    setup.transport().unwrap().0
}

/// What is tried of each: a scenario that it fails, and some that it must not be blamed for.
const TRIED: [&str; 8] = [
    "boot",
    "at-once",
    "clean-end",
    "truncated-chunked",
    "truncated-length",
    "redirect",
    "drop-when-idle",
    "complete-then-silence",
];

#[tokio::test]
async fn one_that_is_right_fails_nowhere() {
    let report = Suite::new(|setup| Ok((hyper(setup), TokioTimer::new()))).only(&TRIED).run().await;
    assert_eq!(report.failed(), Vec::<&str>::new(), "{report}");
    assert_eq!(report.findings().len(), TRIED.len());
}

#[tokio::test]
async fn one_that_buffers_fails_where_an_event_must_come_at_once() {
    let tried = ["boot", "clean-end", "redirect", "truncated-chunked", "at-once"];
    let report = Suite::new(|setup| Ok((Buffers(hyper(setup)), TokioTimer::new()))).only(&tried).run().await;
    // Where the body breaks, what was held back is lost.
    assert_eq!(report.failed(), ["at-once", "truncated-chunked"], "{report}");
    assert!(report.to_string().contains("      error:    the response was cut off: 127.0.0.1:"), "{report}");
}

#[tokio::test]
async fn one_that_swallows_a_truncation_fails_where_bodies_are_cut_off() {
    let report = Suite::new(|setup| Ok((SwallowsTruncation(hyper(setup)), TokioTimer::new()))).only(&TRIED).run().await;
    assert_eq!(report.failed(), ["truncated-chunked", "truncated-length"], "{report}");
}

#[tokio::test]
async fn one_that_keeps_the_socket_open_fails_where_it_must_be_closed() {
    let report = Suite::new(|setup| Ok((KeepsOpen(hyper(setup)), TokioTimer::new()))).only(&TRIED).run().await;
    assert_eq!(report.failed(), ["at-once", "drop-when-idle", "complete-then-silence"], "{report}");
}

#[tokio::test]
async fn one_that_follows_redirects_fails_there() {
    let report = Suite::new(|setup| Ok((FollowsRedirects(hyper(setup)), TokioTimer::new()))).only(&TRIED).run().await;
    assert_eq!(report.failed(), ["redirect"], "{report}");
    let report = report.to_string();
    assert!(report.contains("FAIL  redirect: a redirect is not followed"), "{report}");
    assert!(report.contains("the other server was asked too"), "{report}");
}

#[tokio::test]
async fn a_panic_of_the_transport_is_reported_as_one() {
    let report = Suite::new(|_| Ok((Panics, TokioTimer::new()))).only(&["boot"]).run().await;
    assert_eq!(report.failed(), ["boot"]);
    assert!(report.to_string().contains("      error:    panic: no transport"), "{report}");
}

#[tokio::test]
async fn a_scenario_that_is_left_out_says_why() {
    let suite = Suite::new(|setup| Ok((hyper(setup), TokioTimer::new()))).only(&["boot", "tls"]);
    let report = suite.skip("tls", "this stack has no TLS").run().await;
    assert!(
        report.to_string().ends_with("skip  tls: this stack has no TLS\n1 passed, 0 failed, 1 skipped"),
        "{report}"
    );
}

/// Both clients pass every scenario in their own tests; the table of the documents says so, and
/// `cargo run -p cvm-watch-conformance --example table` prints it again.
#[test]
fn the_table_in_the_documents_lists_every_scenario() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/write-a-transport.md");
    // A packaged crate has no documents beside it.
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let listed: Vec<_> =
        text.lines().filter(|line| line.starts_with("| `") && line.ends_with("| passes | passes |")).collect();
    let expected: Vec<_> = cvm_watch_conformance::scenarios()
        .iter()
        .map(|scenario| format!("| `{}` | {} | passes | passes |", scenario.name, scenario.claim))
        .collect();
    assert_eq!(listed, expected);
}
