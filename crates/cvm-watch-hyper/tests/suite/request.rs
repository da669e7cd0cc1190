//! The exact request, as wiremock sees it.

use cvm_watch_hyper::Client;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const DONE: &str = "event: complete\ndata: {\"status\":\"running\"}\n\n";

fn client(server: &MockServer) -> Client {
    let base = format!("{}/api/v1/", server.uri());
    Client::builder().base_url(base).api_key("phak_1").header("X-Trace", "abc").build().unwrap()
}

fn stream() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(DONE, "text/event-stream; charset=utf-8")
}

#[tokio::test]
async fn path_query_and_headers_are_the_endpoints() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/api/v1/cvms/550e8400e29b41d4a716446655440000/state"))
        .and(query_param("target", "running"))
        .and(query_param("interval", "10"))
        .and(query_param("timeout", "60"))
        .and(header("accept", "text/event-stream"))
        .and(header("cache-control", "no-cache"))
        .and(header("accept-encoding", "identity"))
        .and(header("x-api-key", "phak_1"))
        .and(header("x-trace", "abc"))
        .respond_with(stream())
        .expect(1)
        .mount(&server)
        .await;
    let watch = client(&server).watch("550e8400-e29b-41d4-a716-446655440000", "running");
    let second = std::time::Duration::from_secs;
    watch.interval(second(10)).timeout(second(60)).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let names = |request: &Request| {
        let mut names: Vec<_> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        names(&requests[0]),
        ["accept", "accept-encoding", "cache-control", "host", "user-agent", "x-api-key", "x-trace"]
    );
    let host = requests[0].headers.get("host").unwrap().to_str().unwrap();
    assert_eq!(format!("http://{host}"), server.uri());
}

/// Contract row 14.
#[tokio::test]
async fn after_a_redirect_no_request_and_no_key_goes_anywhere() {
    let elsewhere = MockServer::start().await;
    Mock::given(method("GET")).respond_with(stream()).expect(0).mount(&elsewhere).await;
    for status in [301, 302, 303, 307, 308] {
        let server = MockServer::start().await;
        let redirect = ResponseTemplate::new(status).insert_header("location", format!("{}/x", elsewhere.uri()));
        Mock::given(method("GET")).respond_with(redirect).expect(1).mount(&server).await;
        let error = client(&server).watch("my-cvm", "running").await.unwrap_err().to_string();
        assert!(error.contains(&status.to_string()) && error.contains(&elsewhere.uri()), "{error}");
        assert!(error.contains("set the base URL"), "{error}");
    }
}

#[tokio::test]
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
    let rejected = ResponseTemplate::new(403)
        .set_body_json(wiremock_json("no access", "ERR-1"))
        .insert_header("x-request-id", "r-7");
    Mock::given(method("GET")).respond_with(rejected).expect(1).mount(&server).await;
    let watch = client(&server).watch("my-cvm", "running").retry_delay(std::time::Duration::ZERO);
    let error = watch.await.unwrap_err();
    assert_eq!(error.to_string(), "the server rejected the watch: HTTP 403 (ERR-1): no access");
    let Some(cvm_watch_hyper::Failure::Rejected(rejection)) = error.failure() else { panic!("{error:?}") };
    assert_eq!(rejection.request_id.as_deref(), Some("r-7"));
}

fn wiremock_json(message: &str, code: &str) -> std::collections::BTreeMap<String, String> {
    [("message", message), ("error_code", code)].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}
