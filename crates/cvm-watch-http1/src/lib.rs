//! For people who build a client on [`cvm-watch-driver`](https://docs.rs/cvm-watch-driver) for an async runtime of
//! theirs: HTTP/1.1, TLS and proxies over any runtime. `cvm-watch-hyper` and `cvm-watch-surf` are made
//! of it; a program needs one of those, not this.
//!
//! Implement [`Net`] for the runtime: name lookup, TCP connections and sleep. [`Http1Transport`] is then
//! a [`Transport`](https://docs.rs/cvm-watch-driver/latest/cvm_watch_driver/trait.Transport.html), [`NetTimer`] a [`Timer`](https://docs.rs/cvm-watch-driver/latest/cvm_watch_driver/trait.Timer.html), and
//! `cvm_watch_driver::Client<Http1Transport<N>, NetTimer<N>>` a client with a builder.
//!
//! - **Connections**: HTTP/1.1 by hyper, a separate connection for each attempt, no pool, no task.
//!   Dropping an attempt closes its socket at once. The addresses of a host are tried in turn, 250 ms
//!   apart (RFC 8305); `localhost` is this machine without a name lookup. TCP keep-alive and no-delay are
//!   on. After each 64 KiB the task yields, so that deadlines and aborts are noticed in any flood.
//! - **TLS**: rustls with ring. The machine's certificate authorities are trusted (`SSL_CERT_FILE` and
//!   `SSL_CERT_DIR` are honoured), and those given by
//!   [`ConnectOptions::root_certificates`](https://docs.rs/cvm-watch-driver/latest/cvm_watch_driver/struct.ConnectOptions.html). The
//!   feature `bundled-roots` adds Mozilla's. If there are none, building the client fails. For plain
//!   `http` none are loaded.
//! - **Proxies**: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, or
//!   [`ConnectOptions::proxy`](https://docs.rs/cvm-watch-driver/latest/cvm_watch_driver/struct.ConnectOptions.html): HTTP proxies by `CONNECT` (for
//!   plain `http` as well, so that the proxy neither rewrites the request nor delays events) and SOCKS 5,
//!   where the proxy looks up the name. A base URL on this machine is reached directly. A proxy that is
//!   named but cannot be used is an error, never bypassed.
//! - **Redirects** are never followed.

mod connect;
mod exchange;
mod fault;
mod no_proxy;
mod proxy;
mod socks;
mod stream;
mod timer;
mod tls;
mod transport;
mod trust;
mod tunnel;

#[cfg(test)]
mod scripted;

pub use connect::{Connector, Net, set_socket_options};
pub use exchange::Http1Body;
pub use fault::close_cause;
pub use stream::Socket;
pub use timer::NetTimer;
pub use transport::Http1Transport;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
