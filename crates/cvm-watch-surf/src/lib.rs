//! Wait for a confidential VM on Phala Cloud to reach a status: the `cvm-watch` client on surf and
//! async-std.
//!
//! **surf, async-std and http-types are no longer maintained upstream.** They get no fixes, and
//! `cargo audit` warns of each (RUSTSEC-2025-0036, 2025-0052, 2026-0174 among others; warnings, no known
//! vulnerability on the paths used here). This crate is for programs that are built on them already; new
//! ones are better off with `cvm-watch-hyper`, which has the same `Client`. TLS and HTTP do not come
//! from them here: those are current rustls and hyper.
//!
//! ```no_run
//! use std::time::Duration;
//! use cvm_watch_surf::Client;
//!
//! #[async_std::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::from_env()?; // from_user_setup(): also from the phala command line's profiles
//!     let state = client
//!         .watch("my-cvm", "running")
//!         .interval(Duration::from_secs(5))
//!         .timeout(Duration::from_secs(120))
//!         .max_retries(20)
//!         .retry_delay(Duration::from_secs(5))
//!         .on_event(|event| println!("{event:?}"))
//!         .abort_on(async_std::task::sleep(Duration::from_secs(600)))
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
//! Any executor will do: sockets and timers are served by async-std's own thread, and no task is left
//! behind. Dropping a watch closes its socket at once; only a name lookup that the system has begun goes
//! on in async-std's blocking pool, and nothing waits for it.
//!
//! - **Back end**: none of surf's own. curl closes a dropped connection only when its next bytes arrive,
//!   async-h1 loses bodies that end with their connection, and the others carry known vulnerabilities.
//!   The [`Bridge`] takes their place: HTTP/1.1 on hyper, a fresh connection for each attempt, no pool,
//!   nothing buffered. The addresses of a host are tried in turn, 250 ms apart. TCP keep-alive and
//!   no-delay are on.
//! - **Your surf client**: [`SurfTransport::over`] takes it with its middleware and its back end, on the
//!   terms given there. The API key and the values of your own headers are added behind your middleware,
//!   and only to requests to the base URL.
//! - **Headers**: `http-types` holds only ASCII. Over the bridge other values pass beside it, both ways.
//! - **TLS**: rustls with ring. The machine's certificate authorities are trusted (`SSL_CERT_FILE` and
//!   `SSL_CERT_DIR` are honoured), and those given by [`ClientBuilder::root_certificates`]. The feature
//!   `bundled-roots` adds Mozilla's. If there are none, building the client fails. For plain `http` none
//!   are loaded.
//! - **Proxies**: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or [`ClientBuilder::proxy`]:
//!   HTTP proxies by `CONNECT` (for plain `http` as well, so that the proxy neither rewrites the request
//!   nor delays events) and SOCKS 5, where the proxy looks up the name. A base URL on this machine is
//!   reached directly. A proxy that is named but cannot be used, such as one over `https`, is an error,
//!   never bypassed.
//! - **Redirects** are never followed, by a middleware of yours neither.
//! - **Time**: the watch's deadlines are the only ones; surf's own limit of 60 seconds does not apply.

mod body;
mod bridge;
mod fault;
mod guard;
mod head;
mod net;
mod transport;

pub use cvm_watch_driver as driver;
pub use surf;

pub use cvm_watch_driver::cvm_watch_core::{
    AttemptId, Backoff, CloseCause, Complete, ConfigError, CvmState, Event, FailEarly, Failure, MalformedReason,
    MemberId, Mode, RejectCause, Rejection, RetryCause, ServerError, ServerTimeout, TlsFault, Until,
};
pub use cvm_watch_driver::{Update, WatchError};

pub use body::SurfBody;
pub use bridge::Bridge;
pub use net::{AsyncStd, AsyncStdSocket};
pub use transport::SurfTransport;

/// Starts watches. Cheap to clone; one is enough for a program.
///
/// Its methods are those of [`driver::Client`], among them [`builder`](driver::Client::builder),
/// [`from_env`](driver::Client::from_env), [`watch`](driver::Client::watch) and
/// [`watch_all`](driver::Client::watch_all). A handle can be awaited or polled on any executor.
///
/// ```no_run
/// # async fn watch() -> Result<(), Box<dyn std::error::Error>> {
/// let client = cvm_watch_surf::Client::builder().api_key("phak_example").build()?;
/// let state = client.watch("my-cvm", "running").await?;
/// # Ok(())
/// # }
/// ```
pub type Client = driver::Client<SurfTransport, AsyncStdTimer>;

/// Builds a [`Client`].
pub type ClientBuilder = driver::ClientBuilder<SurfTransport>;

/// Sleeps on async-std's timer, and reads a clock that goes on while the machine is suspended.
///
/// ```
/// use std::time::Duration;
/// use cvm_watch_surf::AsyncStdTimer;
/// use cvm_watch_surf::driver::Timer;
///
/// let timer = AsyncStdTimer::new();
/// let at = timer.now() + Duration::from_millis(5);
/// async_std::task::block_on(timer.sleep_until(at));
/// assert!(timer.now() >= at);
/// ```
pub type AsyncStdTimer = cvm_watch_http1::NetTimer<AsyncStd>;

/// A watch over surf: await it for the state, or read it as a `Stream` of updates.
pub type WatchHandle = driver::WatchHandle<SurfTransport, AsyncStdTimer>;

/// Many watches over surf that share a few streams: await it for the outcome of each, or read it as
/// a `Stream` of updates.
pub type FleetHandle = driver::FleetHandle<SurfTransport, AsyncStdTimer>;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
