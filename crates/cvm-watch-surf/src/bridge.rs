//! The default back end: hyper's HTTP/1.1 connection over async-std.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use async_std::io::{BufRead, Read};
use bytes::{Buf, Bytes};
use cvm_watch_driver::cvm_watch_core::{AttemptId, CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, Body, ConnectOptions, Head, TransportError};
use cvm_watch_http1::{Connector, Http1Body};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use surf::http::{self, Url, mime, url::Position};
use surf::{HttpClient, StatusCode};

use crate::head::{Beside, Exact};
use crate::net::AsyncStd;

/// A back end for surf that a watch can rely on: HTTP/1.1 on hyper over async-std, TLS by rustls.
///
/// Each request has its own connection and no task is spawned, so dropping the request or the response closes the
/// socket at once. Chunks are passed on as they arrive, a truncated body is an error, redirects are not followed, and
/// there is no time limit.
///
/// ```
/// use cvm_watch_surf::driver::{ConnectOptions, Settings};
/// use cvm_watch_surf::{AsyncStdTimer, Bridge, Client, SurfTransport, surf};
///
/// let bridge = Bridge::new(&ConnectOptions::new().no_proxy())?;
/// let mine = surf::Client::with_http_client(bridge).with(surf::middleware::Redirect::default());
/// let settings = Settings::builder().base_url("http://127.0.0.1:8080/api/v1").build()?;
/// let client = Client::new(settings.clone(), SurfTransport::over(mine, &settings)?, AsyncStdTimer::new());
/// # Ok::<(), cvm_watch_surf::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Bridge(Connector<AsyncStd>);

impl Bridge {
    /// Makes a back end with these options. The environment is read now, the machine's trusted certificates when the
    /// first connection needs them.
    ///
    /// # Errors
    ///
    /// Fails if a root certificate cannot be read.
    pub fn new(options: &ConnectOptions) -> Result<Self, ConfigError> {
        Ok(Self(Connector::new(options)?))
    }

    /// Prepares for requests to this base URL, so that errors are reported early. Returns the secrets of the proxy.
    pub(crate) fn prepare(&self, base: &BaseUrl) -> Result<Vec<String>, ConfigError> {
        self.0.prepare(base)
    }
}

#[surf::utils::async_trait]
impl HttpClient for Bridge {
    async fn send(&self, request: http::Request) -> http::Result<http::Response> {
        let failed = |error: TransportError| http::Error::new(StatusCode::BadGateway, error);
        let destination = destination(request.url()).map_err(failed)?;
        // A request that was not made by a watch counts as a first attempt.
        let attempt = request.ext().get().map_or(AttemptId::from_number(1), |beside: &Beside| beside.attempt);
        let message = message(request, &destination).await?;
        let (head, body) = self.0.send(&destination, attempt, message).await.map_err(failed)?;
        Ok(response(head, body))
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

/// Returns the destination, by the same parser as for the base URL.
fn destination(url: &Url) -> Result<BaseUrl, TransportError> {
    let origin = &url[..Position::BeforePath];
    BaseUrl::parse(origin).map_err(|error| TransportError::new(CloseCause::Other, error))
}

async fn message(mut request: http::Request, destination: &BaseUrl) -> http::Result<hyper::Request<Full<Bytes>>> {
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
    for (name, value) in request.ext().get::<Beside>().iter().flat_map(|beside| &beside.headers) {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    // `http-types` sets a content type for an empty body.
    if request.is_empty() == Some(true)
        && request.content_type().is_some_and(|found| found.essence() == mime::BYTE_STREAM.essence())
    {
        headers.remove(CONTENT_TYPE);
    }
    let body = request.take_body().into_bytes().await?;
    Ok(message.map(|()| Full::new(body.into())))
}

fn response(head: Head, body: Http1Body) -> http::Response {
    let exact = Exact::new(head);
    let mut response = http::Response::new(exact.replacement());
    // Without a length: hyper knows the framing, and reports a truncated body.
    let reader = Reader { body: Mutex::new(body), chunk: Bytes::new() };
    response.set_body(surf::Body::from_reader(reader, None));
    response.remove_header(http::headers::CONTENT_TYPE);
    for (name, value) in exact.ascii() {
        response.append_header(name, value);
    }
    response.ext_mut().insert(exact);
    response
}

/// A body for surf, without buffering.
struct Reader {
    /// surf requires bodies that are `Sync`, which a connection is not. The lock is never taken.
    body: Mutex<Http1Body>,
    chunk: Bytes,
}

impl BufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            let body = this.body.get_mut().unwrap_or_else(PoisonError::into_inner);
            match ready!(Pin::new(body).poll_chunk(cx)) {
                Some(chunk) => this.chunk = chunk.map_err(io::Error::other)?,
                None => break,
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let amount = amount.min(self.chunk.len());
        self.chunk.advance(amount);
    }
}

impl Read for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let chunk = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = chunk.len().min(out.len());
        for (out, byte) in out.iter_mut().zip(chunk) {
            *out = *byte;
        }
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}
