#![doc = include_str!("../README.md")]

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
