//! Built-in scenarios over sockets.

use cvm_watch_sim::Sim;

use crate::client::{dechunk, rest, send, watch};

fn fast() -> Sim {
    Sim::builder().speed(200.0).start().unwrap()
}

#[test]
fn any_id_boots_to_running_step_by_step() {
    let sim = fast();
    let body = dechunk(&rest(watch(&sim, "my-cvm")));
    let steps = [
        r#""boot_progress":"booting""#,
        r#""boot_progress":"starting containers""#,
        r#""boot_progress":"done""#,
        r#""status":"running""#,
        "event: complete",
    ];
    let places = steps.map(|step| body.find(step).unwrap_or_else(|| panic!("no {step} in {body}")));
    assert!(places.is_sorted(), "{body}");
    assert!(body.trim_end().ends_with(r#""status":"running","target":"running"}"#), "{body}");
}

#[test]
fn the_target_is_the_one_asked_for() {
    let sim = fast();
    let body = dechunk(&rest(send(&sim, "/cvms/stop-1/state?target=stopped", "")));
    assert!(body.contains(r#""status":"stopped","target":"stopped"}"#), "{body}");
}

#[test]
fn a_stream_over_its_timeout_ends_with_a_timeout_event() {
    let sim = fast();
    let body = dechunk(&rest(send(&sim, "/cvms/fail-1/state?target=running&timeout=10", "")));
    let last = body.trim_end().rsplit("\n\n").next().unwrap();
    assert_eq!(
        last,
        "event: timeout\ndata: {\"elapsed\":10.0,\"error\":\"timed out waiting for running\",\"target\":\"running\"}"
    );
}

#[test]
fn a_slow_boot_goes_on_over_reconnects() {
    let sim = fast();
    let mut ends = Vec::new();
    for _ in 0..100 {
        let body = dechunk(&rest(watch(&sim, "slow-1")));
        let end = body.trim_end().rsplit("\n\n").next().unwrap().lines().next().unwrap().to_owned();
        let over = end == "event: complete";
        ends.push(end);
        if over {
            break;
        }
    }
    assert_eq!(ends.last().map(String::as_str), Some("event: complete"), "{ends:?}");
    assert!(ends.len() > 1, "{ends:?}");
    assert!(ends[..ends.len() - 1].iter().all(|end| end == "event: timeout"), "{ends:?}");
}

#[test]
fn another_id_is_another_cvm() {
    let sim = Sim::start().unwrap();
    for id in ["a", "b"] {
        let body = rest(send(&sim, &format!("/cvms/{id}/state"), ""));
        assert!(body.contains(&format!(r#""id":"{id}""#)) && body.contains("booting"), "{body}");
    }
}

#[test]
fn a_status_in_the_id_is_answered() {
    let sim = fast();
    for (id, line) in [
        ("http-404-x", "HTTP/1.1 404 Not Found\r\n"),
        ("http-503-x", "HTTP/1.1 503 Service Unavailable\r\n"),
        ("http-204-x", "HTTP/1.1 204 No Content\r\n"),
        ("redirect-x", "HTTP/1.1 307 Temporary Redirect\r\n"),
    ] {
        let text = rest(watch(&sim, id));
        assert!(text.starts_with(line), "{text}");
    }
}

#[test]
fn the_flaky_network_plays_its_faults_and_then_boots() {
    let sim = fast();
    assert!(rest(watch(&sim, "flaky-1")).starts_with("HTTP/1.1 503 "));
    assert!(crate::client::ending(watch(&sim, "flaky-1")).is_err());
    let cut = rest(watch(&sim, "flaky-1"));
    assert!(!cut.ends_with("0\r\n\r\n"), "{cut}");
    assert!(dechunk(&rest(watch(&sim, "flaky-1"))).contains("event: complete"));
}

#[test]
fn a_buffering_proxy_sends_a_head_and_nothing_else_and_answers_without_a_target() {
    let sim = fast();
    let answer = rest(watch(&sim, "buffering-proxy-1"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "");
    assert!(rest(send(&sim, "/cvms/buffering-proxy-1/state", "")).contains(r#""status":"#));
}

#[test]
fn an_edge_cuts_a_silent_stream_after_its_first_states() {
    let sim = fast();
    let answer = rest(watch(&sim, "edge-1"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("event: state"), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n") && !answer.contains("event: complete"), "{answer}");
}
