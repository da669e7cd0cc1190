//! What each of many watches holds while all of them stream, beside plain and bare connections.
//!
//! `cargo run --release --bin held [COUNT]`

use std::alloc::System;
use std::env::args;
use std::time::Duration;

use cvm_watch_benches::report::{Table, machine, median};
use cvm_watch_benches::sockets::client::{Clients, Runtime, Who};
use cvm_watch_benches::sockets::process::{self, Server};
use cvm_watch_benches::sockets::script::Script;
use cvm_watch_benches::sockets::stay::stay;
use cvm_watch_benches::sockets::{CLIENT, SERVE, server};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SCRIPT: Script = Script::Held { states: 5, pause: Duration::from_millis(20) };
const COUNTS: [usize; 4] = [1, 100, 1000, 10_000];
const REPEATS: usize = 3;
/// What a watch may hold more than a bare hyper connection, in bytes.
const MORE: f64 = 3.0 * 1024.0;

/// Bytes per watch.
#[derive(Deserialize, Serialize)]
struct Measured {
    resident: f64,
    heap: f64,
}

fn main() {
    let mut arguments = args().skip(1);
    match arguments.next().as_deref() {
        Some(SERVE) => server::serve(),
        Some(CLIENT) => client(&arguments.collect::<Vec<_>>()),
        count => compare(count.map(|count| count.parse().expect("a number of watches"))),
    }
}

fn compare(only: Option<usize>) {
    println!("{}; at most {} open files\n", machine(), process::allow_many_files());
    let counts: Vec<usize> = only.map_or(COUNTS.to_vec(), |count| vec![count]);
    let measured: Vec<Vec<Measured>> = counts.iter().map(|&count| of_all(count)).collect();
    print("Memory in RAM, bytes per watch", &counts, &measured, |measured| measured.resident);
    print("Heap, bytes per watch", &counts, &measured, |measured| measured.heap);
}

fn of_all(count: usize) -> Vec<Measured> {
    let mut runs: Vec<Vec<Measured>> = Who::ALL.iter().map(|_| Vec::new()).collect();
    for _ in 0..REPEATS {
        for (who, runs) in Who::ALL.into_iter().zip(&mut runs) {
            let server = Server::start();
            runs.push(process::client(&[who.to_string(), count.to_string(), server.address.to_string()]));
        }
    }
    let of = |runs: &[Measured], figure: fn(&Measured) -> f64| median(runs.iter().map(figure).collect());
    let medians =
        |runs: &Vec<Measured>| Measured { resident: of(runs, |run| run.resident), heap: of(runs, |run| run.heap) };
    runs.iter().map(medians).collect()
}

fn print(title: &str, counts: &[usize], measured: &[Vec<Measured>], figure: fn(&Measured) -> f64) {
    let heads = counts.iter().map(|count| format!("{count} watches"));
    let mut table = Table::new([title.to_owned()].into_iter().chain(heads));
    for (place, who) in Who::ALL.into_iter().enumerate() {
        let cells = measured.iter().map(|of_count| format!("{:.0}", figure(&of_count[place])));
        table.row([who.name().to_owned()].into_iter().chain(cells));
    }
    let place = |who| Who::ALL.iter().position(|other| *other == who).expect("one of all");
    for ours in [Who::WatchHyper, Who::WatchSurf] {
        let cells = measured.iter().map(|of_count| {
            let more = figure(&of_count[place(ours)]) - figure(&of_count[place(Who::Hyper)]);
            format!("{more:+.0}, {}", if more <= MORE { "met" } else { "missed" })
        });
        table.row([format!("**{}** more than bare hyper; at most {MORE}", ours.name())].into_iter().chain(cells));
    }
    table.print();
    println!();
}

fn client(arguments: &[String]) {
    let [who, count, address] = arguments else { panic!("{arguments:?}") };
    process::allow_many_files();
    let who: Who = who.parse().expect("who");
    let count: usize = count.parse().expect("a count");
    let address = address.parse().expect("an address");
    let runtime = Runtime::of(who);
    let clients = Clients::new(address);
    // One-time allocations are made before the counting begins.
    stay(who, &runtime, address, &clients, SCRIPT, 1, || ());
    let (resident, region) = (process::resident(), Region::new(ALLOCATOR));
    stay(who, &runtime, address, &clients, SCRIPT, count, || {
        let change = region.change();
        let measured = Measured {
            resident: process::resident().saturating_sub(resident) as f64 / count as f64,
            heap: (change.bytes_allocated - change.bytes_deallocated) as f64 / count as f64,
        };
        println!("{}", serde_json::to_string(&measured).expect("JSON"));
    });
    // All connections are closed by the system.
    std::process::exit(0);
}
