//! How much time passes per CPU second when the clock is virtual: the real driver over the
//! simulator in virtual time.
//!
//! `cargo run --release --bin virtual_time`

use std::time::Duration;

use cvm_watch_benches::measure::cpu_time;
use cvm_watch_benches::report::{Table, machine, median};
use cvm_watch_driver::cvm_watch_core::{Event, Failure, Timestamp};
use cvm_watch_driver::{Update, WatchError};
use cvm_watch_sim::{Attempt, Sim};

const YEAR: Duration = Duration::from_secs(31_557_600);
const MINUTE: Duration = Duration::from_secs(60);
/// After how long the server ends a stream.
const ATTEMPT: Duration = Duration::from_secs(300);
const REPEATS: usize = 7;
const STATE: &[u8] = b"event: state\ndata: {\"id\":\"9e3779b9a4c1\",\"instance_id\":\"i-9e3779b9\",\"name\":\"compose-web\",\
    \"status\":\"starting\",\"uptime\":\"60s\",\"exited_at\":null,\"boot_progress\":\"booting\",\"boot_error\":null}\n\n";

fn main() {
    println!("{}\n\nMedians of {REPEATS}.\n", machine());
    let mut table = Table::new(["", "attempts", "states", "polls", "CPU, ms", "ns per poll", "years per CPU second"]);
    let hour = Duration::from_secs(3600);
    for (name, pause, years) in [
        ("one year of attempts of 300 s, a `state` each minute", MINUTE, 1),
        ("ten years of attempts of 300 s without an event", hour, 10),
    ] {
        let runs: Vec<Run> = (0..REPEATS).map(|_| run(pause, years)).collect();
        let Run { attempts, states, polls, .. } = runs[0];
        assert!(runs.iter().all(|run| (run.attempts, run.states, run.polls) == (attempts, states, polls)));
        let cpu = median(runs.iter().map(|run| run.cpu.as_secs_f64()).collect());
        table.row([
            name.to_owned(),
            attempts.to_string(),
            states.to_string(),
            polls.to_string(),
            format!("{:.0}", cpu * 1e3),
            format!("{:.0}", cpu * 1e9 / polls as f64),
            format!("{:.1}", f64::from(years) / cpu),
        ]);
    }
    table.print();
}

struct Run {
    attempts: u64,
    states: u64,
    polls: u64,
    cpu: Duration,
}

/// One watch until its deadline, and what it saw against what it was sent.
fn run(pause: Duration, years: u32) -> Run {
    // `pause` is over the last time when the stream ends.
    let states = (ATTEMPT.as_secs() - 1) / pause.as_secs();
    let rest = ATTEMPT - pause * u32::try_from(states).expect("few states");
    let stream = Attempt::stream().repeat(STATE, pause, states).wait(rest).timeout("running", 300.0).stall();
    let sim = Sim::builder().keep_records(1).script("my-cvm", stream).start_virtual();
    let start = cpu_time();
    let mut watch = sim.client().watch("my-cvm", "running").timeout(ATTEMPT).deadline(YEAR * years).seed(7);
    let (attempts, seen, end) = sim.time().run(async {
        let (mut attempts, mut seen) = (0, 0);
        while let Some(update) = watch.next_update().await {
            match update {
                Update::Event { event: Event::State(_), .. } => seen += 1,
                Update::Connecting { attempt, .. } => attempts = attempt.number(),
                _ => {}
            }
        }
        (attempts, seen, watch.await)
    });
    let cpu = cpu_time() - start;
    let Err(WatchError::Failed { failure, .. }) = end else { panic!("{end:?}") };
    assert!(matches!(*failure, Failure::DeadlineExceeded { .. }), "{failure:?}");
    assert_eq!(sim.time().now(), Timestamp::ZERO + YEAR * years);
    // The deadline may cut the last attempt.
    let last = sim.log().connections().last().map_or(0, |last| last.sent / STATE.len() as u64);
    assert_eq!(seen, (attempts - 1) * states + last);
    assert!(attempts > 100_000 * u64::from(years), "{attempts} attempts");
    Run { attempts, states: seen, polls: sim.time().polls(), cpu }
}
