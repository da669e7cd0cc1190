//! Clients that stay connected, so that what they hold can be measured.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cvm_watch_driver::cvm_watch_core::Event;
use cvm_watch_driver::{Timer, Transport, Update, WatchHandle};
use tokio::sync::Semaphore;

use super::client::{Clients, Permit, Runtime, Who};
use super::script::Script;
use super::yardstick;

const WAVE: usize = 512;
/// How long all may take to read what they are sent.
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts `count` clients and waits until each has read the whole of what the server sends before
/// its silence; then calls `measure` while all of them are connected.
pub fn stay<M>(
    who: Who,
    runtime: &Runtime,
    address: SocketAddr,
    clients: &Clients,
    script: Script,
    count: usize,
    measure: impl FnOnce() -> M,
) -> M {
    let there = Arc::new(AtomicUsize::new(0));
    let waves = Arc::new(Semaphore::new(WAVE));
    let response = script.response_bytes();
    let body = script.body_bytes();
    let id = script.to_string();
    runtime.block_on(async {
        for _ in 0..count {
            let there = Arc::clone(&there);
            let mut permit = Permit::Wanted(Arc::clone(&waves));
            match who {
                Who::Tokio => drop(tokio::spawn(async move {
                    permit.take().await;
                    let mut count = Count { wanted: response, there, permit };
                    yardstick::tokio_reader(address, script, |read| count.add(read)).await
                })),
                Who::Hyper => drop(tokio::spawn(async move {
                    permit.take().await;
                    let mut count = Count { wanted: body, there, permit };
                    yardstick::hyper_reader(address, script, |read| count.add(read)).await
                })),
                Who::WatchHyper => {
                    drop(tokio::spawn(held(clients.hyper.watch(&id, "running"), script, there, permit)));
                }
                Who::AsyncStd => drop(async_std::task::spawn(async move {
                    permit.take().await;
                    let mut count = Count { wanted: response, there, permit };
                    yardstick::async_std_reader(address, script, |read| count.add(read)).await
                })),
                Who::WatchSurf => {
                    drop(async_std::task::spawn(held(clients.surf.watch(&id, "running"), script, there, permit)));
                }
            }
        }
        let until = Instant::now() + PATIENCE;
        while there.load(Ordering::Relaxed) < count {
            assert!(Instant::now() < until, "only {} of {count} are there", there.load(Ordering::Relaxed));
            sleep(runtime, Duration::from_millis(20)).await;
        }
        // Once more, so that tasks that were woken are back at rest.
        sleep(runtime, Duration::from_millis(200)).await;
        measure()
    })
}

/// Bytes still to come.
struct Count {
    wanted: u64,
    there: Arc<AtomicUsize>,
    permit: Permit,
}

impl Count {
    fn add(&mut self, read: &[u8]) {
        self.permit.release();
        self.wanted = self.wanted.checked_sub(read.len() as u64).expect("no more bytes than the script has");
        if self.wanted == 0 {
            self.there.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn held<T: Transport, C: Timer>(
    watching: WatchHandle<T, C>,
    script: Script,
    there: Arc<AtomicUsize>,
    mut permit: Permit,
) {
    permit.take().await;
    let mut watching = watching;
    let mut states = 0;
    while let Some(update) = watching.next_update().await {
        if let Update::Event { event: Event::State(_), .. } = update {
            permit.release();
            states += 1;
            if states == script.states() {
                there.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    // A watch that ended is not held; the count then never gets there.
    pending::<()>().await;
}

async fn sleep(runtime: &Runtime, duration: Duration) {
    match runtime {
        Runtime::Tokio(_) => tokio::time::sleep(duration).await,
        Runtime::AsyncStd => async_std::task::sleep(duration).await,
    }
}
