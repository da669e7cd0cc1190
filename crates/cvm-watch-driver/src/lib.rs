//! The async loop that executes [`cvm-watch-core`](https://docs.rs/cvm-watch-core) over any HTTP stack: implement
//! [`Transport`] and [`Timer`], and [`Client`] does the rest. No runtime and no HTTP library is in its
//! tree, and nothing is spawned.
//!
//! - [`Client::watch`] gives a [`WatchHandle`]: await it for the state at the target, or read it as a
//!   `Stream` of [`Update`]s.
//! - [`Client::watch_all`] gives a [`FleetHandle`] for several CVMs over a few streams.
//! - [`Client::pool`] gives a [`Pool`], whose watches join and leave while they share a few streams, and
//!   the [`PoolDriver`] that runs them.
//! - [`Settings`] holds the base URL, the API key and where they were found: code, the environment or a
//!   profile of the `phala` command line.
//! - The feature `metrics` counts attempts, retries by cause, events, open streams, outcomes and the time to
//!   target of every watch and pool, through the `metrics` facade.
//! - Attempts are logged by `tracing` at debug level, never with a secret.
//!
//! ```
//! use std::future::{Ready, ready};
//! use std::pin::Pin;
//! use std::task::{Context, Poll};
//! use cvm_watch_core::Timestamp;
//! use cvm_watch_driver::{Body, BootClock, Client, Head, Request, Settings, Timer, Transport, TransportError};
//!
//! /// A transport that has every answer at hand.
//! struct Canned;
//! struct CannedBody(Option<&'static [u8]>);
//!
//! impl Transport for Canned {
//!     type Body = CannedBody;
//!     type Open = Ready<Result<(Head, CannedBody), TransportError>>;
//!
//!     fn open(&self, request: Request) -> Self::Open {
//!         assert_eq!(request.base().authority(), "127.0.0.1:8080");
//!         let headers = vec![("content-type".to_owned(), b"text/event-stream".to_vec())];
//!         let body = CannedBody(Some(b"event: complete\ndata: {\"status\":\"running\"}\n\n"));
//!         ready(Ok((Head { status: 200, headers }, body)))
//!     }
//! }
//!
//! impl Body for CannedBody {
//!     type Chunk = &'static [u8];
//!
//!     fn poll_chunk(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<&'static [u8], TransportError>>> {
//!         Poll::Ready(self.0.take().map(Ok))
//!     }
//! }
//!
//! struct Clock(BootClock);
//!
//! impl Timer for Clock {
//!     type Sleep = std::future::Pending<()>;
//!
//!     fn now(&self) -> Timestamp {
//!         self.0.now()
//!     }
//!
//!     fn sleep_until(&self, _: Timestamp) -> Self::Sleep {
//!         std::future::pending()
//!     }
//! }
//!
//! # fn block_on<F: std::future::IntoFuture>(task: F) -> F::Output {
//! #     let mut task = std::pin::pin!(task.into_future());
//! #     loop {
//! #         if let Poll::Ready(output) = std::future::Future::poll(task.as_mut(), &mut Context::from_waker(std::task::Waker::noop())) {
//! #             return output;
//! #         }
//! #     }
//! # }
//! let settings = Settings::builder().base_url("http://127.0.0.1:8080/api/v1").build()?;
//! let client = Client::new(settings, Canned, Clock(BootClock::new()));
//! let state = block_on(client.watch("my-cvm", "running"))?;
//! assert_eq!(state.status, "running");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rules for a transport are on the [`Transport`] trait.

mod account;
mod callback;
mod client;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod clock;
mod connect_options;
mod connection;
mod credential_provider;
mod engine;
mod error;
mod fleet_handle;
mod handle;
mod membership;
#[cfg(feature = "metrics")]
pub mod metrics;
mod observed;
mod pool;
mod ready;
mod run;
mod setters;
mod shared;
mod sleep;
mod transport;
mod update;
mod watch_handle;

pub use cvm_watch_core;

pub use account::{
    API_KEY_VARIABLE, BASE_URL_VARIABLE, BaseUrl, PROFILE_VARIABLE, PROFILES_VARIABLE, Settings, SettingsBuilder,
    Source, Sources, TOKEN_VARIABLE, WORKSPACE_VARIABLE, profile_names,
};
pub use callback::CallbackResult;
pub use client::{Client, ClientBuilder, NetworkTransport};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use clock::BootClock;
pub use connect_options::{ConnectOptions, ProxyChoice};
pub use credential_provider::{CredentialFuture, CredentialProvider, provider_fn};
pub use error::WatchError;
pub use fleet_handle::{FleetFuture, FleetHandle};
pub use observed::Observed;
pub use pool::{Pool, PoolDriver};
pub use transport::{Body, Head, Request, Timer, Transport, TransportError};
pub use update::Update;
pub use watch_handle::{WatchFuture, WatchHandle};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
