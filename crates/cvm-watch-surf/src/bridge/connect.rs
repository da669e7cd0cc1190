//! From an origin to a stream of bytes: name lookup, TCP, proxy, TLS.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_std::future::timeout;
use async_std::io::{Read, Write};
use async_std::net::{TcpStream, ToSocketAddrs};
use cvm_watch_driver::core::CloseCause;
use cvm_watch_driver::{BaseUrl, TransportError};
use futures_rustls::TlsConnector;
use futures_rustls::rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};

use super::{socks, tunnel};
use crate::fault;
use crate::proxy::{Kind, Proxy};

/// How long a connection may be silent before the system asks whether the peer is still there, how
/// often it asks again, and how many times: a peer that is gone is noticed within two minutes.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// A connection to an origin, whatever it is made of.
pub(crate) trait Stream: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Stream for T {}

/// A new connection. `budget` is shared out between the addresses of the host.
pub(crate) async fn connect(
    destination: &BaseUrl,
    proxy: Option<&Proxy>,
    tls: Option<(&TlsConnector, ServerName<'static>)>,
    budget: Duration,
) -> Result<Box<dyn Stream>, TransportError> {
    // A little more than the budget, so that with a single address the core is the one to say that
    // time is up.
    let budget = budget + budget / 16 + Duration::from_millis(50);
    let tcp = match proxy {
        None => dial(destination.host(), destination.port(), budget).await?,
        // Whatever goes wrong on the way through a proxy is the proxy's.
        Some(proxy) => {
            through(proxy, destination, budget).await.map_err(|error| TransportError::new(CloseCause::Proxy, error))?
        }
    };
    let Some((tls, name)) = tls else { return Ok(Box::new(tcp)) };
    Ok(Box::new(tls.connect(name, tcp).await.map_err(fault::handshake)?))
}

async fn through(
    proxy: &Proxy,
    destination: &BaseUrl,
    budget: Duration,
) -> Result<TcpStream, Box<dyn std::error::Error + Send + Sync>> {
    let mut tcp = dial(&proxy.host, proxy.port, budget).await?;
    match &proxy.kind {
        Kind::Http { auth } => tunnel::open(&mut tcp, destination, auth.as_deref()).await?,
        Kind::Socks5 { auth } => socks::open(&mut tcp, destination, auth.as_ref()).await?,
    }
    Ok(tcp)
}

/// A TCP connection to the first address that takes one.
async fn dial(host: &str, port: u16, budget: Duration) -> Result<TcpStream, TransportError> {
    let until = Instant::now() + budget;
    let looked_up = (host, port).to_socket_addrs().await;
    let addresses: Vec<_> = looked_up.map_err(|error| TransportError::new(CloseCause::Dns, error))?.collect();
    let stream = first_of(&addresses, until).await?;
    let (idle, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
    // A connection whose options cannot be set is still a connection.
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Tries one address after the other, each for its share of the time that is left.
async fn first_of(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, TransportError> {
    let mut last = TransportError::new(CloseCause::Dns, "the host name has no address");
    for (left, address) in (1_u32..=u32::try_from(addresses.len()).unwrap_or(u32::MAX)).rev().zip(addresses) {
        let share = until.saturating_duration_since(Instant::now()) / left;
        let error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("{address} did not answer within {share:?}")),
        };
        last = fault::connecting(error);
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_sim::RefusedPort;
    use socket2::{Domain, Socket, Type};
    use std::net::{Ipv4Addr, TcpListener};

    /// A listener whose queue is full and never emptied: the system drops what more clients send.
    fn black_hole() -> (SocketAddr, Vec<Socket>) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        loop {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let waited = client.connect_timeout(&addr, Duration::from_millis(100));
            sockets.push(client);
            if waited.is_err() {
                return (addr.as_socket().unwrap(), sockets);
            }
        }
    }

    #[async_std::test]
    async fn an_address_that_answers_nothing_takes_no_more_than_its_share() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (hole, _sockets) = black_hole();
        let answers = listener.local_addr().unwrap();
        let until = || Instant::now() + Duration::from_millis(600);
        assert_eq!(first_of(&[hole, answers], until()).await.unwrap().peer_addr().unwrap(), answers);
        assert_eq!(first_of(&[hole, hole], until()).await.unwrap_err().cause(), CloseCause::HostUnreachable);
    }

    #[async_std::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let refuses = RefusedPort::new().unwrap();
        let addresses = [refuses.addr(), listener.local_addr().unwrap()];
        let until = Instant::now() + Duration::from_secs(30);
        let stream = first_of(&addresses, until).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert_eq!(first_of(&addresses[..1], until).await.unwrap_err().cause(), CloseCause::Refused);
        assert_eq!(first_of(&[], until).await.unwrap_err().cause(), CloseCause::Dns);
    }

    #[async_std::test]
    async fn nothing_is_sent_late_and_a_dead_peer_is_asked_after() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = dial("127.0.0.1", port, Duration::from_secs(30)).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE.0);
    }

    #[async_std::test]
    async fn a_name_that_does_not_exist_is_told_as_that() {
        let error = dial("cvm-watch-surf.invalid", 443, Duration::from_secs(30)).await.unwrap_err();
        assert_eq!(error.cause(), CloseCause::Dns);
    }
}
