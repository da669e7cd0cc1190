//! A transport on `fetch`: the body is read as it arrives, and dropping it aborts the request.
//!
//! What `fetch` cannot do, and what follows:
//!
//! - It does not say why a request failed: a refused connection, a certificate and a missing CORS header look alike. So
//!   every failure is retried.
//! - It shows a redirect's presence, not its status or `Location`.
//! - It shows only the response headers that the server exposes to the page's origin, `Content-Type` always and
//!   `Retry-After` seldom.
//! - The browser sets `User-Agent`, `Accept-Encoding` and `Host`, chooses the connection, and may reuse one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cvm_watch_driver::cvm_watch_core::CloseCause;
use cvm_watch_driver::{Body, Head, Request, Transport, TransportError};
use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestCache, RequestCredentials, RequestInit,
    RequestRedirect, Response, ResponseType,
};

/// The transport.
pub struct Fetch;

/// Aborts its request when it is dropped.
struct Abort(AbortController);

/// A response body that is read as it arrives.
pub struct FetchBody {
    reader: Option<ReadableStreamDefaultReader>,
    read: Option<JsFuture>,
    _abort: Abort,
}

impl Transport for Fetch {
    type Body = FetchBody;
    type Open = Pin<Box<dyn Future<Output = Result<(Head, FetchBody), TransportError>>>>;

    fn open(&self, request: Request) -> Self::Open {
        Box::pin(async move {
            // Made with the request, so that dropping the future aborts it.
            let abort = Abort(AbortController::new().map_err(failed)?);
            let response = fetch(&request, &abort).await.map_err(failed)?;
            if response.type_() == ResponseType::Opaqueredirect {
                // Any status of a redirect is final; the real one is hidden.
                let body = FetchBody { reader: None, read: None, _abort: abort };
                return Ok((Head { status: 302, headers: Vec::new() }, body));
            }
            let head = Head { status: response.status(), headers: headers(&response.headers()) };
            let reader = response.body().map(|body| body.get_reader().unchecked_into());
            Ok((head, FetchBody { reader, read: None, _abort: abort }))
        })
    }
}

impl Body for FetchBody {
    type Chunk = Vec<u8>;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, TransportError>>> {
        let this = &mut *self;
        let Some(reader) = &this.reader else { return Poll::Ready(None) };
        let read = this.read.get_or_insert_with(|| JsFuture::from(reader.read()));
        let result = ready!(Pin::new(read).poll(cx));
        this.read = None;
        Poll::Ready(match result {
            Ok(result) => chunk(&result).map(Ok),
            // It is not known whether the connection was reset or cut off.
            Err(error) => Some(Err(TransportError::new(CloseCause::Truncated, text(&error)))),
        })
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn fetch(request: &Request, abort: &Abort) -> Result<Response, JsValue> {
    let headers = Headers::new()?;
    for header in request.headers() {
        // Those that belong to the browser are ignored.
        headers.append(header.name(), header.value())?;
    }
    let init = RequestInit::new();
    init.set_method("GET");
    init.set_headers(&headers);
    init.set_signal(Some(&abort.0.signal()));
    init.set_redirect(RequestRedirect::Manual);
    init.set_cache(RequestCache::NoStore);
    init.set_credentials(RequestCredentials::Omit);
    let base = request.base();
    let scheme = if base.is_https() { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", base.authority(), request.target());
    let window = web_sys::window().ok_or("no window")?;
    let response = JsFuture::from(window.fetch_with_str_and_init(&url, &init)).await?;
    response.dyn_into()
}

fn headers(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    let entries = js_sys::try_iter(headers).ok().flatten().into_iter().flatten().flatten();
    let pair = |entry: JsValue| {
        let entry: Array = entry.dyn_into().ok()?;
        Some((entry.get(0).as_string()?, entry.get(1).as_string()?.into_bytes()))
    };
    entries.filter_map(pair).collect()
}

/// The bytes of a `{done, value}`; `None` at the end.
fn chunk(result: &JsValue) -> Option<Vec<u8>> {
    let value = Reflect::get(result, &"value".into()).ok()?;
    value.dyn_into::<Uint8Array>().ok().map(|bytes| bytes.to_vec())
}

fn failed(error: JsValue) -> TransportError {
    TransportError::new(CloseCause::Other, text(&error))
}

fn text(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |error| error.message().into())
}
