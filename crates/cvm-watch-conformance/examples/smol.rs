//! A transport on smol: hyper's HTTP/1 connection over smol's sockets.
//! `cargo run -p cvm-watch-conformance --example smol` watches a simulated boot and runs the conformance suite
//! against it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cvm_watch_conformance::Suite;
use cvm_watch_driver::cvm_watch_core::{CloseCause, Timestamp};
use cvm_watch_driver::{Body, BootClock, Client, Head, Request, Settings, Timer, Transport, TransportError};
use cvm_watch_sim::Sim;
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use smol::net::TcpStream;
use smol_hyper::rt::FuturesIo;

struct Smol;
struct SmolTimer(BootClock);

type Connection = Pin<Box<http1::Connection<FuturesIo<TcpStream>, Empty<Bytes>>>>;

/// A body and the connection it comes over, which moves only while the body is read.
struct SmolBody(Incoming, Option<Connection>);

impl Transport for Smol {
    type Body = SmolBody;
    type Open = Pin<Box<dyn Future<Output = Result<(Head, SmolBody), TransportError>> + Send>>;

    fn open(&self, request: Request) -> Self::Open {
        Box::pin(async move {
            let address = (request.base().host().to_owned(), request.base().port());
            let addresses = smol::net::resolve(address).await;
            let mut addresses = addresses.map_err(|error| TransportError::new(CloseCause::Dns, error))?;
            // A retry starts with the next address.
            let retries = usize::try_from(request.attempt().number().saturating_sub(1)).unwrap_or_default();
            let first = retries.checked_rem(addresses.len()).unwrap_or_default();
            addresses.rotate_left(first);
            let socket = TcpStream::connect(&addresses[..])
                .await
                .map_err(|error| TransportError::new(of_io(error.kind()), error))?;
            let mut message = hyper::Request::get(request.target()).header("host", request.base().authority());
            for header in request.headers() {
                message = message.header(header.name(), header.value().as_bytes());
            }
            let message = message.body(Empty::new()).map_err(|error| TransportError::new(CloseCause::Other, error))?;
            let (mut sender, connection) = lenient().handshake(FuturesIo::new(socket)).await.map_err(fault)?;
            let mut connection: Option<Connection> = Some(Box::pin(connection));
            let mut response = Box::pin(sender.send_request(message));
            let response = poll_fn(|cx| {
                let broken = match &mut connection {
                    Some(driving) => match driving.as_mut().poll(cx) {
                        Poll::Ready(end) => {
                            connection = None;
                            end.err()
                        }
                        Poll::Pending => None,
                    },
                    None => None,
                };
                match (response.as_mut().poll(cx), broken) {
                    // The connection's own error says more than that the request was given up.
                    (Poll::Ready(Err(_)) | Poll::Pending, Some(error)) => Poll::Ready(Err(error)),
                    (response, _) => response,
                }
            });
            let (head, body) = response.await.map_err(fault)?.into_parts();
            let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            Ok((Head { status: head.status.as_u16(), headers: headers.collect() }, SmolBody(body, connection)))
        })
    }
}

impl Body for SmolBody {
    type Chunk = Bytes;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        loop {
            let moved = self.1.as_mut().is_some_and(|connection| connection.as_mut().poll(cx).is_ready());
            if moved {
                self.1 = None;
            }
            match std::task::ready!(Pin::new(&mut self.0).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(fault(error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Reads heads as browsers do.
fn lenient() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_headers(1000);
    builder
}

fn fault(error: hyper::Error) -> TransportError {
    let inner = io_kind(&error);
    let cause = if error.is_parse() {
        let too_large = error.to_string() == "message head is too large";
        if too_large { CloseCause::HeadTooLarge } else { CloseCause::NotHttp }
    } else if error.is_incomplete_message() {
        CloseCause::Ended
    } else {
        inner.map_or(CloseCause::Other, of_io)
    };
    TransportError::new(cause, error)
}

/// The first I/O error of the chain: hyper may wrap it in another error.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.kind()),
        None => error.source().and_then(io_kind),
    }
}

fn of_io(kind: io::ErrorKind) -> CloseCause {
    match kind {
        io::ErrorKind::ConnectionRefused => CloseCause::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => CloseCause::Reset,
        io::ErrorKind::UnexpectedEof => CloseCause::Truncated,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => CloseCause::NotHttp,
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => CloseCause::HostUnreachable,
        _ => CloseCause::Other,
    }
}

/// smol's timer ends with an `Instant`; a watch only wants to know that it ended.
struct Sleep(smol::Timer);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

impl Timer for SmolTimer {
    type Sleep = Sleep;

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        Sleep(smol::Timer::after(at.since(self.now())))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::builder().speed(10.0).start()?;
    let settings = Settings::builder().base_url(sim.base_url()).build()?;
    let client = Client::new(settings, Smol, SmolTimer(BootClock::new()));
    let watch = client.watch("my-cvm", "running").on_event(|event| println!("{event:?}"));
    let state = smol::block_on(async { watch.await })?;
    println!("done: {}\n", state.status);

    let suite = Suite::new(|_| Ok((Smol, SmolTimer(BootClock::new()))));
    let no_tls = "this example speaks no TLS";
    let suite =
        ["tls", "tls-untrusted", "tls-expired", "tls-wrong-host", "tls-broken", "tls-truncated", "drop-under-tls"]
            .iter()
            .fold(suite, |suite, name| suite.skip(name, no_tls));
    let greedy = "hyper reads on within one poll, and smol's sockets, unlike ours, do not make it pause";
    let suite = suite.skip("endless-interim", greedy).skip("endless-chunk-size", greedy);
    let report = smol::block_on(suite.run());
    println!("{report}");
    report.assert_passed();
    Ok(())
}
