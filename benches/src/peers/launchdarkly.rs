//! Its parser is private, so it is reached through its client, over a transport that only hands
//! out chunks.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use eventsource_client::{Client as _, ClientBuilder, SSE};
use futures_core::Stream;
use launchdarkly_sdk_transport::{ByteStream, HttpTransport, Request, Response, ResponseFuture, TransportError};

use super::streams::{Chunks, drain};
use crate::digest::Sink;

pub(super) fn eventsource_client<S: Sink>(stream: &'static [u8], chunk: usize, sink: &mut S) {
    let body: ByteStream = Box::pin(Body(Chunks::new(stream, chunk, Bytes::from_static)));
    let transport = Canned(Arc::new(Mutex::new(Some(body))));
    let client = ClientBuilder::for_url("http://127.0.0.1/").expect("a valid URL").build_with_transport(transport);
    drain(client.stream(), |event| {
        if let Ok(SSE::Event(event)) = event {
            sink.event(&event.event_type, &event.data, event.id.as_deref().unwrap_or_default());
        }
    });
}

/// Answers the first request with the body.
#[derive(Clone)]
struct Canned(Arc<Mutex<Option<ByteStream>>>);

impl HttpTransport for Canned {
    fn request(&self, _: Request<Option<Bytes>>) -> ResponseFuture {
        let body = self.0.lock().expect("not poisoned").take();
        Box::pin(async {
            match body {
                Some(body) => Ok(Response::new(body)),
                None => std::future::pending().await,
            }
        })
    }
}

struct Body(Chunks<Bytes>);

impl Stream for Body {
    type Item = Result<Bytes, TransportError>;

    /// Never ends, since the client would reconnect: after the last chunk it waits forever.
    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.next_chunk().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(chunk))))
    }
}
