//! A transport on reqwest: `cargo run -p cvm-watch-conformance --example reqwest` watches a simulated boot
//! and runs the conformance suite against it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cvm_watch_conformance::Suite;
use cvm_watch_driver::cvm_watch_core::CloseCause;
use cvm_watch_driver::{Body, Client, Head, Request, Settings, Transport, TransportError};
use cvm_watch_hyper::TokioTimer;
use cvm_watch_sim::Sim;
use futures_core::Stream;

/// reqwest, told to do what a transport must: nothing by itself.
struct Reqwest(reqwest::Client);

impl Reqwest {
    fn new() -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .http1_only()
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .no_proxy()
            .build()?;
        Ok(Self(client))
    }
}

struct ReqwestBody(Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>);

impl Transport for Reqwest {
    type Body = ReqwestBody;
    type Open = Pin<Box<dyn Future<Output = Result<(Head, ReqwestBody), TransportError>> + Send>>;

    fn open(&self, request: Request) -> Self::Open {
        let scheme = if request.base().is_https() { "https" } else { "http" };
        let mut get = self.0.get(format!("{scheme}://{}{}", request.base().authority(), request.target()));
        for header in request.headers() {
            // As bytes: a Last-Event-ID may be outside ASCII.
            get = get.header(header.name(), header.value().as_bytes());
        }
        Box::pin(async {
            let response = get.send().await.map_err(fault)?;
            let headers = response.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            let head = Head { status: response.status().as_u16(), headers: headers.collect() };
            Ok((head, ReqwestBody(Box::pin(response.bytes_stream()))))
        })
    }
}

impl Body for ReqwestBody {
    type Chunk = Bytes;

    fn poll_chunk(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, TransportError>>> {
        self.0.as_mut().poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map_err(fault)))
    }
}

/// reqwest's errors hold what happened somewhere in their chain.
fn fault(error: reqwest::Error) -> TransportError {
    let mut cause = CloseCause::Other;
    let mut next: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_parse() {
                let too_large = error.to_string() == "message head is too large";
                cause = if too_large { CloseCause::HeadTooLarge } else { CloseCause::NotHttp };
            } else if error.is_incomplete_message() {
                cause = CloseCause::Ended;
            }
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as Kind;
            cause = match error.kind() {
                Kind::ConnectionRefused => CloseCause::Refused,
                Kind::ConnectionReset | Kind::BrokenPipe => CloseCause::Reset,
                Kind::UnexpectedEof => CloseCause::Truncated,
                Kind::InvalidInput | Kind::InvalidData => CloseCause::NotHttp,
                _ => cause,
            };
        }
        if error.to_string() == "dns error" {
            cause = CloseCause::Dns;
            break;
        }
        next = error.source();
    }
    TransportError::new(cause, error)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::builder().speed(10.0).start()?;
    let settings = Settings::builder().base_url(sim.base_url()).build()?;
    let client = Client::new(settings, Reqwest::new()?, TokioTimer::new());
    let state = client.watch("my-cvm", "running").on_event(|event| println!("{event:?}")).await?;
    println!("done: {}\n", state.status);

    let suite = Suite::new(|_| Ok((Reqwest::new()?, TokioTimer::new())));
    let no_tls = "this example is built without TLS; with reqwest's feature rustls it is the client's to set up";
    let suite =
        ["tls", "tls-untrusted", "tls-expired", "tls-wrong-host", "tls-broken", "tls-truncated", "drop-under-tls"]
            .iter()
            .fold(suite, |suite, name| suite.skip(name, no_tls));
    let greedy = "hyper reads on within one poll, and the socket is reqwest's own, which does not make it pause";
    let suite = suite.skip("endless-interim", greedy).skip("endless-chunk-size", greedy);
    let suite = suite.skip("next-address", "reqwest orders the addresses by itself");
    let suite = suite.skip("many-header-lines", "reqwest has no option for more than 100 lines");
    let report = suite.run().await;
    println!("{report}");
    report.assert_passed();
    Ok(())
}
