//! What the program `cvm-watch wait` costs from its start to its end, against a server that
//! completes at once.
//!
//! `cargo build --release` in the workspace first; then
//! `cargo run --release --bin cold_start [PROGRAM]`

use std::env::args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use cvm_watch_benches::report::{Table, machine, median};
use cvm_watch_benches::sockets::client::{Clients, Expected, Runtime, Who, finish};
use cvm_watch_benches::sockets::process::{self, Server};
use cvm_watch_benches::sockets::script::Script;
use cvm_watch_benches::sockets::{CLIENT, SERVE, server};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

const SCRIPT: Script = Script::Burst { states: 1 };
const REPEATS: usize = 101;
const MOST_CPU: f64 = 10.0;
const MOST_MEMORY: f64 = 8.0;
/// The argument that makes this program a bare watch: only the client library.
const LIBRARY: &str = "library";
const BARE: &str = "bare";

/// Milliseconds and MiB of one process.
#[derive(Clone, Copy, Deserialize, Serialize)]
struct Measured {
    cpu: f64,
    wall: f64,
    memory: f64,
}

fn main() {
    let arguments: Vec<String> = args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(SERVE) => server::serve(),
        Some(CLIENT) => launch(&arguments[1..]),
        Some(LIBRARY) => read(Who::WatchHyper, &arguments[1]),
        Some(BARE) => read(Who::Tokio, &arguments[1]),
        program => compare(&find(program)),
    }
}

fn find(given: Option<&str>) -> PathBuf {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/cvm-watch");
    let program = given.map_or(usual, PathBuf::from);
    assert!(
        program.exists(),
        "there is no {}; build it with `cargo build --release` in the workspace",
        program.display()
    );
    program
}

fn compare(program: &Path) {
    println!("{}\n", machine());
    let server = Server::start();
    let base = format!("http://{}/api/v1", server.address);
    let this = std::env::current_exe().expect("this program").display().to_string();
    let program = program.display().to_string();
    let id = SCRIPT.to_string();
    let watch = ["wait", &id, "--base-url", &base, "--output"];
    let address = server.address.to_string();
    let quiet: Vec<&str> = [program.as_str()].into_iter().chain(watch).chain(["quiet"]).collect();
    let text: Vec<&str> = [program.as_str()].into_iter().chain(watch).chain(["text"]).collect();
    let ndjson: Vec<&str> = [program.as_str()].into_iter().chain(watch).chain(["ndjson"]).collect();
    let candidates: [(&str, Vec<&str>); 7] = [
        ("cvm-watch wait --output text", text),
        ("cvm-watch wait --output ndjson", ndjson),
        ("cvm-watch wait --output quiet", quiet),
        ("cvm-watch --version", vec![&program, "--version"]),
        ("a program with nothing but cvm-watch-hyper", vec![&this, LIBRARY, &address]),
        ("a program with nothing but a tokio socket", vec![&this, BARE, &address]),
        ("/bin/true", vec!["/bin/true"]),
    ];
    let mut runs: Vec<Vec<Measured>> = candidates.iter().map(|_| Vec::new()).collect();
    for _ in 0..REPEATS {
        for ((_, command), runs) in candidates.iter().zip(&mut runs) {
            let command: Vec<String> = command.iter().map(|&part| part.to_owned()).collect();
            runs.push(process::client(&command));
        }
    }
    println!("Medians of {REPEATS}. At most {MOST_CPU} ms of CPU and {MOST_MEMORY} MiB for `cvm-watch wait`.\n");
    let mut table = Table::new(["", "CPU, ms", "wall, ms", "peak RSS, MiB", ""]);
    for ((name, command), runs) in candidates.iter().zip(&runs) {
        let of = |figure: fn(&Measured) -> f64| median(runs.iter().map(figure).collect());
        let (cpu, memory) = (of(|run| run.cpu), of(|run| run.memory));
        let judged = match (cpu <= MOST_CPU, memory <= MOST_MEMORY) {
            _ if command.get(1) != Some(&"wait") => "",
            (true, true) => "met",
            (false, true) => "CPU missed",
            (true, false) => "memory missed",
            (false, false) => "both missed",
        };
        let figures = [cpu, of(|run| run.wall), memory];
        let cells = figures.map(|figure| format!("{figure:.2}"));
        table.row([(*name).to_owned()].into_iter().chain(cells).chain([judged.to_owned()]));
    }
    table.print();
}

/// Runs one command to its end and says what it used. A separate process does this, since the
/// system keeps the highest peak of all the children that ended.
fn launch(command: &[String]) {
    let start = Instant::now();
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]).env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped());
    let output = child.stderr(Stdio::piped()).output().expect("the program starts");
    let wall = start.elapsed();
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the usage of the child");
    let milliseconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    let measured = Measured {
        cpu: milliseconds(usage.user_time()) + milliseconds(usage.system_time()),
        wall: wall.as_secs_f64() * 1e3,
        memory: usage.max_rss() as f64 / 1024.0,
    };
    println!("{}", serde_json::to_string(&measured).expect("JSON"));
}

fn read(who: Who, address: &str) {
    let address: SocketAddr = address.parse().expect("an address");
    finish(who, &Runtime::of(who), address, &Clients::new(address), Expected::of(SCRIPT), 1);
}
