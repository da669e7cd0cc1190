//! The default back end: hyper's HTTP/1.1 connection over async-std.

mod connect;
mod exchange;
mod io;
mod reader;
#[cfg(test)]
mod scripted;
mod socks;
mod tunnel;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cvm_watch_driver::core::{CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, Head, TransportError};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use surf::http::{self, Mime, Url, mime, url::Position};
use surf::{HttpClient, StatusCode};

use self::connect::Stream;
use self::exchange::exchange;
use self::reader::Reader;
use crate::head::{Beside, Exact};
use crate::proxy::Proxies;
use crate::tls::{Trust, server_name};

/// How long the addresses of a host may take together when nobody says.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A back end for surf that a watch can rely on: HTTP/1.1 on hyper over async-std, TLS by rustls.
///
/// Each request has a connection of its own, which no task carries: dropping the request or the
/// response closes the socket at once. Chunks are handed on as they arrive, a body that is cut off is
/// an error, no redirect is followed, and there is no time limit but for TCP connects.
///
/// [`TransportBuilder::bridge`](crate::TransportBuilder::bridge) makes one for a surf client of yours.
#[derive(Clone)]
pub struct Bridge(Arc<Parts>);

struct Parts {
    trust: Trust,
    proxies: Proxies,
}

impl Bridge {
    pub(crate) fn new(trust: Trust, proxies: Proxies) -> Self {
        Self(Arc::new(Parts { trust, proxies }))
    }

    /// Looks up what requests to this base URL need, so that trouble shows now; gives what must
    /// never be shown.
    pub(crate) fn prepare(&self, base: &BaseUrl) -> Result<Vec<String>, ConfigError> {
        let proxy = self.0.proxies.to(base)?;
        if base.is_https() {
            server_name(base)?;
            self.0.trust.connector()?;
        }
        Ok(proxy.map(|proxy| proxy.secrets()).unwrap_or_default())
    }

    async fn connect(&self, destination: &BaseUrl, budget: Duration) -> Result<Box<dyn Stream>, TransportError> {
        let refused = |error: ConfigError| TransportError::new(CloseCause::Other, error);
        let proxy = self.0.proxies.to(destination).map_err(refused)?;
        let tls = match destination.is_https() {
            true => Some((self.0.trust.connector().map_err(refused)?, server_name(destination).map_err(refused)?)),
            false => None,
        };
        connect::connect(destination, proxy.as_ref(), tls, budget).await
    }
}

#[surf::utils::async_trait]
impl HttpClient for Bridge {
    async fn send(&self, request: http::Request) -> http::Result<http::Response> {
        let told = |error: TransportError| http::Error::new(StatusCode::BadGateway, error);
        let beside = request.ext().get::<Beside>().cloned();
        let budget = beside.as_ref().map_or(CONNECT_TIMEOUT, |beside| beside.connect_timeout);
        let destination = destination(request.url()).map_err(told)?;
        let message = message(request, &destination, beside).await?;
        let stream = self.connect(&destination, budget).await.map_err(told)?;
        let (head, reader) = exchange(stream, message).await.map_err(told)?;
        Ok(response(head, reader))
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

/// Where to connect to, what TLS names and what `Host` says, by the same parser as the base URL's.
fn destination(url: &Url) -> Result<BaseUrl, TransportError> {
    let origin = &url[..Position::BeforePath];
    BaseUrl::parse(origin).map_err(|error| TransportError::new(CloseCause::Other, error))
}

async fn message(
    mut request: http::Request,
    destination: &BaseUrl,
    beside: Option<Beside>,
) -> http::Result<hyper::Request<Full<Bytes>>> {
    let target = &request.url()[Position::BeforePath..Position::AfterQuery];
    let mut message = hyper::Request::new(());
    *message.method_mut() = request.method().as_ref().parse()?;
    *message.uri_mut() = target.parse()?;
    let headers = message.headers_mut();
    headers.insert(HOST, destination.authority().parse()?);
    for (name, values) in &request {
        if *name == http::headers::HOST {
            continue;
        }
        for value in values {
            headers.append(HeaderName::from_bytes(name.as_str().as_bytes())?, value.as_str().parse()?);
        }
    }
    for (name, value) in beside.iter().flat_map(|beside| &beside.headers) {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    // What `http-types` calls a body that is not there.
    if request.is_empty() == Some(true) && request.content_type().as_ref().map(Mime::essence) == Some(EMPTY.essence()) {
        headers.remove(CONTENT_TYPE);
    }
    let body = request.take_body().into_bytes().await?;
    Ok(message.map(|()| Full::new(body.into())))
}

fn response(head: Head, reader: Reader) -> http::Response {
    let exact = Exact::new(head);
    let mut response = http::Response::new(exact.stand_in());
    // No length: the framing is hyper's business, and a body cut short an error.
    response.set_body(surf::Body::from_reader(reader, None));
    response.remove_header(http::headers::CONTENT_TYPE);
    for (name, value) in exact.ascii() {
        response.append_header(name, value);
    }
    response.ext_mut().insert(exact);
    response
}

/// The content type that `http-types` gives to a body of which it knows nothing.
const EMPTY: Mime = mime::BYTE_STREAM;
