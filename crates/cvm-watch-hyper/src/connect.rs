//! From a base URL to a stream of bytes: name lookup, TCP, proxy, TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cvm_watch_driver::TransportError;
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use crate::fair::Fair;
use crate::fault::{self, DnsError};
use crate::proxy::{Kind, Proxy};

/// How long a connection may be silent before the system asks whether the peer is still there, how
/// often it asks again, and how many times: a peer that is gone is noticed within two minutes.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// A connection to the endpoint, whatever it is made of.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Makes connections to one origin.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<Resolver>,
    destination: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    proxy: Option<Proxy>,
}

impl Connector {
    pub(crate) fn new(
        destination: Uri,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        proxy: Option<Proxy>,
    ) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let (idle, interval, retries) = KEEPALIVE;
        tcp.set_keepalive(Some(idle));
        tcp.set_keepalive_interval(Some(interval));
        tcp.set_keepalive_retries(Some(retries));
        Self { tcp, destination, tls, proxy }
    }

    /// A new connection. `budget` is shared out between the addresses of the host.
    pub(crate) async fn connect(mut self, budget: Duration) -> Result<Box<dyn Connection>, TransportError> {
        // A little more than the budget, so that with a single address the core is the one to say
        // that time is up.
        self.tcp
            .set_connect_timeout(Some(budget.saturating_add(budget / 16).saturating_add(Duration::from_millis(50))));
        let tcp = self.dial().await?;
        let Some((tls, name)) = self.tls else { return Ok(Box::new(Fair::new(tcp))) };
        let stream = tls.connect(name, tcp).await.map_err(fault::handshake)?;
        Ok(Box::new(Fair::new(stream)))
    }

    async fn dial(&mut self) -> Result<TcpStream, TransportError> {
        let destination = self.destination.clone();
        let dialled = match &self.proxy {
            None => self.tcp.call(destination).await.map_err(|error| fault::connecting(error.into(), false)),
            Some(Proxy { uri, kind: Kind::Http { auth } }) => {
                let mut tunnel = Tunnel::new(uri.clone(), self.tcp.clone());
                if let Some(auth) = auth {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                tunnel.call(destination).await.map_err(|error| fault::connecting(error.into(), true))
            }
            Some(Proxy { uri, kind: Kind::Socks5 { auth } }) => {
                let mut socks = SocksV5::new(uri.clone(), self.tcp.clone());
                if let Some((user, password)) = auth {
                    socks = socks.with_auth(user.clone(), password.clone());
                }
                socks.call(destination).await.map_err(|error| fault::connecting(error.into(), true))
            }
        };
        dialled.map(TokioIo::into_inner)
    }
}

/// The system's resolver, with its errors marked.
#[derive(Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = DnsError;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, DnsError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DnsError>> {
        self.0.poll_ready(cx).map_err(|error: io::Error| DnsError(error))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.0.call(name);
        Box::pin(async { addresses.await.map_err(DnsError) })
    }
}
