//! Simulation: the real client and the real core against a server, a network, a clock and callers that are all drawn
//! from one seed, in virtual time.
//!
//! `SIMULATION_SEED=17` runs one seed and prints its trace. `SIMULATION_START` and `SIMULATION_COUNT` choose the seeds
//! of a longer search. See `docs/fuzzing.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

mod caller;
mod defects;
mod fault_schedule;
mod message;
mod network;
mod oracle;
mod random;
mod run;
mod server;
mod server_stream;
mod simulation;
mod timeline;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use run::{Summary, run};
use simulation::SECOND;

/// How many seeds `cargo test` runs.
const DEFAULT_COUNT: u64 = 2000;
/// Each defect must be detected within this many seeds.
const DEFECT_SEEDS: u64 = 300;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn every_invariant_holds_for_every_seed() {
    if let Some(seed) = variable("SIMULATION_SEED") {
        let (summary, text) = run(seed, None, true);
        println!("{text}{summary:#?}");
        summary.unwrap();
        return;
    }
    let (start, count) =
        (variable("SIMULATION_START").unwrap_or(0), variable("SIMULATION_COUNT").unwrap_or(DEFAULT_COUNT));
    let began = Instant::now();
    let sum = search(start, count).unwrap_or_else(|(seed, broken)| panic!("{}", report(seed, &broken)));
    println!(
        "{count} seeds, {} watches of which {} reached their target, {} connections, {} events, {} polls",
        sum.watches, sum.reached, sum.connections, sum.events, sum.polls,
    );
    let (real, virtual_time) = (began.elapsed().as_secs_f64(), sum.lasted / SECOND);
    println!("{virtual_time} s of virtual time in {real:.1} s, {:.0} seeds per second", count as f64 / real);
    if let Some(cpu) = cpu_time() {
        println!("{cpu:.1} s of CPU, {:.0} s of virtual time per second", virtual_time as f64 / cpu);
    }
    // Guards against a generator that draws runs in which nothing happens.
    if count >= DEFAULT_COUNT {
        assert!(sum.reached * 2 > sum.watches, "{sum:?}");
        assert!(sum.connections > 3 * sum.watches && sum.events > 10 * sum.watches, "{sum:?}");
        assert!(sum.most_streams == 5, "{sum:?}");
    }
}

#[test]
fn same_seed_gives_the_same_run() {
    for seed in 0..150 {
        let (first, again) = (run(seed, None, false), run(seed, None, true));
        assert_eq!(first.0, again.0, "seed {seed}");
    }
    let (first, second) = (run(1, None, false).0.unwrap(), run(2, None, false).0.unwrap());
    assert_ne!(first.hash, second.hash);
}

#[test]
fn every_defect_is_detected() {
    let mut undetected = Vec::new();
    for defect in defects::ALL {
        let detected = (0..DEFECT_SEEDS).find_map(|seed| Some((seed, run(seed, Some(defect), false).0.err()?)));
        match detected {
            Some((seed, broken)) => println!("{defect:?}: by seed {seed}, {broken}"),
            None => undetected.push(defect),
        }
    }
    assert!(undetected.is_empty(), "undetected in {DEFECT_SEEDS} seeds: {undetected:?}");
}

/// The CPU time of the whole process, in seconds.
#[cfg(target_os = "linux")]
fn cpu_time() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Option<f64> {
    None
}

/// Runs many seeds on every core; fails with a seed that breaks an invariant, and which.
fn search(start: u64, count: u64) -> Result<Summary, (u64, String)> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let found = AtomicBool::new(false);
    let part = &|first: u64| {
        let mut sum = Summary::default();
        for seed in (start + first..start + count).step_by(threads.try_into().unwrap()) {
            if found.load(Ordering::Relaxed) {
                break;
            }
            match run(seed, None, false).0 {
                Ok(summary) => sum.add(&summary),
                Err(broken) => {
                    found.store(true, Ordering::Relaxed);
                    return Err((seed, broken));
                }
            }
        }
        Ok(sum)
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads).map(|first| scope.spawn(move || part(first))).collect();
        let mut sum = Summary::default();
        for part in parts {
            sum.add(&part.join().unwrap()?);
        }
        Ok(sum)
    })
}

/// The report of a broken invariant: the seed, and the end of its trace.
fn report(seed: u64, broken: &str) -> String {
    let text = run(seed, None, true).1;
    let lines: Vec<_> = text.lines().filter(|line| !line.ends_with("gets 1 bytes")).collect();
    let last = lines[lines.len().saturating_sub(40)..].join("\n");
    format!(
        "{last}\nseed {seed}: {broken}\nrun it again with\n    \
         SIMULATION_SEED={seed} cargo test -p cvm-watch-driver --test simulation every_invariant -- --nocapture"
    )
}

impl Summary {
    fn add(&mut self, other: &Self) {
        self.notes += other.notes;
        self.lasted += other.lasted;
        self.watches += other.watches;
        self.reached += other.reached;
        self.connections += other.connections;
        self.events += other.events;
        self.polls += other.polls;
        self.most_streams = self.most_streams.max(other.most_streams);
    }
}
