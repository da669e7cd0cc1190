//! The simulator as an HTTP server: forms of requests, limits, hosts, CORS.

use std::io::{Read, Write};
use std::sync::mpsc;

use cvm_watch_sim::{Attempt, End, Sim, SimError};

use crate::client::{LONG, dechunk, request, rest};

const PATH: &str = "/api/v1/cvms/a/state?target=running";

fn sim() -> Sim {
    Sim::builder().script("a", Attempt::stream().state("running")).start().unwrap()
}

fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn http_1_0_gets_no_chunks() {
    let sim = sim();
    let answer = rest(request(&sim, &format!("GET {PATH} HTTP/1.0\r\n\r\n")));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, "event: state\ndata: {\"status\":\"running\"}\n\n");
}

#[test]
fn an_answer_to_head_has_no_body() {
    let sim = sim();
    for path in [PATH, "/elsewhere"] {
        let answer = rest(request(&sim, &format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")));
        assert!(answer.ends_with("\r\n\r\n") && answer.matches("\r\n\r\n").count() == 1, "{answer}");
    }
    assert!(sim.log().requests().iter().all(|request| request.attempt.is_none()));
}

#[test]
fn an_absolute_target_means_the_same_as_its_path() {
    let sim = sim();
    let url = format!("{}/cvms/a/state?target=running", sim.base_url());
    let answer = rest(request(&sim, &format!("GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n")));
    assert_eq!(dechunk(&answer), "event: state\ndata: {\"status\":\"running\"}\n\n");
    let requests = sim.log().requests();
    let [seen] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((seen.uri.as_str(), seen.path(), seen.id.as_deref()), (url.as_str(), "/api/v1/cvms/a/state", Some("a")));
    assert_eq!(seen.query("target").as_deref(), Some("running"));
}

#[test]
fn odd_requests_get_a_4xx_and_a_record() {
    let (report, reported) = mpsc::channel();
    let sim = Sim::builder().script("a", Attempt::stream().state("running"));
    let sim = sim.on_refused(move |refused| report.send(refused.clone()).unwrap()).start().unwrap();
    let host = "Host: localhost\r\n";
    let many = "x: y\r\n".repeat(200);
    let long = "y".repeat(70_000);
    let cases = [
        (400, "not HTTP\r\n\r\n".to_owned(), "bad request"),
        (400, format!("GET {PATH} HTTP/1.1\r\n\r\n"), "no Host header"),
        (400, format!("GET {PATH} HTTP/1.1\r\n{host}{host}\r\n"), "more than one Host header"),
        (400, format!("GET {PATH} HTTP/1.1\r\n{host}a: b\r\n c\r\n\r\n"), "bad request"),
        (400, format!("GET {PATH} HTTP/2.0\r\n{host}\r\n"), "bad request"),
        (404, format!("GET * HTTP/1.1\r\n{host}\r\n"), "Not Found"),
        (404, "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n".to_owned(), "Not Found"),
        (405, format!("DELETE {PATH} HTTP/1.1\r\n{host}\r\n"), "Method Not Allowed"),
        (405, format!("OPTIONS {PATH} HTTP/1.1\r\n{host}Access-Control-Request-Method: GET\r\n\r\n"), "Method"),
        (411, format!("GET {PATH} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "Content-Length"),
        (413, format!("GET {PATH} HTTP/1.1\r\n{host}Content-Length: 70000\r\n\r\n"), "over 65536 bytes"),
        (421, format!("GET {PATH} HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "\"evil.example\" is not served here"),
        (421, format!("GET http://evil.example{PATH} HTTP/1.1\r\n{host}\r\n"), "\"evil.example\" is not served here"),
        (422, format!("GET {PATH}&interval=1 HTTP/1.1\r\n{host}\r\n"), "interval"),
        (431, format!("GET {PATH} HTTP/1.1\r\n{host}{many}\r\n"), "more than 128 header lines"),
        (431, format!("GET {PATH} HTTP/1.1\r\n{host}x: {long}\r\n\r\n"), "over 65536 bytes"),
    ];
    for (expected, text, reason) in cases {
        let answer = rest(request(&sim, &text));
        assert_eq!(status(&answer), expected, "{text:.100}: {answer}");
        let refused = reported.recv_timeout(LONG).unwrap();
        assert_eq!((refused.status, sim.log().refused_requests().last()), (expected, Some(&refused)));
        assert!(refused.reason.contains(reason), "{text:.100}: {refused:?}");
    }
    assert!(sim.log().requests().iter().all(|request| request.attempt.is_none()));
}

#[test]
fn a_head_that_comes_byte_by_byte_is_limited_too() {
    let sim = sim();
    let mut stream = request(&sim, "GET / HTTP/1.1\r\nx: ");
    // The simulator may have answered and closed before all was written.
    let _ = (0..70).try_for_each(|_| stream.write_all(&[b'y'; 1000]));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    sim.log().wait_until_closed(1, LONG).unwrap();
    assert_eq!(sim.log().refused_requests()[0].status, 431);
}

#[test]
fn a_client_that_keeps_sending_is_cut_off() {
    let sim = Sim::builder().script("a", Attempt::stream().stall()).start().unwrap();
    let mut stream = request(&sim, &format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    sim.log().wait_for_requests(1, LONG).unwrap();
    let _ = (0..100).try_for_each(|_| stream.write_all(&[b'y'; 1000]));
    assert_eq!(sim.log().wait_until_closed(1, LONG).unwrap().end.unwrap().0, End::Reset);
    assert_eq!(sim.log().refused_requests()[0].status, 413);
}

#[test]
fn other_names_are_served_when_they_are_allowed() {
    let sim = Sim::builder().allow_host("cloud.example").start().unwrap();
    for (host, expected) in [("cloud.example:8080", 200), ("Cloud.Example", 200), ("other.example", 421)] {
        let text = format!("GET /api/v1/cvms/a/state HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&rest(request(&sim, &text))), expected, "{host}");
    }
}

#[test]
fn cors_headers_are_on_every_answer_when_asked_for_and_a_preflight_is_no_attempt() {
    let sim = Sim::builder().cors("http://localhost:8000").require_key("k").start().unwrap();
    sim.script("a", Attempt::stream().state("running"));
    let send = |method: &str, headers: &str| {
        let text =
            format!("{method} {PATH} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:8000\r\n{headers}\r\n");
        rest(request(&sim, &text))
    };
    let preflight = send(
        "OPTIONS",
        "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: x-api-key, cache-control\r\n",
    );
    assert_eq!(status(&preflight), 204);
    for line in ["allow-methods: GET", "allow-headers: x-api-key, cache-control"] {
        assert!(preflight.contains(&format!("\r\naccess-control-{line}\r\n")), "{preflight}");
    }
    let answers = [preflight, send("GET", "X-API-Key: k\r\n"), send("GET", "")];
    assert_eq!(answers.each_ref().map(|answer| status(answer)), [204, 200, 401]);
    for answer in answers {
        assert!(answer.contains("\r\naccess-control-allow-origin: http://localhost:8000\r\n"), "{answer}");
    }
    let attempts = sim.log().requests().iter().map(|request| request.attempt).collect::<Vec<_>>();
    assert_eq!(attempts, [None, Some(1), None]);
    assert_eq!(sim.log().refused_requests().len(), 1);
}

#[test]
fn without_cors_no_answer_has_its_headers() {
    let sim = sim();
    let answer =
        rest(request(&sim, &format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n")));
    assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
}

#[test]
fn an_origin_that_a_header_cannot_hold_is_refused() {
    let error = Sim::builder().cors("http://a\r\nx: y").start().unwrap_err();
    assert!(matches!(error, SimError::Origin(_)), "{error}");
}
