//! SIGINT and SIGTERM: what ends a run early.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::exit::Exit;

/// How long a run may take to end once a signal came. It takes milliseconds, unless the output is
/// stuck in a pipe that nobody reads.
const PATIENCE: Duration = Duration::from_secs(1);

/// A signal that asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl From<Signal> for Exit {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Interrupt => Self::Interrupted,
            Signal::Terminate => Self::Terminated,
        }
    }
}

/// The ear for signals. It has a thread of its own, so that one is heard whatever the program does.
pub(crate) struct Signals {
    received: watch::Receiver<Option<Signal>>,
}

impl Signals {
    /// Begins to listen. From now on a signal does not kill the program; but if that has not ended
    /// a second later, or when another signal comes, it is ended here.
    pub(crate) fn listen() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let mut listener = {
            let _context = runtime.enter();
            Listener::install()?
        };
        let (sender, received) = watch::channel(None);
        let listen = async move {
            let signal = listener.next().await;
            sender.send_replace(Some(signal));
            let _ = tokio::time::timeout(PATIENCE, listener.next()).await;
            std::process::exit(Exit::from(signal).into());
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(Self { received })
    }

    /// Ends with the first signal, also if it came before.
    pub(crate) fn first(&self) -> impl Future<Output = Signal> + Send + use<> {
        let mut received = self.received.clone();
        async move {
            match received.wait_for(Option::is_some).await.map(|signal| *signal) {
                Ok(Some(signal)) => signal,
                // The listener is gone, and with it every signal.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// The first signal, if one came.
    pub(crate) fn received(&self) -> Option<Signal> {
        *self.received.borrow()
    }
}

#[cfg(unix)]
struct Listener {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Listener {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(windows)]
struct Listener(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Listener {
    fn install() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> Signal {
        self.0.recv().await;
        Signal::Interrupt
    }
}
