//! From a base URL to a stream of bytes: name lookup, TCP, proxy, TLS.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cvm_watch_driver::cvm_watch_core::{AttemptId, CloseCause, ConfigError};
use cvm_watch_driver::{BaseUrl, ConnectOptions, Head, TransportError};
use http_body_util::Full;
use socket2::{SockRef, TcpKeepalive};

use crate::exchange::{Http1Body, exchange};
use crate::fault::{self, close_cause};
use crate::proxy::{Protocol, Proxies, Proxy, Refusal, host_and_port};
use crate::stream::{Fair, Socket, Stream};
use crate::tls::TlsStream;
use crate::trust::{Trust, server_name};
use crate::{socks, tunnel};

/// How long an address is tried alone before the next one is tried as well (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How long to wait for the body of a proxy's refusal.
const PATIENCE: Duration = Duration::from_secs(1);

/// TCP keep-alive: the silence before the first probe, the time between probes, and their number. A dead peer is
/// noticed within two minutes.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// The network of an async runtime.
pub trait Net: Send + Sync + 'static {
    /// A TCP socket. Dropping it closes it at once.
    type Socket: Socket;
    /// A future that completes after some time.
    type Sleep: Future<Output = ()> + Send;

    /// Looks up the addresses of a host name.
    fn resolve(host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects to an address, and calls [`set_socket_options`].
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    /// Returns a future that completes after this time.
    fn sleep(duration: Duration) -> Self::Sleep;

    /// Returns the time of the clock that [`sleep`](Self::sleep) uses: by default that of the standard library. A
    /// runtime whose clock can be paused in tests returns the time of that clock.
    fn now() -> Instant {
        Instant::now()
    }
}

/// Sets the options of every connection: no delay, and keep-alive probes after a minute of silence. Errors are
/// ignored, since the connection works without these options.
pub fn set_socket_options<'s>(socket: impl Into<SockRef<'s>>) {
    let socket = socket.into();
    let (idle, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
    let _ = socket.set_tcp_keepalive(&keepalive);
    let _ = socket.set_tcp_nodelay(true);
}

/// Sends requests, each over its own connection. Cheap to clone.
pub struct Connector<N> {
    parts: Arc<Parts>,
    net: PhantomData<fn() -> N>,
}

struct Parts {
    trust: Trust,
    proxies: Proxies,
}

impl<N: Net> Connector<N> {
    /// Makes a connector with these options. The environment is read now, the machine's trusted certificates when the
    /// first connection needs them.
    ///
    /// # Errors
    ///
    /// Fails if a root certificate cannot be read.
    pub fn new(options: &ConnectOptions) -> Result<Self, ConfigError> {
        let trust = Trust::new(options.root_certificate_pems())?;
        let proxies = Proxies::new(options.proxy_choice().clone());
        Ok(Self { parts: Arc::new(Parts { trust, proxies }), net: PhantomData })
    }

    /// Prepares for connections to this base URL, and returns the secrets of the proxy, for redaction.
    ///
    /// # Errors
    ///
    /// Fails if the proxy cannot be used. For `https` also if a certificate cannot name the host, or if there are no
    /// trusted certificates.
    pub fn prepare(&self, base: &BaseUrl) -> Result<Vec<String>, ConfigError> {
        let proxy = self.parts.proxies.for_destination(base)?;
        if base.is_https() {
            server_name(base)?;
            self.parts.trust.config()?;
        }
        Ok(proxy.map(|proxy| proxy.secrets()).unwrap_or_default())
    }

    /// Sends a request to the host of this URL over a new connection, with TLS for `https`, and
    /// returns the head of the response and its body. A later attempt begins with another address of the host
    /// name.
    ///
    /// No task is spawned: dropping the future or the body closes the connection at once.
    ///
    /// # Errors
    ///
    /// Fails if no response head arrives, or if [`prepare`](Self::prepare) would fail. The error's source names host
    /// and port, and the proxy if there is one.
    pub async fn send(
        &self,
        destination: &BaseUrl,
        attempt: AttemptId,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<(Head, Http1Body), TransportError> {
        let refused = |error: ConfigError| TransportError::new(CloseCause::Other, error);
        let proxy = self.parts.proxies.for_destination(destination).map_err(refused)?;
        let mut place = host_and_port(destination);
        if let Some(proxy) = &proxy {
            place.push_str(&format!(" through {proxy}"));
        }
        let tls = match destination.is_https() {
            true => Some((self.parts.trust.config().map_err(refused)?, server_name(destination).map_err(refused)?)),
            false => None,
        };
        let stream = match &proxy {
            None => dial::<N>(destination, attempt).await.map_err(|(cause, error)| fault::at(cause, &*place, error))?,
            Some(proxy) => through::<N>(proxy, destination, attempt).await?,
        };
        let stream = match tls {
            None => stream,
            Some((config, name)) => {
                let stream = TlsStream::connect(config, name, stream).await;
                Box::new(stream.map_err(|error| fault::handshake(error, &place))?)
            }
        };
        exchange(stream, place, request).await
    }
}

impl<N> Clone for Connector<N> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts), net: PhantomData }
    }
}

impl<N> fmt::Debug for Connector<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// Opens a tunnel through the proxy.
async fn through<N: Net>(
    proxy: &Proxy,
    destination: &BaseUrl,
    attempt: AttemptId,
) -> Result<Box<dyn Stream>, TransportError> {
    let refused = |refusal: Refusal| refusal.of(proxy, &host_and_port(destination));
    let stream = dial::<N>(proxy.address(), attempt).await;
    let mut stream = stream.map_err(|(_, error)| refused(Refusal::because("cannot be reached", error)))?;
    match proxy.protocol {
        Protocol::Http => {
            let opened = tunnel::open(stream, destination, proxy.login.as_ref(), N::sleep(PATIENCE)).await;
            Ok(Box::new(opened.map_err(refused)?))
        }
        Protocol::Socks5 => {
            socks::open(&mut stream, destination, proxy.login.as_ref()).await.map_err(refused)?;
            Ok(stream)
        }
    }
}

/// Opens a TCP connection to the host of this URL.
async fn dial<N: Net>(to: &BaseUrl, attempt: AttemptId) -> Result<Box<dyn Stream>, (CloseCause, io::Error)> {
    let dns = |error| (CloseCause::Dns, error);
    let addresses = addresses::<N>(to.host(), to.port()).await.map_err(dns)?;
    if addresses.is_empty() {
        return Err(dns(io::Error::other("the host name has no address")));
    }
    match race::<N>(in_order(addresses, attempt)).await {
        Ok(socket) => Ok(Box::new(Fair::new(socket))),
        Err(error) => Err((close_cause(&error).unwrap_or(CloseCause::Other), error)),
    }
}

async fn addresses<N: Net>(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    // A name server could resolve `localhost` to another machine (RFC 6761, section 6.3).
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![(Ipv6Addr::LOCALHOST, port).into(), (Ipv4Addr::LOCALHOST, port).into()]);
    }
    N::resolve(host, port).await
}

/// The addresses with IPv6 and IPv4 in turn, as RFC 8305, section 4 has it. Each retry begins with the next one.
fn in_order(mut addresses: Vec<SocketAddr>, attempt: AttemptId) -> Vec<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    if attempt.number() > 1 {
        // Sorted first: a name server may return another order each time, so that the next address could be the same
        // again.
        addresses.sort();
    }
    let (preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut others = others.into_iter();
    let mut all: Vec<_> = preferred.into_iter().flat_map(|address| [Some(address), others.next()]).flatten().collect();
    all.extend(others);
    let retries = usize::try_from(attempt.number().saturating_sub(1)).unwrap_or_default();
    let first = retries.checked_rem(all.len()).unwrap_or_default();
    all.rotate_left(first);
    all
}

type Attempt<S> = Pin<Box<dyn Future<Output = io::Result<S>> + Send>>;

/// Tries the addresses in this order, and returns the first connection. If an address does not answer within 250 ms,
/// the next one is tried as well.
async fn race<N: Net>(addresses: Vec<SocketAddr>) -> io::Result<N::Socket> {
    let mut waiting = addresses.into_iter();
    let mut attempts: Vec<Attempt<N::Socket>> = Vec::new();
    let mut head_start = Box::pin(N::sleep(HEAD_START));
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    poll_fn(|cx| {
        loop {
            let attempted = attempts.len();
            let mut made = None;
            attempts.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(socket)) => {
                    made = Some(socket);
                    false
                }
                Poll::Ready(Err(error)) => {
                    last_error = error;
                    false
                }
                Poll::Pending => true,
            });
            if let Some(socket) = made {
                return Poll::Ready(Ok(socket));
            }
            let failed = attempts.is_empty() || attempts.len() < attempted;
            if waiting.len() > 0 && (failed || head_start.as_mut().poll(cx).is_ready()) {
                attempts.extend(waiting.next().map(|address| -> Attempt<_> { Box::pin(N::connect(address)) }));
                head_start = Box::pin(N::sleep(HEAD_START));
            } else if attempts.is_empty() {
                return Poll::Ready(Err(mem::replace(&mut last_error, io::ErrorKind::Other.into())));
            } else {
                return Poll::Pending;
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Context;

    use super::*;
    use crate::scripted::block_on;

    /// A network in which port 1 accepts, port 2 refuses and port 3 never answers, and in which
    /// time is over at once.
    struct Fake;

    struct FakeSocket(SocketAddr);

    impl Net for Fake {
        type Sleep = std::future::Ready<()>;
        type Socket = FakeSocket;

        async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            assert_eq!(host, "x.example");
            Ok(vec![(Ipv4Addr::LOCALHOST, port).into()])
        }

        async fn connect(address: SocketAddr) -> io::Result<FakeSocket> {
            match address.port() {
                1 => Ok(FakeSocket(address)),
                2 => Err(io::ErrorKind::ConnectionRefused.into()),
                _ => pending().await,
            }
        }

        fn sleep(_: Duration) -> Self::Sleep {
            ready(())
        }
    }

    impl Socket for FakeSocket {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    fn at(host: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, host), port).into()
    }

    #[test]
    fn an_address_that_refuses_or_does_not_answer_does_not_hold_up_the_next_one() {
        for before in [2, 3] {
            let made = block_on(race::<Fake>(vec![at(1, before), at(2, before), at(3, 1)]));
            assert_eq!(made.unwrap().0, at(3, 1));
        }
    }

    #[test]
    fn when_all_addresses_fail_the_last_error_is_reported() {
        let error = block_on(race::<Fake>(vec![at(1, 2), at(2, 2)])).map(|socket| socket.0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn ipv6_and_ipv4_are_tried_in_turn() {
        let parse = |text: &str| text.split(' ').map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (given, expected) in [
            ("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1", "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1"),
            ("1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1", "1.1.1.1:1 [::1]:1 [::2]:1 [::3]:1"),
            ("1.1.1.1:1 1.1.1.2:1", "1.1.1.1:1 1.1.1.2:1"),
        ] {
            assert_eq!(in_order(parse(given), AttemptId::from_number(1)), parse(expected));
        }
    }

    #[test]
    fn each_retry_begins_with_the_next_address_in_any_order_of_the_name_server() {
        let mut addresses = vec![at(3, 1), at(1, 1), at(2, 1)];
        let mut first = Vec::new();
        for attempt in 2..=7 {
            addresses.rotate_right(1);
            first.push(in_order(addresses.clone(), AttemptId::from_number(attempt))[0]);
        }
        assert_eq!(first, [at(2, 1), at(3, 1), at(1, 1), at(2, 1), at(3, 1), at(1, 1)]);
        assert_eq!(in_order(Vec::new(), AttemptId::from_number(u64::MAX)), []);
    }

    #[test]
    fn localhost_is_this_machine_without_a_name_lookup() {
        for (host, expected) in [
            ("localhost", "[::1]:7 127.0.0.1:7"),
            ("10.1.2.3", "10.1.2.3:7"),
            ("2001:db8::1", "[2001:db8::1]:7"),
            ("x.example", "127.0.0.1:7"),
        ] {
            let found = block_on(addresses::<Fake>(host, 7)).unwrap();
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected);
        }
    }
}
