//! The listening thread.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::connection::serve;
use crate::endpoint::Endpoint;
use crate::error::SimError;
use crate::log::ConnectionRecorder;

/// Connections that may wait to be accepted: thousands of clients may come at once.
const BACKLOG: u32 = 4096;

/// Pause after a failed accept, mostly for want of file descriptors; without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

#[cfg(feature = "tls")]
pub(crate) type Acceptor = tokio_rustls::TlsAcceptor;
/// No value exists without the feature.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
pub(crate) enum Acceptor {}

/// The server's thread; dropping this stops it and waits for its end.
pub(crate) struct Server {
    addr: SocketAddr,
    is_tls: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(addr: SocketAddr, tls: Option<Acceptor>, endpoint: Arc<Endpoint>) -> Result<Server, SimError> {
        let is_tls = tls.is_some();
        let (stop, stopped) = oneshot::channel();
        let (report, ready) = mpsc::channel();
        let run = move || match listen(addr) {
            Ok((runtime, listener, addr)) => {
                // When the receiver is gone, so is `stop`, and that ends the loop.
                let _ = report.send(Ok(addr));
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, tls, endpoint) => {}
                    }
                });
            }
            Err(error) => {
                let _ = report.send(Err(error));
            }
        };
        let spawned = thread::Builder::new().name("cvm-watch-sim".to_owned()).spawn(run);
        let thread = spawned.map_err(SimError::Thread)?;
        let addr = ready.recv().map_err(|lost| SimError::Thread(io::Error::other(lost)))??;
        Ok(Server { addr, is_tls, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) const fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported on stderr already.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

fn listen(addr: SocketAddr) -> Result<(Runtime, TcpListener, SocketAddr), SimError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(SimError::Thread)?;
    let entered = runtime.enter();
    let (listener, bound) = bind(addr).map_err(|source| SimError::Bind { addr, source })?;
    drop(entered);
    Ok((runtime, listener, bound))
}

fn bind(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart on the same port need not wait for old connections to time out.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(addr)?;
    let listener = socket.listen(BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

async fn accept(listener: TcpListener, tls: Option<Acceptor>, endpoint: Arc<Endpoint>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let recorder = endpoint.log().accepted(peer, Instant::now());
                // Without it the system may delay small packets; they still arrive.
                let _ = stream.set_nodelay(true);
                tokio::spawn(open(stream, tls.clone(), Arc::clone(&endpoint), recorder));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

#[cfg(feature = "tls")]
async fn open(stream: TcpStream, tls: Option<Acceptor>, endpoint: Arc<Endpoint>, mut recorder: ConnectionRecorder) {
    let Some(acceptor) = tls else {
        return serve(stream, endpoint, recorder).await;
    };
    match acceptor.accept(stream).await {
        Ok(stream) => serve(stream, endpoint, recorder).await,
        Err(_) => recorder.end(crate::log::End::TlsFailed, Instant::now()),
    }
}

#[cfg(not(feature = "tls"))]
async fn open(stream: TcpStream, _tls: Option<Acceptor>, endpoint: Arc<Endpoint>, recorder: ConnectionRecorder) {
    serve(stream, endpoint, recorder).await;
}
