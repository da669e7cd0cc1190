//! The exact request, and answers that few servers give.

use std::collections::BTreeMap;
use std::time::Duration;

use cvm_watch_sim::{Attempt, Script, Sim};
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::subject::{Client, ClientBuilder, Failure, RejectCause, RetryCause};

pub(crate) const KEY: &str = "phak_test";

pub(crate) const COMPLETE: &str = "event: complete\ndata: {\"status\":\"running\"}\n\n";

pub(crate) fn complete() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(COMPLETE, "text/event-stream; charset=utf-8")
}

pub(crate) async fn serving(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

pub(crate) fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

fn client(base_url: impl Into<String>) -> ClientBuilder {
    Client::builder().base_url(base_url).api_key(KEY)
}

#[crate::runtime_test]
async fn path_query_and_headers_are_exactly_these() {
    let server = serving(complete()).await;
    let client = client(format!("{}/api/v1/", server.uri())).header("X-Trace", "abc").build().unwrap();
    let watch = client.watch("550e8400-e29b-41d4-a716-446655440000", "ru nning&x=%2F");
    let watch = watch.interval(Duration::from_secs(10)).timeout(Duration::from_secs(60));
    let error = watch.max_retries(0).await.unwrap_err();
    let Some(Failure::MaxRetriesExceeded { last_cause: RetryCause::CompletedElsewhere { .. }, .. }) = error.failure()
    else {
        panic!("{error}")
    };

    let requests = server.received_requests().await.unwrap();
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(request.method.as_str(), "GET");
    assert_eq!(request.url.path(), "/api/v1/cvms/550e8400e29b41d4a716446655440000/state");
    assert_eq!(request.url.query(), Some("target=ru%20nning%26x%3D%252F&interval=10&timeout=60"));
    assert!(request.body.is_empty());
    let mut headers: Vec<_> =
        request.headers.keys().map(|name| (name.as_str(), value(request, name.as_str()))).collect();
    headers.sort_unstable();
    let host = server.address().to_string();
    let agent = format!("cvm-watch/{}", env!("CARGO_PKG_VERSION"));
    let expected = [
        ("accept", "text/event-stream"),
        ("accept-encoding", "identity"),
        ("cache-control", "no-cache"),
        ("host", &host),
        ("user-agent", &agent),
        ("x-api-key", KEY),
        ("x-phala-version", "2026-06-23"),
        ("x-trace", "abc"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name, Some(value))));
}

#[crate::runtime_test]
async fn without_a_key_its_header_is_left_out() {
    let server = serving(complete()).await;
    Client::builder().base_url(server.uri()).build().unwrap().watch("x", "running").await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!((requests.len(), value(&requests[0], "x-api-key")), (1, None));
}

/// Contract row 14.
#[crate::runtime_test]
async fn after_a_redirect_no_request_and_no_key_goes_anywhere() {
    let elsewhere = MockServer::start().await;
    Mock::given(any()).respond_with(complete()).expect(0).mount(&elsewhere).await;
    for status in [301, 302, 303, 307, 308] {
        let server = serving(ResponseTemplate::new(status).insert_header("location", elsewhere.uri())).await;
        let error = client(server.uri()).build().unwrap().watch("x", "running").await.unwrap_err();
        assert!(error.to_string().contains("set the base URL"), "{error}");
        let Some(Failure::Rejected(rejection)) = error.failure() else { panic!("{error}") };
        assert_eq!(rejection.status, status);
        assert_eq!(rejection.cause, RejectCause::Redirect { location: Some(elsewhere.uri()) });
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[crate::runtime_test]
async fn a_sequence_of_answers_is_retried_until_one_is_final() {
    let server = MockServer::start().await;
    for status in [503, 429, 408] {
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(status))
            .up_to_n_times(1)
            .expect(1)
            .mount(&server)
            .await;
    }
    let body = BTreeMap::from([("message", "no access"), ("error_code", "ERR-1")]);
    let rejected = ResponseTemplate::new(403).set_body_json(body).insert_header("x-request-id", "r-7");
    Mock::given(method("GET")).respond_with(rejected).expect(1).mount(&server).await;
    let watch = client(server.uri()).build().unwrap().watch("x", "running").retry_delay(Duration::ZERO);
    let error = watch.await.unwrap_err();
    assert_eq!(error.to_string(), "the server rejected the watch: HTTP 403 (ERR-1): no access");
    let Some(Failure::Rejected(rejection)) = error.failure() else { panic!("{error:?}") };
    assert_eq!(rejection.request_id.as_deref(), Some("r-7"));
}

#[crate::runtime_test]
async fn headers_outside_ascii_are_sent_as_utf_8() {
    let sim = Sim::start().unwrap();
    let first = Attempt::stream().bytes("id: ünï→\ndata: x\n\n").truncate();
    sim.script("x", Script::new().then(first).then(Attempt::stream().complete("running")));
    let client = client(sim.base_url()).header("x-name", "Jürgen").header("x-name", "Zoë").build().unwrap();
    client.watch("x", "running").retry_delay(Duration::ZERO).await.unwrap();

    let requests = sim.log().requests();
    assert_eq!((requests.len(), requests[0].header("last-event-id")), (2, None));
    assert_eq!(requests[1].header("last-event-id"), Some("ünï→".as_bytes()));
    for request in &requests {
        let names: Vec<_> =
            request.headers.iter().filter(|(name, _)| name == "x-name").map(|(_, value)| value).collect();
        assert_eq!(names, ["Jürgen".as_bytes(), "Zoë".as_bytes()]);
    }
}

#[crate::runtime_test]
async fn a_status_without_a_name_is_reported_by_its_number() {
    let sim = Sim::start().unwrap();
    for status in [299, 399, 499, 520, 599] {
        sim.script("x", Attempt::respond(status, "text/plain", "words"));
        let error = client(sim.base_url()).build().unwrap().watch("x", "running").max_retries(0).await.unwrap_err();
        let reported = match error.failure() {
            Some(Failure::Rejected(rejection)) => rejection.status,
            Some(Failure::MaxRetriesExceeded { last_cause: RetryCause::Status { status, .. }, .. }) => *status,
            other => panic!("{other:?}"),
        };
        assert_eq!(reported, status);
    }
}

#[crate::runtime_test]
async fn keys_and_header_values_show_in_no_debug() {
    let client = client("http://127.0.0.1:1").header("x-secret", "hunter2").build().unwrap();
    let shown = format!("{client:?} {:?}", client.watch("x", "running"));
    assert!(!shown.contains(KEY) && !shown.contains("hunter2"), "{shown}");
}
