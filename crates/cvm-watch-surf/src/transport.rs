//! One attempt over a surf client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use cvm_watch_driver::cvm_watch_core::{CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, ConnectOptions, Head, NetworkTransport, Request, Settings, Transport, TransportError};
use surf::http::headers::{HeaderName, HeaderValue};
use surf::http::{Method, Url};

use crate::AsyncStdTimer;
use crate::body::SurfBody;
use crate::bridge::Bridge;
use crate::fault;
use crate::guard::Guard;
use crate::head::{self, Beside, Exact};

/// A surf client as a transport. Over the [`Bridge`], each attempt has its own connection and no task is spawned, so
/// dropping the attempt closes the socket. For other back ends see [`SurfTransport::over`].
#[derive(Clone)]
pub struct SurfTransport {
    client: surf::Client,
}

impl SurfTransport {
    /// Makes a transport over your surf client, with its middleware, default headers and back end. Use it with
    /// `Client::new`;
    /// [`Bridge`] has an example.
    ///
    /// The request always goes to the base URL: the last middleware before the back end restores the URL, and adds
    /// the API key and other secrets. So a middleware that follows redirects cannot send them elsewhere. It costs an
    /// additional request without secrets before each attempt, and a redirect still ends the watch and is named in
    /// its failure.
    ///
    /// Over the [`Bridge`] everything else works as with the default client. Other back ends differ: in TLS, in
    /// proxies, in when a dropped connection is closed, in how a truncated body is reported, and in whether they
    /// follow redirects. Headers outside ASCII, such as some `Last-Event-ID`, are not sent. surf's own back ends:
    ///
    /// - curl: build the client by `surf::Client::new()`, since one from a `surf::Config` ends every
    ///   body after 60 seconds. A dropped connection is closed only when its next bytes arrive. It
    ///   asks for compressed answers, which the watch refuses.
    /// - h1: switch keep-alive off (`set_http_keep_alive(false)`), or a dropped stream goes back to
    ///   the pool and spoils the next attempt. It reads no body without a length or chunks, and
    ///   takes a body cut short of its `Content-Length` for a whole one.
    /// - hyper 0.13 and h1 with rustls 0.18 have known vulnerabilities.
    ///
    /// # Errors
    ///
    /// Fails if a header in the settings has a value outside ASCII, which a back end other than the bridge would not
    /// send.
    pub fn over(client: surf::Client, settings: &Settings) -> Result<Self, ConfigError> {
        match settings.headers().find(|(_, value)| !value.is_ascii()) {
            Some((name, _)) => {
                let problem =
                    "has a value outside ASCII, which a surf client cannot send; change it, or leave out the client";
                Err(ConfigError::new(format!("header {name}"), "", problem))
            }
            None => Ok(Self { client }),
        }
    }
}

impl NetworkTransport for SurfTransport {
    type Timer = AsyncStdTimer;

    fn new(base: &BaseUrl, options: &ConnectOptions) -> Result<(Self, Vec<String>), ConfigError> {
        let bridge = Bridge::new(options)?;
        let secrets = bridge.prepare(base)?;
        Ok((Self { client: surf::Client::with_http_client(bridge) }, secrets))
    }
}

impl Transport for SurfTransport {
    type Body = SurfBody;
    type Open = Pin<Box<dyn Future<Output = Result<(Head, SurfBody), TransportError>> + Send>>;

    fn open(&self, request: Request) -> Self::Open {
        Box::pin(open(self.client.clone(), request))
    }
}

impl fmt::Debug for SurfTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SurfTransport").finish_non_exhaustive()
    }
}

async fn open(client: surf::Client, request: Request) -> Result<(Head, SurfBody), TransportError> {
    let message = message(&client, &request).map_err(|error| TransportError::new(CloseCause::Other, error))?;
    let mut response = client.send(message).await.map_err(fault::in_send)?;
    let body = SurfBody::new(response.take_body());
    let response: surf::http::Response = response.into();
    let head = head::head(response.status(), response.as_ref(), response.ext().get::<Exact>());
    Ok((head, body))
}

/// Returns the request for the client's middleware, without the secrets, which the guard adds.
fn message(client: &surf::Client, request: &Request) -> Result<surf::Request, surf::Error> {
    let base = request.base();
    let scheme = if base.is_https() { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{}{}", base.authority(), request.target()))?;
    let beside = Beside { headers: Vec::new(), attempt: request.attempt() };
    let mut guard = Guard { url: url.clone(), secrets: Vec::new(), beside };
    let mut message = surf::Request::new(Method::Get, url);
    for (name, values) in &client.config().headers {
        if !request.headers().iter().any(|header| header.name().eq_ignore_ascii_case(name.as_str())) {
            message.append_header(name.clone(), values);
        }
    }
    for header in request.headers() {
        if !header.value().is_ascii() {
            guard.beside.headers.push((header.name().to_owned(), header.value().to_owned()));
            continue;
        }
        let name = HeaderName::from_bytes(header.name().as_bytes().to_vec())?;
        let value = HeaderValue::from_bytes(header.value().as_bytes().to_vec())?;
        if header.sensitive() {
            guard.secrets.push((name, value));
        } else {
            message.append_header(name, value);
        }
    }
    message.middleware(guard);
    Ok(message)
}
