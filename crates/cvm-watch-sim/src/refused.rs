//! A port where connections are refused.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 where connections are refused, for as long as this lives.
///
/// It is bound but never listened on, so no other program can take it meanwhile.
///
/// ```
/// use std::{io::ErrorKind, net::TcpStream};
/// use cvm_watch_sim::RefusedPort;
///
/// let port = RefusedPort::new()?;
/// let error = TcpStream::connect(port.addr()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RefusedPort {
    addr: SocketAddr,
    _held: TcpSocket,
}

impl RefusedPort {
    /// Takes a free port.
    ///
    /// # Errors
    ///
    /// When the system has no socket or port to give.
    pub fn new() -> io::Result<RefusedPort> {
        let held = TcpSocket::new_v4()?;
        held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(RefusedPort { addr: held.local_addr()?, _held: held })
    }

    /// Where connections are refused.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A base URL at this port, like [`Sim::base_url`](crate::Sim::base_url).
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.addr, crate::request::BASE_PATH)
    }
}
