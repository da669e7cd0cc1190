//! The clients under measurement, and many of them at once.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use cvm_watch_driver::cvm_watch_core::Event;
use cvm_watch_driver::{Timer, Transport, Update, WatchHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::script::Script;
use super::yardstick;

/// So many may be connecting at once: fewer than a listener's queue holds.
const WAVE: usize = 512;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A socket of tokio's, and nothing else.
    Tokio,
    /// A connection of hyper's.
    Hyper,
    /// cvm-watch over hyper.
    WatchHyper,
    /// A socket of async-std's, and nothing else.
    AsyncStd,
    /// cvm-watch over surf.
    WatchSurf,
}

impl Who {
    pub const ALL: [Self; 5] = [Self::Tokio, Self::Hyper, Self::WatchHyper, Self::AsyncStd, Self::WatchSurf];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tokio => "plain tokio reader",
            Self::Hyper => "bare hyper connection",
            Self::WatchHyper => "cvm-watch-hyper",
            Self::AsyncStd => "plain async-std reader",
            Self::WatchSurf => "cvm-watch-surf",
        }
    }
}

/// As among a program's arguments.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|who| who.to_string() == text).ok_or_else(|| format!("{text} is not a client"))
    }
}

/// The two clients of ours for a server.
pub struct Clients {
    pub hyper: cvm_watch_hyper::Client,
    pub surf: cvm_watch_surf::Client,
}

impl Clients {
    pub fn new(address: SocketAddr) -> Self {
        let base = format!("http://{address}/api/v1");
        Self {
            hyper: cvm_watch_hyper::Client::builder().base_url(&base).build().expect("a client"),
            surf: cvm_watch_surf::Client::builder().base_url(&base).build().expect("a client"),
        }
    }
}

/// A runtime of one thread for either kind.
pub enum Runtime {
    Tokio(tokio::runtime::Runtime),
    AsyncStd,
}

impl Runtime {
    pub fn of(who: Who) -> Self {
        match who {
            Who::Tokio | Who::Hyper | Who::WatchHyper => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                Self::Tokio(runtime.expect("a runtime"))
            }
            Who::AsyncStd | Who::WatchSurf => Self::AsyncStd,
        }
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Tokio(runtime) => runtime.block_on(future),
            Self::AsyncStd => async_std::task::block_on(future),
        }
    }

    /// `count` of what `make` makes, each a separate task, to the last one's end; the sum of what
    /// they answer. Each is given a permit to connect, which it must let go once connected.
    pub fn all<F>(&self, count: usize, make: impl Fn(Permit) -> F) -> u64
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let waves = Arc::new(Semaphore::new(WAVE));
        let task = |_| make(Permit::Wanted(Arc::clone(&waves)));
        match self {
            Self::Tokio(runtime) => runtime.block_on(async {
                let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(task(number))).collect();
                let mut sum = 0;
                for task in tasks {
                    sum += task.await.expect("a task that ends");
                }
                sum
            }),
            Self::AsyncStd => async_std::task::block_on(async {
                let tasks: Vec<_> = (0..count).map(|number| async_std::task::spawn(task(number))).collect();
                let mut sum = 0;
                for task in tasks {
                    sum += task.await;
                }
                sum
            }),
        }
    }
}

/// A place among those who may connect.
pub enum Permit {
    Wanted(Arc<Semaphore>),
    Held(OwnedSemaphorePermit),
    Gone,
}

impl Permit {
    pub async fn take(&mut self) {
        if let Self::Wanted(semaphore) = self {
            let permit = Arc::clone(semaphore).acquire_owned().await.expect("a semaphore that stays");
            *self = Self::Held(permit);
        }
    }

    pub fn release(&mut self) {
        *self = Self::Gone;
    }
}

/// A script, and how much of it there is. Counting takes longer than some reads, so it is done
/// before any clock runs.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub script: Script,
    response: u64,
    body: u64,
}

impl Expected {
    pub fn of(script: Script) -> Self {
        Self { script, response: script.response_bytes(), body: script.body_bytes() }
    }
}

/// One client from its request to the end of its watch. Answers with how many it checked: 1.
pub async fn watched<T: Transport, C: Timer>(watching: WatchHandle<T, C>, script: Script, mut permit: Permit) -> u64 {
    permit.take().await;
    let mut watching = watching;
    let mut states = 0;
    while let Some(update) = watching.next_update().await {
        match update {
            Update::Event { event: Event::State(_), .. } => {
                permit.release();
                states += 1;
            }
            Update::Retrying { cause, .. } => panic!("an attempt was lost: {cause}"),
            _ => {}
        }
    }
    let state = watching.await.expect("the target");
    assert!(state.is("running") && state.boot_progress.is_some(), "{state:?}");
    assert_eq!(states, script.states());
    1
}

/// Every candidate's way to the end of a script, `count` times at once.
pub fn finish(who: Who, runtime: &Runtime, address: SocketAddr, clients: &Clients, expected: Expected, count: usize) {
    let Expected { script, response, body } = expected;
    let id = script.to_string();
    let checked = match who {
        Who::Tokio => runtime.all(count, |mut permit| async move {
            permit.take().await;
            let bytes = yardstick::tokio_reader(address, script, |_| permit.release()).await;
            assert_eq!(bytes, response);
            1
        }),
        Who::Hyper => runtime.all(count, |mut permit| async move {
            permit.take().await;
            let bytes = yardstick::hyper_reader(address, script, |_| permit.release()).await;
            assert_eq!(bytes, body);
            1
        }),
        Who::WatchHyper => runtime.all(count, |permit| watched(clients.hyper.watch(&id, "running"), script, permit)),
        Who::AsyncStd => runtime.all(count, |mut permit| async move {
            permit.take().await;
            let bytes = yardstick::async_std_reader(address, script, |_| permit.release()).await;
            assert_eq!(bytes, response);
            1
        }),
        Who::WatchSurf => runtime.all(count, |permit| watched(clients.surf.watch(&id, "running"), script, permit)),
    };
    assert_eq!(checked, count as u64);
}
