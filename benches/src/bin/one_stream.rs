//! 200 000 events on one stream, beside plain readers and `serde_json` alone.
//!
//! `cargo run --release --bin one_stream`

use std::env::args;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cvm_watch_benches::corpus;
use cvm_watch_benches::measure::cpu_time;
use cvm_watch_benches::report::{Table, machine, median};
use cvm_watch_benches::sockets::client::{Clients, Expected, Runtime, Who, finish};
use cvm_watch_benches::sockets::process::{self, Server};
use cvm_watch_benches::sockets::script::Script;
use cvm_watch_benches::sockets::{CLIENT, SERVE, server, yardstick};
use serde::{Deserialize, Serialize};

const STATES: u32 = 200_000;
const REPEATS: usize = 7;
/// Beside the plain reader's time the watch may take `serde_json`'s, divided by this.
const SHARE: f64 = 0.7;

/// The word for a client that is written for this stream and no other.
const BY_HAND: &str = "by-hand";

/// Milliseconds.
#[derive(Deserialize, Serialize)]
struct Measured {
    wall: f64,
    cpu: f64,
}

/// What `serde_json` reads into: the fields of the watch's own state.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are read into, which is what is measured")]
struct State {
    status: String,
    id: Option<String>,
    instance_id: Option<String>,
    name: Option<String>,
    uptime: Option<String>,
    exited_at: Option<String>,
    boot_progress: Option<String>,
    boot_error: Option<String>,
    shutdown_progress: Option<String>,
}

fn main() {
    let mut arguments = args().skip(1);
    match arguments.next().as_deref() {
        Some(SERVE) => server::serve(),
        Some(CLIENT) => client(&arguments.collect::<Vec<_>>()),
        _ => compare(),
    }
}

fn compare() {
    println!("{}\n\n{STATES} `state` events of about 200 bytes on one stream, in ms.\n", machine());
    let payloads: Vec<String> = (0..STATES).map(|number| corpus::state(number, "compose-web")).collect();
    let mut table = Table::new(["", "HTTP chunks", "CPU", "wall", "allowed", ""]);
    for (name, script) in
        [("an event each", Script::Burst { states: STATES }), ("16 KiB each", Script::Blocks { states: STATES })]
    {
        let mut runs: Vec<Vec<Measured>> = Who::ALL.iter().map(|_| Vec::new()).collect();
        let (mut parsing, mut by_hand) = (Vec::new(), Vec::<Measured>::new());
        for _ in 0..REPEATS {
            parsing.push(parse(&payloads));
            let server = Server::start();
            by_hand.push(process::client(&[BY_HAND.to_owned(), script.to_string(), server.address.to_string()]));
            for (who, runs) in Who::ALL.into_iter().zip(&mut runs) {
                let server = Server::start();
                runs.push(process::client(&[who.to_string(), script.to_string(), server.address.to_string()]));
            }
        }
        let cpu: Vec<f64> = runs.iter().map(|runs| median(runs.iter().map(|run| run.cpu).collect())).collect();
        let parsing = median(parsing);
        table.row(["serde_json alone", "", &format!("{parsing:.1}"), "", "", ""]);
        let of = |figure: fn(&Measured) -> f64| format!("{:.1}", median(by_hand.iter().map(figure).collect()));
        let hand = "bare hyper connection, lines, serde_json";
        table.row([hand, name, &of(|run| run.cpu), &of(|run| run.wall), "", ""]);
        for (place, who) in Who::ALL.into_iter().enumerate() {
            let wall = median(runs[place].iter().map(|run| run.wall).collect());
            let mut row =
                vec![who.name().to_owned(), name.to_owned(), format!("{:.1}", cpu[place]), format!("{wall:.1}")];
            let reader = match who {
                Who::WatchHyper => Some(Who::Tokio),
                Who::WatchSurf => Some(Who::AsyncStd),
                _ => None,
            };
            if reader.is_none() {
                row.extend(["".to_owned(), "".to_owned()]);
            }
            if let Some(reader) = reader {
                let reader = cpu[Who::ALL.iter().position(|who| *who == reader).expect("one of all")];
                let allowed = reader + parsing / SHARE;
                let judged = if cpu[place] <= allowed { "met" } else { "missed" };
                row.extend([format!("{allowed:.1}"), format!("{judged}, {:.2}x", cpu[place] / allowed)]);
            }
            table.row(row);
        }
    }
    table.print();
}

fn parse(payloads: &[String]) -> f64 {
    let start = cpu_time();
    for payload in payloads {
        let state: State = serde_json::from_str(payload).expect("a state");
        black_box(Arc::new(state));
    }
    (cpu_time() - start).as_secs_f64() * 1e3
}

fn client(arguments: &[String]) {
    let [who, script, address] = arguments else { panic!("{arguments:?}") };
    let script: Script = script.parse().expect("a script");
    let address = address.parse().expect("an address");
    if who == BY_HAND {
        return by_hand(script, address);
    }
    let who: Who = who.parse().expect("who");
    let runtime = Runtime::of(who);
    let clients = Clients::new(address);
    let expected = Expected::of(script);
    // The server makes the bytes for the first one that asks.
    finish(who, &runtime, address, &clients, expected, 1);
    let (start, cpu) = (Instant::now(), process::cpu_time());
    finish(who, &runtime, address, &clients, expected, 1);
    tell(start, cpu);
}

fn tell(start: Instant, cpu: Duration) {
    let measured =
        Measured { cpu: (process::cpu_time() - cpu).as_secs_f64() * 1e3, wall: start.elapsed().as_secs_f64() * 1e3 };
    println!("{}", serde_json::to_string(&measured).expect("JSON"));
}

/// The least that gets typed states out of this stream: no limits, no rules of event streams but
/// the lines that this server sends, no deadlines, no retries.
fn by_hand(script: Script, address: SocketAddr) {
    let runtime = Runtime::of(Who::Hyper);
    let read = || {
        let (mut rest, mut states) = (Vec::new(), 0);
        let mut line = |line: &[u8]| {
            if let Some(payload) = line.strip_prefix(b"data: ")
                && let Ok(state) = serde_json::from_slice::<State>(payload)
                && state.id.is_some()
            {
                states += 1;
                black_box(Arc::new(state));
            }
        };
        runtime.block_on(yardstick::hyper_reader(address, script, |mut chunk| {
            while let Some(end) = memchr::memchr(b'\n', chunk) {
                let (first, others) = (&chunk[..end], &chunk[end + 1..]);
                if rest.is_empty() {
                    line(first);
                } else {
                    rest.extend_from_slice(first);
                    line(&rest);
                    rest.clear();
                }
                chunk = others;
            }
            rest.extend_from_slice(chunk);
        }));
        assert_eq!(states, script.states());
    };
    read();
    let (start, cpu) = (Instant::now(), process::cpu_time());
    read();
    tell(start, cpu);
}
