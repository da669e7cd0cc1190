//! One attempt over hyper: a new HTTP/1.1 connection, carried by the future and then by the body.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use cvm_watch_driver::core::{CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, Head, Request, Transport, TransportError};
use http_body_util::Empty;
use hyper::header::{HOST, HeaderName, HeaderValue};

use crate::body::HyperBody;
use crate::connect::Connector;
use crate::exchange::exchange;
use crate::proxy::{self, ProxyChoice};
use crate::tls;

/// hyper as a transport. Each attempt has a connection of its own, which no task carries: dropping
/// the attempt closes the socket.
#[derive(Clone)]
pub struct HyperTransport(Connector);

/// Collects what a [`HyperTransport`] is made with. [`ClientBuilder`](crate::ClientBuilder) is the
/// usual way to one; this is for those who put a [`driver::Client`](crate::driver::Client) together
/// themselves.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TransportBuilder {
    roots: Vec<String>,
    proxy: ProxyChoice,
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
        self.proxy = ProxyChoice::Given(url.into());
        self
    }

    /// Goes through no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::Direct;
        self
    }

    /// A transport to this base URL, and what it knows that must never be shown (a proxy's
    /// password), for [`SettingsBuilder::mask`](cvm_watch_driver::SettingsBuilder::mask).
    ///
    /// Trusted certificates are read only for `https`.
    ///
    /// # Errors
    ///
    /// Certificates that cannot be read, or none at all; a proxy that cannot be used.
    pub fn build(self, base: &BaseUrl) -> Result<(HyperTransport, Vec<String>), ConfigError> {
        let (proxy, secrets) = self.proxy.resolve(base)?;
        let tls = if base.is_https() { Some((tls::connector(&self.roots)?, tls::server_name(base)?)) } else { None };
        let connector = Connector::new(proxy::destination(base)?, tls, proxy);
        Ok((HyperTransport(connector), secrets))
    }
}

impl Transport for HyperTransport {
    type Body = HyperBody;
    type Open = Pin<Box<dyn Future<Output = Result<(Head, HyperBody), TransportError>> + Send>>;

    fn open(&self, request: Request) -> Self::Open {
        Box::pin(open(self.0.clone(), request))
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport").finish_non_exhaustive()
    }
}

async fn open(connector: Connector, request: Request) -> Result<(Head, HyperBody), TransportError> {
    let message = message(&request)?;
    let stream = connector.connect(request.connect_timeout()).await?;
    exchange(stream, message).await
}

fn message(request: &Request) -> Result<hyper::Request<Empty<Bytes>>, TransportError> {
    // The core has checked all of this; what hyper would refuse all the same is told, not hidden.
    let refused = |error: hyper::http::Error| TransportError::new(CloseCause::Other, error);
    let mut message = hyper::Request::get(request.target())
        .header(HOST, request.base().authority())
        .body(Empty::new())
        .map_err(refused)?;
    for header in request.headers() {
        let name = HeaderName::from_bytes(header.name().as_bytes()).map_err(|error| refused(error.into()))?;
        let mut value = HeaderValue::from_bytes(header.value().as_bytes()).map_err(|error| refused(error.into()))?;
        value.set_sensitive(header.sensitive());
        message.headers_mut().append(name, value);
    }
    Ok(message)
}
