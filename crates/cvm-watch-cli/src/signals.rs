//! SIGINT and SIGTERM, which end a run early.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::exit::Exit;

/// How long a run may take to end after a signal. It takes milliseconds, unless the output is blocked
/// by a pipe without a reader.
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

/// The files that every run opens: two runtimes, the pipes of the signal handlers, a connection.
#[cfg(unix)]
const FILES: usize = 12;

/// Receives signals, on a separate thread: one is received even while the program is blocked.
pub(crate) struct Signals {
    received: watch::Receiver<Option<Signal>>,
}

impl Signals {
    /// Installs the handlers. From now on a signal does not kill the program; but if the program has
    /// not ended a second later, or when another signal comes, the signal thread ends it.
    ///
    /// Signals that the parent process has blocked are unblocked. Those that it ignores, as `nohup` and
    /// shells without job control do, stay ignored (where `/proc` says so, on Linux).
    ///
    /// # Errors
    ///
    /// The system gives no thread, or not the files that every run needs.
    pub(crate) fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        check_files()?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let mut listener = {
            let _context = runtime.enter();
            Listener::install()?
        };
        #[cfg(unix)]
        unblock()?;
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

/// Fails if the process may not open as many files as every run needs: without them tokio panics.
#[cfg(unix)]
fn check_files() -> io::Result<()> {
    use std::os::fd::AsFd;
    // The standard library opens stdin where the parent process has closed it.
    let stdin = io::stdin();
    let files: io::Result<Vec<_>> = (0..FILES).map(|_| stdin.as_fd().try_clone_to_owned()).collect();
    files.map(drop).map_err(|error| io::Error::other(format!("{error}; raise the limit of open files (ulimit -n)")))
}

/// A process inherits the signals that its parent has blocked, and a handler does not change that.
/// Threads that start later inherit the mask of this one.
#[cfg(unix)]
fn unblock() -> io::Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
    signals.thread_unblock().map_err(io::Error::from)
}

#[cfg(unix)]
struct Listener {
    /// Absent where the parent process ignores the signal.
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
    /// With a handler, writing beyond the limit of a file's size is an error and does not kill.
    _file_size: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Listener {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // A handler would undo that a signal is ignored, so this comes first.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let install = |kind: SignalKind| match is_ignored(&status, kind.as_raw_value()) {
            true => Ok(None),
            false => signal(kind).map(Some),
        };
        let file_size = SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32);
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            _file_size: install(file_size)?,
        })
    }

    async fn next(&mut self) -> Signal {
        async fn recv(signal: &mut Option<tokio::signal::unix::Signal>) {
            if let Some(signal) = signal
                && signal.recv().await.is_some()
            {
                return;
            }
            std::future::pending::<()>().await;
        }
        tokio::select! {
            () = recv(&mut self.interrupt) => Signal::Interrupt,
            () = recv(&mut self.terminate) => Signal::Terminate,
        }
    }
}

/// Whether the process ignores the signal, as `/proc/self/status` says: the lowest bit of the hexadecimal
/// mask is signal 1.
#[cfg(unix)]
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    u32::try_from(signal - 1).is_ok_and(|bit| mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1))
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000004002\nSigIgn:\t0000000000001002\nSigCgt:\t0\n";
        for (signal, expected) in [(2, true), (13, true), (1, false), (15, false), (0, false), (64, false), (99, false)]
        {
            assert_eq!(is_ignored(status, signal), expected, "{signal}");
        }
        assert!(!is_ignored("", 2) && !is_ignored("SigIgn:\txyz", 2));
    }
}
