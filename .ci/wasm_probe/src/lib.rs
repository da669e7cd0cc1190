//! Runs a watch over a transport that has every answer at hand.

use std::future::{Future, Pending, Ready, pending, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use cvm_watch_driver::cvm_watch_core::Timestamp;
use cvm_watch_driver::{Body, Client, Head, Request, Settings, Timer, Transport, TransportError};

struct Canned;
struct CannedBody(Option<&'static [u8]>);
struct Stopped;

impl Transport for Canned {
    type Body = CannedBody;
    type Open = Ready<Result<(Head, CannedBody), TransportError>>;

    fn open(&self, _: Request) -> Self::Open {
        let headers = vec![("content-type".to_owned(), b"text/event-stream".to_vec())];
        ready(Ok((
            Head { status: 200, headers },
            CannedBody(Some(b"event: complete\ndata: {\"status\":\"running\"}\n\n")),
        )))
    }
}

impl Body for CannedBody {
    type Chunk = &'static [u8];

    fn poll_chunk(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<&'static [u8], TransportError>>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

impl Timer for Stopped {
    type Sleep = Pending<()>;

    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn sleep_until(&self, _: Timestamp) -> Pending<()> {
        pending()
    }
}

/// Returns 1 if the watch reaches its target.
#[unsafe(no_mangle)]
pub extern "C" fn watch() -> u32 {
    let Ok(settings) = Settings::builder().base_url("http://127.0.0.1/api/v1").build() else { return 0 };
    let client = Client::new(settings, Canned, Stopped);
    let mut watch = pin!(client.watch("my-cvm", "running").into_future());
    let cx = &mut Context::from_waker(Waker::noop());
    u32::from(matches!(watch.as_mut().poll(cx), Poll::Ready(Ok(state)) if state.is("running")))
}
