#![doc = include_str!("../README.md")]

mod account;
mod alarm;
mod client;
mod clock;
mod connect_options;
mod error;
mod fleet_run;
mod link;
mod observed;
mod run;
mod shared;
mod transport;
mod update;
mod watching;
mod watching_all;
mod woken;

pub use cvm_watch_core as core;

pub use account::{
    API_KEY_VARIABLE, BASE_URL_VARIABLE, BaseUrl, PROFILES_VARIABLE, Settings, SettingsBuilder, Source, Sources,
    profile_names,
};
pub use client::{Client, ClientBuilder, NetworkTransport};
pub use clock::BootClock;
pub use connect_options::{ConnectOptions, ProxyChoice};
pub use error::WatchError;
pub use observed::Observed;
pub use transport::{Body, Head, Request, Timer, Transport, TransportError};
pub use update::Update;
pub use watching::{Outcome, Verdict, Watching};
pub use watching_all::{MemberUpdate, Outcomes, WatchingAll};
