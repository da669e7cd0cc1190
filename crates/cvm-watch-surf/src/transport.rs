//! One attempt over a surf client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use cvm_watch_driver::core::{CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, Head, Request, Transport, TransportError};
use surf::http::headers::{HeaderName, HeaderValue};
use surf::http::{Method, Url};

use crate::body::SurfBody;
use crate::bridge::Bridge;
use crate::fault;
use crate::guard::Guard;
use crate::head::{self, Beside, Exact};
use crate::proxy::ProxyChoice;
use crate::tls::Trust;

/// A surf client as a transport. Over the [`Bridge`], each attempt has a connection of its own,
/// which no task carries: dropping the attempt closes the socket. Over another back end the terms
/// are that one's; see [`TransportBuilder::surf_client`].
#[derive(Clone)]
pub struct SurfTransport {
    client: surf::Client,
}

/// Collects what a [`SurfTransport`] is made with. [`ClientBuilder`](crate::ClientBuilder) is the
/// usual way to one; this is for those who put a [`driver::Client`](crate::driver::Client) together
/// themselves, or who want the [`Bridge`] under a surf client of their own.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TransportBuilder {
    roots: Vec<String>,
    proxy: Option<ProxyChoice>,
    client: Option<surf::Client>,
}

impl TransportBuilder {
    /// Starts from the machine's trusted certificates and the environment's proxy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificate authorities (PEM) beside those of the machine.
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Goes through this proxy, whatever the environment says.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(ProxyChoice::Given(url.into()));
        self
    }

    /// Goes through no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Some(ProxyChoice::Direct);
        self
    }

    /// Takes a surf client of yours, with its middleware, its default headers and its back end.
    ///
    /// The request always goes to the base URL: what your middleware made of the URL is undone by
    /// the last station before the back end, which also adds the API key and other secrets. So a
    /// middleware that follows redirects can't take them elsewhere; it costs a request without them
    /// before each attempt, and a redirect ends the watch all the same, by name.
    ///
    /// Over the [`Bridge`] everything else holds as without a client of yours. Another back end
    /// brings its own terms: TLS, proxies, when a dropped connection is closed, what a truncated
    /// body looks like, and whether it follows redirects below surf, which nothing here can see. A
    /// header outside ASCII, such as some `Last-Event-ID`, does not pass through it. Of surf's own:
    ///
    /// - curl: build the client by `surf::Client::new()`, since one from a `surf::Config` ends every
    ///   body after 60 seconds. A dropped connection is closed only when its next bytes arrive. It
    ///   asks for compressed answers, which the watch refuses.
    /// - h1: switch keep-alive off (`set_http_keep_alive(false)`), or a dropped stream goes back to
    ///   the pool and spoils the next attempt. It reads no body without a length or chunks, and
    ///   takes a body cut short of its `Content-Length` for a whole one.
    /// - hyper 0.13 and h1 with rustls 0.18 have known vulnerabilities.
    pub fn surf_client(mut self, client: surf::Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The bridge by itself, for a surf client of yours; any certificates given are checked now.
    ///
    /// ```
    /// use cvm_watch_surf::{Client, TransportBuilder, surf};
    ///
    /// let bridge = TransportBuilder::new().no_proxy().bridge()?;
    /// let mine = surf::Client::with_http_client(bridge).with(surf::middleware::Redirect::default());
    /// let client = Client::builder().base_url("http://127.0.0.1:8080/api/v1").surf_client(mine).build()?;
    /// # Ok::<(), cvm_watch_surf::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Certificates that cannot be read; a surf client that was given too.
    pub fn bridge(self) -> Result<Bridge, ConfigError> {
        if self.client.is_some() {
            return Err(ConfigError::new("surf client", "", "has a back end already; leave it out for a bridge"));
        }
        let trust = Trust::new(self.roots);
        trust.check()?;
        Ok(Bridge::new(trust, self.proxy.unwrap_or_default().proxies()))
    }

    /// A transport to this base URL, and what it knows that must never be shown (a proxy's
    /// password), for [`SettingsBuilder::mask`](cvm_watch_driver::SettingsBuilder::mask).
    ///
    /// The machine's trusted certificates are read only for `https`.
    ///
    /// # Errors
    ///
    /// Certificates that cannot be read, or none at all; a proxy that cannot be used; certificates
    /// or a proxy beside a surf client, which brings its own.
    pub fn build(mut self, base: &BaseUrl) -> Result<(SurfTransport, Vec<String>), ConfigError> {
        if let Some(client) = self.client.take() {
            self.refuse_beside_a_client()?;
            return Ok((SurfTransport { client }, Vec::new()));
        }
        let bridge = self.bridge()?;
        let secrets = bridge.prepare(base)?;
        Ok((SurfTransport { client: surf::Client::with_http_client(bridge) }, secrets))
    }

    fn refuse_beside_a_client(&self) -> Result<(), ConfigError> {
        let problem = "cannot be set beside a surf client, which brings its own; give it to TransportBuilder::bridge";
        if !self.roots.is_empty() {
            return Err(ConfigError::new("root certificates", "", problem));
        }
        if self.proxy.is_some() {
            return Err(ConfigError::new("proxy", "", problem));
        }
        Ok(())
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

/// The request as the client's middleware may see it; the guard adds what it may not.
fn message(client: &surf::Client, request: &Request) -> Result<surf::Request, surf::Error> {
    let base = request.base();
    let scheme = if base.is_https() { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{}{}", base.authority(), request.target()))?;
    let beside = Beside { connect_timeout: request.connect_timeout(), headers: Vec::new() };
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
