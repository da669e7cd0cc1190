//! The rules of the endpoint: paths, methods, query, key, immediate mode.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Sim};

use crate::client::{request, rest, send};

/// The status line's number, and the body.
fn answer(text: &str) -> (u16, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[test]
fn the_base_url_is_loopback_and_ready_to_use() {
    let sim = Sim::start().unwrap();
    assert_eq!(sim.base_url(), format!("http://127.0.0.1:{}/api/v1", sim.addr().port()));
    assert_eq!(sim.base_url_for("::1"), format!("http://[::1]:{}/api/v1", sim.addr().port()));
}

#[test]
fn without_a_target_the_state_is_answered_at_once() {
    let sim = Sim::start().unwrap();
    let text = rest(send(&sim, "/cvms/my%20cvm/state", ""));
    assert!(text.contains("content-type: application/json\r\n"), "{text}");
    let (status, body) = answer(&text);
    assert_eq!(status, 200);
    let state: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(state["id"], "my cvm");
    assert_eq!(state["status"], "starting");
    assert_eq!(state["boot_progress"], "booting");
    let request = &sim.log().requests()[0];
    assert_eq!((request.id.as_deref(), request.attempt), (Some("my cvm"), None));
}

#[test]
fn bad_requests_are_refused_with_the_messages_of_the_endpoint() {
    let sim = Sim::start().unwrap();
    let get = |path: &str| answer(&rest(send(&sim, path, "")));
    let (status, body) = get("/cvms/a/state?target=running&interval=4");
    assert_eq!(status, 422);
    assert!(body.contains(r#""loc":["query","interval"]"#), "{body}");
    assert_eq!(get("/cvms/a/state?target=running&timeout=601").0, 422);
    assert_eq!(get("/cvms").0, 404);
    let post = "POST /api/v1/cvms/a/state HTTP/1.1\r\nHost: localhost\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(answer(&rest(request(&sim, post))).0, 405);
    assert_eq!(answer(&rest(request(&sim, "not HTTP\r\n\r\n"))).0, 400);
    assert!(sim.log().requests().iter().all(|request| request.attempt.is_none()));
}

#[test]
fn a_key_is_required_only_when_one_is_set() {
    let sim = Sim::builder().require_key("right").start().unwrap();
    let get = |headers: &str| answer(&rest(send(&sim, "/cvms/a/state", headers))).0;
    assert_eq!(get("X-API-Key: right\r\n"), 200);
    assert_eq!(get("x-api-key: right\r\n"), 200);
    assert_eq!(get("Authorization: Bearer right\r\n"), 200);
    assert_eq!(get("X-API-Key: wrong\r\n"), 401);
    assert_eq!(get(""), 401);
    let open = Sim::start().unwrap();
    assert_eq!(answer(&rest(send(&open, "/cvms/a/state", ""))).0, 200);
}

#[test]
fn a_token_is_minted_in_process_and_by_a_request() {
    let sim = Sim::builder().require_token(Duration::from_secs(3600)).start().unwrap();
    let get = |token: &str| {
        let header = format!("Authorization: Bearer {token}\r\n");
        answer(&rest(send(&sim, "/cvms/a/state", &header))).0
    };
    let addr = sim.addr();
    assert_eq!(sim.token_url(), format!("http://{addr}/token"));
    let ask = format!("GET http://{addr}/token?audience=x HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, body) = answer(&rest(request(&sim, &ask)));
    let minted: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, get(minted["value"].as_str().unwrap())), (200, 200));
    assert_eq!(get(&sim.mint_token()), 200);
    assert_eq!(get("guessed"), 401);
    assert_eq!(answer(&rest(send(&sim, "/cvms/a/state", ""))).0, 401);
    let expired = Sim::builder().require_token(Duration::ZERO).start().unwrap();
    let header = format!("Authorization: Bearer {}\r\n", expired.mint_token());
    let (status, body) = answer(&rest(send(&expired, "/cvms/a/state", &header)));
    assert_eq!((status, body.as_str()), (401, r#"{"detail":"The token has expired"}"#));
    let open = Sim::start().unwrap();
    let ask = "GET /token HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(answer(&rest(request(&open, ask))).0, 404);
}

#[test]
fn workspace_and_version_are_demanded_with_or_without_a_target() {
    let sim = Sim::builder().require_workspace("team-a").require_version("2026-06-23").start().unwrap();
    for path in ["/cvms/a/state", "/cvms/a/state?target=starting"] {
        let get = |headers: &str| answer(&rest(send(&sim, path, headers)));
        let (status, body) = get("");
        assert_eq!(status, 403);
        assert!(body.contains("ERR-03-003"), "{body}");
        assert_eq!(get("X-Phala-Workspace: team-a\r\n").0, 400);
        assert_eq!(get("X-Phala-Workspace: team-a\r\nX-Phala-Version: 2026-06-23\r\n").0, 200);
    }
}

#[test]
fn requests_are_recorded_as_sent() {
    let sim = Sim::builder().script("a", Attempt::json(200, "{}")).start().unwrap();
    let headers = "X-API-Key: k\r\nAccept: text/event-stream\r\naccept: other\r\n";
    rest(send(&sim, "/cvms/%61/state?target=running&interval=7", headers));
    let requests = sim.log().requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.method, "GET");
    assert_eq!(request.uri, "/api/v1/cvms/%61/state?target=running&interval=7");
    assert_eq!(request.id.as_deref(), Some("a"));
    assert_eq!((request.connection, request.attempt), (1, Some(1)));
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Host", "X-API-Key", "Accept", "accept"]);
}

#[test]
fn a_speed_that_is_not_a_positive_number_is_refused() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = Sim::builder().speed(speed).start().unwrap_err();
        assert!(error.to_string().starts_with("speed must be a positive, finite number"));
    }
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let sim = Sim::start().unwrap();
    let error = Sim::builder().addr(sim.addr()).start().unwrap_err();
    assert!(error.to_string().contains(&sim.addr().to_string()), "{error}");
}
