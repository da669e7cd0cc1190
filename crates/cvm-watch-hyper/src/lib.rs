#![doc = include_str!("../README.md")]

mod net;

pub use cvm_watch_driver as driver;

pub use cvm_watch_driver::cvm_watch_core::{
    AttemptId, Backoff, CloseCause, Complete, ConfigError, CvmState, Event, FailEarly, Failure, MalformedReason,
    MemberId, RejectCause, Rejection, RetryCause, ServerError, ServerTimeout, TlsFault, Until,
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

/// Collects what a [`Client`] is made with.
pub type ClientBuilder = driver::ClientBuilder<HyperTransport>;

/// hyper over tokio as a transport, for a [`driver::Client`] of your own making.
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
