//! The request's exact shape, and answers that `http-types` cannot hold.

use cvm_watch_sim::{Attempt, Script, Sim};
use cvm_watch_surf::{Client, Failure, RejectCause, RetryCause};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::{KEY, client, failure};

pub(crate) const COMPLETE: &str = "event: complete\ndata: {\"status\":\"running\"}\n\n";

pub(crate) fn complete() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(COMPLETE, "text/event-stream")
}

pub(crate) async fn serving(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

pub(crate) fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

#[async_std::test]
async fn path_query_and_headers_are_exactly_these() {
    let server = serving(complete()).await;
    let client = client(format!("{}/api/v1", server.uri())).header("X-Trace", "abc").build().unwrap();
    let watch = client.watch("550e8400-e29b-41d4-a716-446655440000", "ru nning&x=%2F");
    let error = watch.max_retries(0).await.unwrap_err();
    assert!(matches!(
        failure(error),
        Failure::MaxRetriesExceeded { last_cause: RetryCause::CompletedElsewhere { .. }, .. }
    ));

    let requests = server.received_requests().await.unwrap();
    let [request] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(request.method.as_str(), "GET");
    assert_eq!(request.url.path(), "/api/v1/cvms/550e8400e29b41d4a716446655440000/state");
    assert_eq!(request.url.query(), Some("target=ru%20nning%26x%3D%252F&interval=5&timeout=300"));
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
        ("x-trace", "abc"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name, Some(value))));
}

#[async_std::test]
async fn without_a_key_its_header_is_left_out() {
    let server = serving(complete()).await;
    Client::builder().base_url(server.uri()).build().unwrap().watch("x", "running").await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!((requests.len(), value(&requests[0], "x-api-key")), (1, None));
}

#[async_std::test]
async fn a_redirect_is_not_followed_and_names_where_it_points() {
    let elsewhere = MockServer::start().await;
    Mock::given(any()).respond_with(complete()).expect(0).mount(&elsewhere).await;
    let server = serving(ResponseTemplate::new(307).insert_header("location", elsewhere.uri())).await;
    let error = client(server.uri()).build().unwrap().watch("x", "running").await.unwrap_err();
    let Failure::Rejected(rejection) = failure(error) else { panic!("no rejection") };
    assert_eq!(rejection.status, 307);
    assert_eq!(rejection.cause, RejectCause::Redirect { location: Some(elsewhere.uri()) });
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[async_std::test]
async fn headers_outside_ascii_go_out_as_utf_8() {
    let sim = Sim::start().unwrap();
    let first = Attempt::stream().bytes("id: ünï→\ndata: x\n\n").truncate();
    sim.script("x", Script::new().then(first).then(Attempt::stream().complete("running")));
    let client = client(sim.base_url()).header("x-name", "Jürgen").header("x-name", "Zoë").build().unwrap();
    client.watch("x", "running").retry_delay(std::time::Duration::ZERO).await.unwrap();

    let requests = sim.log().requests();
    assert_eq!((requests.len(), requests[0].header("last-event-id")), (2, None));
    assert_eq!(requests[1].header("last-event-id"), Some("ünï→".as_bytes()));
    for request in &requests {
        let names: Vec<_> =
            request.headers.iter().filter(|(name, _)| name == "x-name").map(|(_, value)| value).collect();
        assert_eq!(names, ["Jürgen".as_bytes(), "Zoë".as_bytes()]);
    }
}

#[async_std::test]
async fn a_status_without_a_name_is_told_by_its_number() {
    let sim = Sim::start().unwrap();
    for status in [299, 399, 499, 520, 599] {
        sim.script("x", Attempt::respond(status, "text/plain", "words"));
        let error = client(sim.base_url()).build().unwrap().watch("x", "running").max_retries(0).await.unwrap_err();
        let told = match failure(error) {
            Failure::Rejected(rejection) => rejection.status,
            Failure::MaxRetriesExceeded { last_cause: RetryCause::Status { status, .. }, .. } => status,
            other => panic!("{other}"),
        };
        assert_eq!(told, status);
    }
}

#[async_std::test]
async fn keys_and_header_values_show_in_no_debug() {
    let client = client("http://127.0.0.1:1").header("x-secret", "hunter2").build().unwrap();
    let shown = format!("{client:?} {:?}", client.watch("x", "running"));
    assert!(!shown.contains(KEY) && !shown.contains("hunter2"), "{shown}");
}
