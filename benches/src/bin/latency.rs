//! How long from the server's write to the caller's event, and from the caller's abort to the
//! closed socket, beside plain readers. One clock for both processes.
//!
//! `cargo run --release --bin latency`

use std::collections::HashMap;
use std::env::args;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use cvm_watch_benches::report::{Table, machine};
use cvm_watch_benches::sockets::client::{Clients, Runtime, Who};
use cvm_watch_benches::sockets::process::{self, Server, monotonic};
use cvm_watch_benches::sockets::script::Script;
use cvm_watch_benches::sockets::{CLIENT, SERVE, server, yardstick};
use cvm_watch_driver::cvm_watch_core::{Event, Failure};
use cvm_watch_driver::{Timer, Transport, Update, WatchError, WatchHandle};
use tokio::sync::oneshot;

/// Far enough apart that the reader is asleep when the next one comes.
const EVENTS: Script = Script::Timed { states: 2000, pause: Duration::from_millis(2) };
const ABORTS: u32 = 200;
/// How long an aborted watch has been open before.
const OPEN: Duration = Duration::from_millis(4);
/// How often everything is done; the figures of all rounds are taken together.
const ROUNDS: usize = 3;

/// In which way a watch is ended.
const WAYS: [&str; 4] =
    ["dropped while it streams", "abort_on while it streams", "dropped before the head", "abort_on before the head"];

fn main() {
    let mut arguments = args().skip(1);
    match arguments.next().as_deref() {
        Some(SERVE) => server::serve(),
        Some(CLIENT) => client(&arguments.collect::<Vec<_>>()),
        _ => compare(),
    }
}

fn compare() {
    println!("{}\n", machine());
    let head = ["median, µs", "p90", "p99", "most"];
    let mut table = Table::new(["From write to event"].into_iter().chain(head));
    let mut latencies: Vec<Vec<u64>> = Who::ALL.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (who, latencies) in Who::ALL.into_iter().zip(&mut latencies) {
            let server = Server::start();
            let measured: Vec<u64> = process::client(&["events".into(), who.to_string(), server.address.to_string()]);
            assert_eq!(measured.len(), EVENTS.states() as usize);
            latencies.extend(measured);
        }
    }
    for (who, latencies) in Who::ALL.into_iter().zip(latencies) {
        table.row([who.name().to_owned()].into_iter().chain(quantiles(latencies)));
    }
    table.print();
    println!();

    let mut table = Table::new(["From abort to closed socket"].into_iter().chain(head));
    for (way, name) in WAYS.into_iter().enumerate() {
        for who in [Who::Tokio, Who::WatchHyper, Who::WatchSurf] {
            if who == Who::Tokio && way != 0 {
                continue;
            }
            let latencies = (0..ROUNDS).flat_map(|_| aborts(who, way)).collect();
            table.row([format!("{}, {name}", who.name())].into_iter().chain(quantiles(latencies)));
        }
    }
    table.print();
}

fn quantiles(mut latencies: Vec<u64>) -> [String; 4] {
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    [0.5, 0.9, 0.99, 1.0].map(|share| format!("{:.0}", at(share)))
}

/// The times from each abort to the moment when the server saw it.
fn aborts(who: Who, way: usize) -> Vec<u64> {
    let mut server = Server::start();
    let arguments = ["aborts".to_owned(), who.to_string(), way.to_string(), server.address.to_string()];
    let aborted: Vec<u64> = process::client(&arguments);
    let closed: HashMap<String, u64> = (0..ABORTS)
        .map(|_| {
            let line = server.line();
            let (id, time) = line.strip_prefix("closed ").and_then(|rest| rest.split_once(' ')).expect("a closed line");
            (id.to_owned(), time.parse().expect("a time"))
        })
        .collect();
    assert_eq!((aborted.len(), closed.len()), (ABORTS as usize, ABORTS as usize));
    let of = |(number, aborted): (u32, &u64)| {
        closed[&script(way, number).to_string()].checked_sub(*aborted).expect("closed after it was aborted")
    };
    (0..).zip(&aborted).map(of).collect()
}

fn script(way: usize, number: u32) -> Script {
    if way < 2 { Script::Open { number } } else { Script::Unanswered { number } }
}

fn client(arguments: &[String]) {
    let who: Who = arguments[1].parse().expect("who");
    let address: SocketAddr = arguments.last().expect("an address").parse().expect("an address");
    let runtime = Runtime::of(who);
    let clients = Clients::new(address);
    let measured = match arguments[0].as_str() {
        "events" => events(who, &runtime, address, &clients),
        _ => abort_all(who, &runtime, address, &clients, arguments[2].parse().expect("a way")),
    };
    println!("{}", serde_json::to_string(&measured).expect("JSON"));
}

fn events(who: Who, runtime: &Runtime, address: SocketAddr, clients: &Clients) -> Vec<u64> {
    let mut seen = Vec::with_capacity(EVENTS.states() as usize);
    let id = EVENTS.to_string();
    let read = |chunk: &[u8], seen: &mut Vec<u64>| {
        let now = monotonic();
        // After a stall several events lie in one read.
        for at in chunk.windows(10).enumerate().filter(|(_, window)| window == br#""uptime":""#).map(|(at, _)| at) {
            let digits: Vec<u8> = chunk[at + 10..].iter().copied().take_while(u8::is_ascii_digit).collect();
            let sent: u64 = String::from_utf8_lossy(&digits).parse().expect("a time");
            seen.push(now - sent);
        }
    };
    match who {
        Who::Tokio => {
            runtime.block_on(yardstick::tokio_reader(address, EVENTS, |chunk| read(chunk, &mut seen)));
        }
        Who::Hyper => {
            runtime.block_on(yardstick::hyper_reader(address, EVENTS, |chunk| read(chunk, &mut seen)));
        }
        Who::AsyncStd => {
            runtime.block_on(yardstick::async_std_reader(address, EVENTS, |chunk| read(chunk, &mut seen)));
        }
        Who::WatchHyper => runtime.block_on(watched(clients.hyper.watch(id, "running"), &mut seen)),
        Who::WatchSurf => runtime.block_on(watched(clients.surf.watch(id, "running"), &mut seen)),
    }
    seen
}

async fn watched<T: Transport, C: Timer>(mut watching: WatchHandle<T, C>, seen: &mut Vec<u64>) {
    while let Some(update) = watching.next_update().await {
        if let Update::Event { event: Event::State(state), .. } = update {
            let now = monotonic();
            let sent: u64 = state.uptime.as_deref().expect("an uptime").parse().expect("a time");
            seen.push(now - sent);
        }
    }
    assert!(watching.await.expect("the target").is("running"));
}

fn abort_all(who: Who, runtime: &Runtime, address: SocketAddr, clients: &Clients, way: usize) -> Vec<u64> {
    let one = |number| {
        let script = script(way, number);
        let id = script.to_string();
        match who {
            Who::WatchHyper => runtime
                .block_on(async { abort(clients.hyper.watch(id, "running"), way, tokio::time::sleep(OPEN)).await }),
            Who::WatchSurf => runtime
                .block_on(async { abort(clients.surf.watch(id, "running"), way, async_std::task::sleep(OPEN)).await }),
            _ => runtime.block_on(async {
                let reader = yardstick::tokio_reader(address, script, |_| ());
                let mut reader = Box::pin(reader);
                assert!(tokio::time::timeout(OPEN, &mut reader).await.is_err());
                let now = monotonic();
                drop(reader);
                now
            }),
        }
    };
    (0..ABORTS).map(one).collect()
}

/// Opens a watch, lets it be for a while, and ends it; the answer is when.
async fn abort<T, C>(watching: WatchHandle<T, C>, way: usize, open: impl Future<Output = ()>) -> u64
where
    T: Transport,
    C: Timer,
{
    let (sender, signal) = oneshot::channel::<()>();
    let mut watching = watching.abort_on(signal);
    let mut states = 0;
    // Only while it is polled does the watch move; so it is until its time is up.
    let update = async {
        while let Some(update) = watching.next_update().await {
            states += u32::from(matches!(update, Update::Event { event: Event::State(_), .. }));
        }
        unreachable!("a watch that nothing ends");
    };
    first(update, open).await;
    assert_eq!(states, u32::from(way < 2));
    let now = monotonic();
    if way.is_multiple_of(2) {
        drop(watching);
    } else {
        sender.send(()).expect("a watch that listens");
        let end = watching.into_future().await;
        assert!(
            matches!(&end, Err(WatchError::Failed { failure, .. }) if matches!(**failure, Failure::Aborted)),
            "{end:?}"
        );
    }
    now
}

/// Until `second` ends; `first` is polled meanwhile.
async fn first(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    std::future::poll_fn(|cx| {
        let _ = first.as_mut().poll(cx);
        second.as_mut().poll(cx)
    })
    .await;
}
