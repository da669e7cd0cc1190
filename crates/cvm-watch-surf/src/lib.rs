#![doc = include_str!("../README.md")]

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
    MemberId, RejectCause, Rejection, RetryCause, ServerError, ServerTimeout, TlsFault, Until,
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

/// Collects what a [`Client`] is made with.
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
