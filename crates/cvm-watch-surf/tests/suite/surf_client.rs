//! A surf client of the user's: with middleware, with settings, with another back end.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_std::io::Cursor;
use cvm_watch_sim::{Attempt, Sim};
use cvm_watch_surf::driver::{ConnectOptions, Settings, SettingsBuilder};
use cvm_watch_surf::surf::http::headers::HeaderValue;
use cvm_watch_surf::surf::http::{self, Url};
use cvm_watch_surf::surf::middleware::{Middleware, Next, Redirect};
use cvm_watch_surf::surf::utils::async_trait;
use cvm_watch_surf::{
    AsyncStdTimer, Bridge, Client, CloseCause, Failure, RejectCause, RetryCause, SurfTransport, Update, surf,
};
use wiremock::matchers::{any, header_exists};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::clients::request::{COMPLETE, KEY, complete, serving, value};

fn settings(base_url: impl Into<String>) -> SettingsBuilder {
    Settings::builder().base_url(base_url).api_key(KEY)
}

/// A client over a surf client of the user's.
fn over(client: surf::Client, settings: SettingsBuilder) -> Client {
    let settings = settings.build().unwrap();
    let transport = SurfTransport::over(client, &settings).unwrap();
    Client::new(settings, transport, AsyncStdTimer::new())
}

fn bridge() -> Bridge {
    Bridge::new(&ConnectOptions::new().no_proxy()).unwrap()
}

#[async_std::test]
async fn a_middleware_that_follows_redirects_takes_no_secret_along() {
    let elsewhere = serving(complete()).await;
    let origin = serving(ResponseTemplate::new(302).insert_header("location", elsewhere.uri())).await;
    let redirecting = surf::Client::with_http_client(bridge()).with(Redirect::default());
    let client = over(redirecting, settings(origin.uri()).header("x-secret", "hunter2"));
    let error = client.watch("x", "running").await.unwrap_err();

    let Some(Failure::Rejected(rejection)) = error.failure() else { panic!("{error}") };
    assert_eq!(rejection.status, 302);
    assert_eq!(rejection.cause, RejectCause::Redirect { location: Some(elsewhere.uri()) });
    let seen = elsewhere.received_requests().await.unwrap();
    assert!(!seen.is_empty(), "the middleware followed nothing, so nothing was tried");
    for request in seen {
        assert_eq!((value(&request, "x-api-key"), value(&request, "x-secret")), (None, None));
    }
}

#[async_std::test]
async fn a_redirect_of_requests_without_the_key_only_does_no_harm() {
    let elsewhere = serving(ResponseTemplate::new(200).set_body_string("log in here")).await;
    let origin = MockServer::start().await;
    Mock::given(header_exists("x-api-key")).respond_with(complete()).expect(1).mount(&origin).await;
    let to_login = ResponseTemplate::new(303).insert_header("location", elsewhere.uri());
    Mock::given(any()).respond_with(to_login).mount(&origin).await;
    let redirecting = surf::Client::with_http_client(bridge()).with(Redirect::default());
    let client = over(redirecting, settings(origin.uri()));
    assert!(client.watch("x", "running").await.unwrap().is("running"));
}

/// Sends the request on to another URL, as a redirect that was followed would.
struct Elsewhere(Url);

#[async_trait]
impl Middleware for Elsewhere {
    async fn handle(
        &self,
        mut request: surf::Request,
        client: surf::Client,
        next: Next<'_>,
    ) -> surf::Result<surf::Response> {
        let message: &mut http::Request = request.as_mut();
        *message.url_mut() = self.0.clone();
        next.run(request, client).await
    }
}

#[async_std::test]
async fn a_middleware_that_changes_the_url_is_overruled() {
    let elsewhere = MockServer::start().await;
    Mock::given(any()).respond_with(complete()).expect(0).mount(&elsewhere).await;
    let origin = serving(complete()).await;
    let url = Url::parse(&elsewhere.uri()).unwrap();
    let mine = surf::Client::with_http_client(bridge()).with(Elsewhere(url));
    over(mine, settings(origin.uri())).watch("x", "running").await.unwrap();
    let requests = origin.received_requests().await.unwrap();
    assert_eq!(requests[0].url.path(), "/cvms/x/state");
    assert_eq!(value(&requests[0], "x-api-key"), Some(KEY));
}

/// Signs requests, and remembers the headers that it could see.
struct Signing(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Middleware for Signing {
    async fn handle(
        &self,
        mut request: surf::Request,
        client: surf::Client,
        next: Next<'_>,
    ) -> surf::Result<surf::Response> {
        self.0.lock().unwrap().extend(request.header_names().map(ToString::to_string));
        request.insert_header("x-signature", "signed");
        // Not for a middleware to say.
        request.insert_header("x-api-key", "another");
        next.run(request, client).await
    }
}

#[async_std::test]
async fn middleware_and_default_headers_are_kept_and_see_no_secret() {
    let server = serving(complete()).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = surf::Config::new().set_http_client(bridge());
    let config = config.add_header("x-default", "mine").unwrap().add_header("accept", "*/*").unwrap();
    let mine = surf::Client::try_from(config).unwrap().with(Signing(Arc::clone(&seen)));
    let client = over(mine, settings(server.uri()).header("x-secret", "hunter2"));
    client.watch("x", "running").await.unwrap();

    let requests = server.received_requests().await.unwrap();
    for (name, expected) in [
        ("x-signature", "signed"),
        ("x-default", "mine"),
        ("x-secret", "hunter2"),
        ("x-api-key", KEY),
        ("accept", "text/event-stream"),
    ] {
        let values: Vec<_> = requests[0].headers.get_all(name).iter().collect();
        assert_eq!(values, [expected], "{name}");
    }
    let seen = seen.lock().unwrap();
    assert!(seen.contains(&"accept".to_owned()));
    assert!(!seen.contains(&"x-api-key".to_owned()) && !seen.contains(&"x-secret".to_owned()), "{seen:?}");
}

#[async_std::test]
async fn a_time_limit_of_the_surf_client_does_not_cut_a_stream() {
    let sim = Sim::start().unwrap();
    sim.script("x", Attempt::stream().state("starting").wait(Duration::from_millis(400)).complete("running"));
    let config = surf::Config::new().set_timeout(Some(Duration::from_millis(50))).set_http_client(bridge());
    let mine = surf::Client::try_from(config).unwrap();
    let client = over(mine, settings(sim.base_url()));
    assert!(client.watch("x", "running").max_retries(0).await.unwrap().is("running"));
}

/// A back end that has every answer at hand.
#[derive(Debug)]
struct Canned {
    asked: Arc<Mutex<Vec<http::Request>>>,
    answer: fn() -> http::Result<&'static str>,
}

#[async_trait]
impl surf::HttpClient for Canned {
    async fn send(&self, request: http::Request) -> http::Result<http::Response> {
        self.asked.lock().unwrap().push(request);
        let text = (self.answer)()?;
        let mut response = http::Response::new(200);
        response.set_body(surf::Body::from_reader(Cursor::new(text), None));
        response.insert_header("content-type", "text/event-stream");
        Ok(response)
    }
}

fn canned(answer: fn() -> http::Result<&'static str>) -> (surf::Client, Arc<Mutex<Vec<http::Request>>>) {
    let asked = Arc::default();
    (surf::Client::with_http_client(Canned { asked: Arc::clone(&asked), answer }), asked)
}

#[async_std::test]
async fn another_back_end_is_asked_in_place_of_the_bridge() {
    let (mine, asked) = canned(|| Ok(COMPLETE));
    let client = over(mine, settings("https://cloud.example/api/v1"));
    assert!(client.watch("x", "running").await.unwrap().is("running"));
    let asked = asked.lock().unwrap();
    let url = "https://cloud.example/api/v1/cvms/x/state?target=running&interval=5&timeout=300";
    assert_eq!(asked[0].url().as_str(), url);
    assert_eq!(asked[0].header("x-api-key").map(|values| values.as_str()), Some(KEY));
}

#[async_std::test]
async fn another_back_ends_faults_are_judged_by_their_kind() {
    for (answer, expected) in [
        ((|| Err(std::io::Error::from(ErrorKind::ConnectionRefused).into())) as fn() -> _, CloseCause::Refused),
        (|| Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()), CloseCause::Truncated),
        (|| Err(http::Error::from_str(500, "something else")), CloseCause::Other),
        (|| Ok(""), CloseCause::Ended),
    ] {
        let (mine, _) = canned(answer);
        let client = over(mine, settings("https://cloud.example"));
        let mut watch = client.watch("x", "running").max_retries(1).retry_delay(Duration::ZERO);
        let mut causes = Vec::new();
        while let Some(update) = watch.next_update().await {
            if let Update::Retrying { cause: RetryCause::Closed(cause), .. } = update {
                causes.push(cause);
            }
        }
        assert_eq!(causes, [expected]);
    }
}

#[async_std::test]
async fn a_header_that_a_surf_client_would_leave_out_is_refused() {
    let settings = settings("https://cloud.example").header("x-name", "Jürgen").build().unwrap();
    let error = SurfTransport::over(canned(|| Ok(COMPLETE)).0, &settings).unwrap_err();
    assert_eq!(error.field(), "header x-name", "{error}");
    assert!(!error.to_string().contains("rgen"), "{error}");
}

#[async_std::test]
async fn the_bridge_serves_any_other_request_too() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(201).set_body_raw("made", "text/plain");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let mine = surf::Client::with_http_client(bridge());
    let mut response = mine.post(format!("{}/a?b=c", server.uri())).body_string("hello".to_owned()).await.unwrap();
    assert_eq!(response.status(), 201);
    let types: Vec<_> = response.header("content-type").unwrap().iter().map(HeaderValue::as_str).collect();
    assert_eq!(types, ["text/plain"]);
    assert_eq!(response.body_string().await.unwrap(), "made");

    let requests = server.received_requests().await.unwrap();
    assert_eq!((requests[0].method.as_str(), requests[0].url.path()), ("POST", "/a"));
    assert_eq!(requests[0].body, b"hello");
    assert_eq!(value(&requests[0], "content-length"), Some("5"));
}

#[async_std::test]
async fn the_bridge_takes_no_url_that_could_be_read_in_two_ways() {
    let mine = surf::Client::with_http_client(bridge());
    for url in ["http://me:hunter2@127.0.0.1:1/", "ftp://127.0.0.1/"] {
        let error = mine.get(url).await.unwrap_err();
        let error = error.downcast_ref::<cvm_watch_surf::driver::TransportError>().unwrap();
        let why = std::error::Error::source(error).unwrap().to_string();
        assert!(why.starts_with("base url ") && !why.contains("hunter2"), "{why}");
    }
}
