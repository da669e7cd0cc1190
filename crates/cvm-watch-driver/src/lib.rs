#![doc = include_str!("../README.md")]

mod account;
mod callback;
mod client;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod clock;
mod connect_options;
mod connection;
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
    API_KEY_VARIABLE, BASE_URL_VARIABLE, BaseUrl, PROFILES_VARIABLE, Settings, SettingsBuilder, Source, Sources,
    TOKEN_VARIABLE, WORKSPACE_VARIABLE, profile_names,
};
pub use callback::CallbackResult;
pub use client::{Client, ClientBuilder, NetworkTransport};
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub use clock::BootClock;
pub use connect_options::{ConnectOptions, ProxyChoice};
pub use error::WatchError;
pub use fleet_handle::{FleetFuture, FleetHandle};
pub use observed::Observed;
pub use pool::{Pool, PoolDriver};
pub use transport::{Body, Head, Request, Timer, Transport, TransportError};
pub use update::Update;
pub use watch_handle::{WatchFuture, WatchHandle};
