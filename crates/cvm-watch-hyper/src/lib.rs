//! Wait for a confidential VM on Phala Cloud to reach a status: the `cvm-watch` client on hyper and
//! tokio.
//!
//! ```no_run
//! use std::time::Duration;
//! use cvm_watch_hyper::Client;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::from_env()?; // from_user_setup(): also from the phala command line's profiles
//!     let state = client
//!         .watch("my-cvm", "running")
//!         .interval(Duration::from_secs(5))
//!         .timeout(Duration::from_secs(120))
//!         .max_retries(20)
//!         .retry_delay(Duration::from_secs(5))
//!         .on_event(|event| println!("{event:?}"))
//!         .abort_on(tokio::signal::ctrl_c())
//!         .await?;
//!     println!("{} is {}", state.name.unwrap_or_default(), state.status);
//!     Ok(())
//! }
//! ```
//!
//! [`Client::watch_all`] watches many CVMs over four streams, since the endpoint allows a user five;
//! awaiting it gives the outcome of each.
//!
//! The handle is also a `Stream` of [`Update`]s, attempts and retries included; once it has ended,
//! awaiting it gives the outcome. [`WatchError`] keeps the failure and the socket's own error apart.
//!
//! It needs a tokio runtime with time and I/O enabled, of either flavour. Dropping a watch closes its
//! socket at once. Only a name lookup that the system has begun goes on in tokio's blocking pool, where
//! a runtime that is dropped would wait for it: end with `Runtime::shutdown_background` if that matters.
//!
//! - **Connections**: HTTP/1.1, a fresh connection for each attempt, no pool, no spawned task. The
//!   addresses of a host are tried in turn, 250 ms apart. TCP keep-alive and no-delay are on.
//! - **TLS**: rustls with ring. The machine's certificate authorities are trusted (`SSL_CERT_FILE` and
//!   `SSL_CERT_DIR` are honoured), and those given by [`ClientBuilder::root_certificates`]. The feature
//!   `bundled-roots` adds Mozilla's. If there are none, building the client fails. For plain `http` none
//!   are loaded.
//! - **Proxies**: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or [`ClientBuilder::proxy`]:
//!   HTTP proxies by `CONNECT` (for plain `http` as well, so that the proxy neither rewrites the request
//!   nor delays events) and SOCKS 5, where the proxy looks up the name. A base URL on this machine is
//!   reached directly. A proxy that is named but cannot be used, such as one over `https`, is an error,
//!   never bypassed.
//! - **Redirects** are never followed.

mod net;

pub use cvm_watch_driver as driver;

pub use cvm_watch_driver::cvm_watch_core::{
    AttemptId, Backoff, CloseCause, Complete, ConfigError, CvmState, Event, FailEarly, Failure, MalformedReason,
    MemberId, Mode, RejectCause, Rejection, RetryCause, ServerError, ServerTimeout, TlsFault, Until,
};
pub use cvm_watch_driver::{Update, WatchError};
pub use cvm_watch_http1::Http1Body as HyperBody;

pub use net::{Tokio, TokioSocket};

/// Starts watches. Cheap to clone; one is enough for a program.
///
/// Its methods are those of [`driver::Client`], among them [`builder`](driver::Client::builder),
/// [`from_env`](driver::Client::from_env), [`watch`](driver::Client::watch) and
/// [`watch_all`](driver::Client::watch_all). A handle has to be awaited or polled on a tokio runtime
/// with time and I/O enabled.
///
/// ```no_run
/// # async fn watch() -> Result<(), Box<dyn std::error::Error>> {
/// let client = cvm_watch_hyper::Client::builder().api_key("phak_example").build()?;
/// let state = client.watch("my-cvm", "running").await?;
/// # Ok(())
/// # }
/// ```
pub type Client = driver::Client<HyperTransport, TokioTimer>;

/// Builds a [`Client`].
pub type ClientBuilder = driver::ClientBuilder<HyperTransport>;

/// hyper over tokio as a transport, to make a [`driver::Client`] by hand.
///
/// ```
/// use cvm_watch_hyper::HyperTransport;
/// use cvm_watch_hyper::driver::{BaseUrl, ConnectOptions, NetworkTransport};
///
/// let base = BaseUrl::parse("http://127.0.0.1:8080/api/v1")?;
/// let (transport, secrets) = HyperTransport::new(&base, &ConnectOptions::new().no_proxy())?;
/// assert!(secrets.is_empty());
/// # Ok::<(), cvm_watch_hyper::ConfigError>(())
/// ```
pub type HyperTransport = cvm_watch_http1::Http1Transport<Tokio>;

/// Sleeps on tokio's timer, and reads a clock that goes on while the machine is suspended.
pub type TokioTimer = cvm_watch_http1::NetTimer<Tokio>;

/// A watch over hyper: await it for the state, or read it as a `Stream` of updates.
pub type WatchHandle = driver::WatchHandle<HyperTransport, TokioTimer>;

/// Many watches over hyper that share a few streams: await it for the outcome of each, or read it as
/// a `Stream` of updates.
pub type FleetHandle = driver::FleetHandle<HyperTransport, TokioTimer>;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
