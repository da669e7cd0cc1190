//! The network of async-std.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_std::io::{Read, Write};
use async_std::net::{TcpStream, ToSocketAddrs};
use cvm_watch_http1::{Net, Socket, set_socket_options};

/// Connections and sleep of async-std.
#[derive(Clone, Copy, Debug)]
pub struct AsyncStd;

/// A TCP socket of async-std.
#[derive(Debug)]
pub struct AsyncStdSocket(TcpStream);

impl Net for AsyncStd {
    type Socket = AsyncStdSocket;
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs().await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<AsyncStdSocket> {
        let stream = TcpStream::connect(address).await?;
        set_socket_options(&stream);
        Ok(AsyncStdSocket(stream))
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Box::pin(async_std::task::sleep(duration))
    }
}

impl Socket for AsyncStdSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_std::net::TcpListener;

    #[async_std::test]
    async fn a_connection_sends_without_delay_and_probes_a_silent_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = AsyncStd::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = socket2::SockRef::from(&client.0);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    }

    #[async_std::test]
    async fn a_name_that_does_not_exist_is_an_error() {
        assert!(AsyncStd::resolve("cvm-watch-surf.invalid", 443).await.is_err());
    }
}
