//! The network of tokio.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use cvm_watch_http1::{Net, Socket, set_socket_options};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::unconstrained;

/// Connections and sleep of tokio.
#[derive(Clone, Copy, Debug)]
pub struct Tokio;

/// A TCP socket of tokio.
#[derive(Debug)]
pub struct TokioSocket(TcpStream);

impl Net for Tokio {
    type Socket = TokioSocket;
    type Sleep = tokio::time::Sleep;

    async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<TokioSocket> {
        let stream = TcpStream::connect(address).await?;
        set_socket_options(&stream);
        Ok(TokioSocket(stream))
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Socket for TokioSocket {
    /// Tokio's cooperative budget is not applied here. It reports a readable socket as pending when the whole *task*
    /// has used its budget, which a watch would take for silence and could fail by a timer that is due. The transport
    /// and the driver have their own budgets.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let stream = &mut self.0;
        let read = pin!(unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)))).poll(cx);
        read.map_ok(|()| buffer.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::task::coop;

    use super::*;

    #[tokio::test]
    async fn bytes_that_arrived_are_read_however_much_the_task_has_done() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Tokio::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"bytes").await.unwrap();
        client.0.readable().await.unwrap();
        poll_fn(|cx| {
            // The caller's own work in the same task.
            while pin!(coop::consume_budget()).poll(cx).is_ready() {}
            let mut space = [0; 8];
            let read = client.poll_read(cx, &mut space);
            assert!(matches!(read, Poll::Ready(Ok(5))), "{read:?}");
            assert_eq!(&space[..5], b"bytes");
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_connection_sends_without_delay_and_probes_a_silent_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Tokio::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = socket2::SockRef::from(&client.0);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    }
}
