//! An address of this machine that never answers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A listener whose queue is full and never emptied: the system drops the packets of further clients, as a firewall
/// would.
#[derive(Debug)]
pub struct BlackHole {
    addr: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl BlackHole {
    /// Opens the listener and fills its queue.
    ///
    /// # Errors
    ///
    /// Fails if a socket cannot be opened, or if the queue never fills.
    pub fn new() -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        listener.listen(0)?;
        let addr = listener.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut queued = Vec::new();
        // A queue of zero takes one or two connections, depending on the system. The first one that waits shows that
        // it is full.
        for _ in 0..16 {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            let waited = client.connect_timeout(&addr.into(), Duration::from_millis(100));
            queued.push(client);
            if waited.is_err() {
                return Ok(Self { addr, _listener: listener, _queued: queued });
            }
        }
        Err(io::Error::other("the queue of the listener never filled"))
    }

    /// Returns the address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
