//! The transport over a runtime's network.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use cvm_watch_driver::cvm_watch_core::{CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, ConnectOptions, Head, NetworkTransport, Request, Transport, TransportError};
use http_body_util::Full;
use hyper::header::{HOST, HeaderName, HeaderValue};

use crate::connect::{Connector, Net};
use crate::exchange::Http1Body;
use crate::timer::NetTimer;

/// A transport: HTTP/1.1 over the network `N`. Each attempt has its own connection and no task is spawned, so
/// dropping the attempt closes the socket.
pub struct Http1Transport<N>(Connector<N>);

impl<N: Net> NetworkTransport for Http1Transport<N> {
    type Timer = NetTimer<N>;

    fn new(base: &BaseUrl, options: &ConnectOptions) -> Result<(Self, Vec<String>), ConfigError> {
        let connector = Connector::new(options)?;
        let secrets = connector.prepare(base)?;
        Ok((Self(connector), secrets))
    }
}

impl<N: Net> Transport for Http1Transport<N> {
    type Body = Http1Body;
    type Open = Pin<Box<dyn Future<Output = Result<(Head, Http1Body), TransportError>> + Send>>;

    fn open(&self, request: Request) -> Self::Open {
        let connector = self.0.clone();
        Box::pin(async move {
            let message = message(&request)?;
            connector.send(request.base(), request.attempt(), message).await
        })
    }
}

impl<N> Clone for Http1Transport<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<N> fmt::Debug for Http1Transport<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Transport").finish_non_exhaustive()
    }
}

fn message(request: &Request) -> Result<hyper::Request<Full<Bytes>>, TransportError> {
    // The core has validated the request, but hyper may refuse more.
    let refused = |error: hyper::http::Error| TransportError::new(CloseCause::Other, error);
    let mut message = hyper::Request::get(request.target())
        .header(HOST, request.base().authority())
        .body(Full::default())
        .map_err(refused)?;
    for header in request.headers() {
        let name = HeaderName::from_bytes(header.name().as_bytes()).map_err(|error| refused(error.into()))?;
        let mut value = HeaderValue::from_bytes(header.value().as_bytes()).map_err(|error| refused(error.into()))?;
        value.set_sensitive(header.sensitive());
        message.headers_mut().append(name, value);
    }
    Ok(message)
}
