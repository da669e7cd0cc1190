//! `demo` and `sim`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::cvm_watch;

#[test]
fn the_demo_reaches_its_target_in_under_15_seconds_and_says_what_to_try_next() {
    let started = Instant::now();
    // Neither an account nor the user's settings play a part in it.
    let finished = cvm_watch("demo").without_key().base_url("nonsense").run();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "demo-cvm running\n"));
    for part in ["starting containers", "To try next:", "cvm-watch sim", "cvm-watch wait"] {
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
}

#[test]
fn sim_prints_its_base_url_first_and_alone_and_serves_until_a_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut sim = cvm_watch("sim --speed 50").start();
        let base_url = sim.line();
        let port = base_url.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix("/api/v1"));
        assert!(port.is_some_and(|port| port.parse::<u16>().is_ok()), "{base_url:?}");
        let finished = cvm_watch("wait flaky-1 --retry-delay 0").base_url(&base_url).run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "flaky-1 running\n"));
        sim.signal(signal);
        let finished = sim.finish();
        assert_eq!(finished.code, Some(0));
        for scenario in cvm_watch_sim::scenarios() {
            assert!(finished.stdout.contains(scenario.description), "{}", scenario.name);
        }
        assert!(!finished.stdout.contains('\x1b'));
    }
}

#[test]
fn sim_takes_its_port_and_stream_limit() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut sim = cvm_watch(&format!("sim --port {port} --max-streams 1")).start();
    let base_url = sim.line();
    assert_eq!(base_url, format!("http://127.0.0.1:{port}/api/v1"));
    let mut first = cvm_watch("wait stall-1 --output ndjson").base_url(&base_url).start();
    while !first.line().contains(r#""type":"state""#) {}
    let second = cvm_watch("wait stall-2 --max-retries 0").base_url(&base_url).run();
    assert!(second.last_words().contains("HTTP 429"), "{second:?}");
}

#[test]
fn sim_prints_a_line_for_each_request_that_it_refuses_and_answers_with_cors_headers() {
    let mut sim = cvm_watch("sim --cors http://localhost:8000").start();
    let base_url = sim.line();
    let addr = base_url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/api/v1")).unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"GET /api/v1/cvms/a/state HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("access-control-allow-origin: http://localhost:8000"), "{answer}");
    sim.signal(Signal::TERM);
    let finished = sim.finish();
    let line = "refused a request with 421: the host \"evil.example\" is not served here";
    assert!(finished.stderr.starts_with(line), "{finished:?}");
}

/// What the server answers to a `GET` of this path, with these header lines.
fn get(addr: &str, path: &str, headers: &str) -> String {
    let mut client = TcpStream::connect(addr).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn sim_demands_a_token_a_workspace_and_a_version() {
    let flags = "sim --require-token 1h --require-workspace team-a --require-version 2026-06-23";
    let mut sim = cvm_watch(flags).start();
    let base_url = sim.line();
    let addr = base_url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/api/v1")).unwrap();
    let minted = get(addr, "/token?audience=phala", "");
    let token = minted.split('"').nth(3).unwrap();
    let headers = format!("Authorization: Bearer {token}\r\nX-Phala-Workspace: team-a\r\n");
    let state = "/api/v1/cvms/my-cvm/state";
    assert!(get(addr, state, "").starts_with("HTTP/1.1 401 "));
    assert!(get(addr, state, &headers.replace("team-a", "team-b")).starts_with("HTTP/1.1 403 "));
    assert!(get(addr, state, &headers).starts_with("HTTP/1.1 400 "));
    let answer = get(addr, state, &format!("{headers}X-Phala-Version: 2026-06-23\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""status":"starting""#), "{answer}");
    sim.signal(Signal::TERM);
    let finished = sim.finish();
    assert!(finished.stdout.contains(&format!("GET http://{addr}/token mints a token")), "{finished:?}");
}

#[test]
fn sim_refuses_what_it_cannot_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (args, code, expected) in [
        (format!("sim --port {port}"), 1, format!("error: can't listen on 127.0.0.1:{port}")),
        ("sim --speed -1".to_owned(), 2, "error: --speed \"-1\" must be a number above 0".to_owned()),
    ] {
        let finished = cvm_watch(&args).run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""), "{args}");
        assert!(finished.stderr.starts_with(&expected), "{args}: {finished:?}");
    }
}

#[test]
fn sim_logs_each_request_when_it_is_verbose() {
    let mut sim = cvm_watch("sim --speed 50 -v").start();
    let base_url = sim.line();
    for _ in 0..2 {
        assert_eq!(cvm_watch("wait my-cvm").base_url(&base_url).run().code, Some(0));
    }
    sim.signal(Signal::TERM);
    let finished = sim.finish();
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{finished:?}");
    for (line, number) in lines.iter().zip(1..) {
        assert!(line.contains("s GET /api/v1/cvms/my-cvm/state?"), "{line}");
        assert!(line.ends_with(&format!(", request {number} for this id")), "{line}");
    }
    assert!(finished.stdout.contains("To see a boot again take another id"), "{finished:?}");
}

#[test]
fn sim_lists_its_scenarios_and_ends() {
    let finished = cvm_watch("sim --list").run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert_eq!(finished.stdout.lines().count(), cvm_watch_sim::scenarios().count());
    assert!(finished.stdout.contains("  edge-"), "{finished:?}");
}
