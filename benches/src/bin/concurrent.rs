//! Many watches at once over loopback, each of 20 states and `complete`, beside plain readers of
//! the same bytes.
//!
//! `cargo run --release --bin concurrent [COUNT]`

use std::env::args;
use std::time::{Duration, Instant};

use cvm_watch_benches::report::{Table, machine, median};
use cvm_watch_benches::sockets::client::{Clients, Expected, Runtime, Who, finish};
use cvm_watch_benches::sockets::process::{self, Server};
use cvm_watch_benches::sockets::script::Script;
use cvm_watch_benches::sockets::{CLIENT, SERVE, server};
use serde::{Deserialize, Serialize};

const STATES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);
const COUNTS: [usize; 4] = [1, 100, 1000, 10_000];

/// Processes of which the median is taken.
fn repeats(count: usize) -> usize {
    if count < 10_000 { 5 } else { 3 }
}

/// What one process measured, of one watch: nanoseconds and bytes.
#[derive(Deserialize, Serialize)]
struct Measured {
    wall: f64,
    cpu: f64,
    memory: f64,
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
    let burst = Script::Burst { states: STATES };
    let paced = Script::Paced { states: STATES, pause: PAUSE };
    for (name, script) in
        [("All in one write", burst), ("Each event in a separate write, 5 ms after the one before", paced)]
    {
        let measured: Vec<Vec<Measured>> = counts.iter().map(|&count| of_all(script, count)).collect();
        println!("### {name}\n");
        print("CPU, µs per watch", &counts, &measured, |measured| measured.cpu / 1e3, 1);
        print("Wall, ms for all", &counts, &measured, |measured| measured.wall / 1e6, 1);
        print("Peak of the memory, KiB per watch", &counts, &measured, |measured| measured.memory / 1024.0, 1);
    }
}

/// The medians of one count, in the order of [`Who::ALL`].
fn of_all(script: Script, count: usize) -> Vec<Measured> {
    let mut runs: Vec<Vec<Measured>> = Who::ALL.iter().map(|_| Vec::new()).collect();
    for _ in 0..repeats(count) {
        for (who, runs) in Who::ALL.into_iter().zip(&mut runs) {
            let server = Server::start();
            let arguments = [who.to_string(), script.to_string(), count.to_string(), server.address.to_string()];
            runs.push(process::client(&arguments));
        }
    }
    let of = |runs: &[Measured], figure: fn(&Measured) -> f64| median(runs.iter().map(figure).collect());
    runs.iter()
        .map(|runs| Measured {
            wall: of(runs, |run| run.wall),
            cpu: of(runs, |run| run.cpu),
            memory: of(runs, |run| run.memory),
        })
        .collect()
}

fn print(title: &str, counts: &[usize], measured: &[Vec<Measured>], figure: fn(&Measured) -> f64, digits: usize) {
    let heads = counts.iter().map(|count| format!("{count} watches"));
    let mut table = Table::new([title.to_owned()].into_iter().chain(heads));
    for (place, who) in Who::ALL.into_iter().enumerate() {
        let cells = measured.iter().map(|of_count| format!("{:.digits$}", figure(&of_count[place])));
        table.row([who.name().to_owned()].into_iter().chain(cells));
    }
    for (ours, yardstick) in [
        (Who::WatchHyper, Who::Tokio),
        (Who::WatchHyper, Who::Hyper),
        (Who::WatchSurf, Who::AsyncStd),
        (Who::WatchSurf, Who::Tokio),
    ] {
        let place = |who| Who::ALL.iter().position(|other| *other == who).expect("one of all");
        let cells = measured
            .iter()
            .map(|of_count| format!("{:.2}x", figure(&of_count[place(ours)]) / figure(&of_count[place(yardstick)])));
        table.row([format!("**{}** / {}", ours.name(), yardstick.name())].into_iter().chain(cells));
    }
    table.print();
    println!();
}

fn client(arguments: &[String]) {
    let [who, script, count, address] = arguments else { panic!("{arguments:?}") };
    process::allow_many_files();
    let who: Who = who.parse().expect("who");
    let script: Script = script.parse().expect("a script");
    let count: usize = count.parse().expect("a count");
    let address = address.parse().expect("an address");
    let rounds = match script {
        Script::Paced { .. } => (20 / count).max(1),
        _ => (1000 / count).clamp(1, 200),
    };
    let runtime = Runtime::of(who);
    let clients = Clients::new(address);
    let expected = Expected::of(script);
    finish(who, &runtime, address, &clients, expected, 1);
    process::reset_peak();
    let (resident, start, cpu) = (process::resident(), Instant::now(), process::cpu_time());
    for _ in 0..rounds {
        finish(who, &runtime, address, &clients, expected, count);
    }
    let (cpu, wall) = (process::cpu_time() - cpu, start.elapsed());
    let memory = process::peak_resident().saturating_sub(resident);
    let each = (rounds * count) as f64;
    let measured = Measured {
        wall: wall.as_nanos() as f64 / rounds as f64,
        cpu: cpu.as_nanos() as f64 / each,
        memory: memory as f64 / count as f64,
    };
    println!("{}", serde_json::to_string(&measured).expect("JSON"));
}
