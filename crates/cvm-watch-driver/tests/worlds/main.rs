//! Worlds: the real client and the real core against a server, a network, a clock and users that
//! are all drawn from one seed, in virtual time.
//!
//! `WORLDS_SEED=17` plays one world and prints what happened in it. `WORLDS_START` and
//! `WORLDS_COUNT` pick the seeds of a longer search. See `docs/fuzzing.md`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

mod faults;
mod life;
mod network;
mod oracle;
mod play;
mod random;
mod server;
mod speech;
mod teller;
mod user;
mod weather;
mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use play::{Played, play};
use world::SECOND;

/// So many worlds are played by `cargo test`.
const USUAL_COUNT: u64 = 2000;
/// Within so many worlds each fault must be noticed.
const FAULT_SEEDS: u64 = 300;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn every_law_holds_in_every_world() {
    if let Some(seed) = variable("WORLDS_SEED") {
        let (played, text) = play(seed, None, true);
        println!("{text}{played:#?}");
        played.unwrap();
        return;
    }
    let (start, count) = (variable("WORLDS_START").unwrap_or(0), variable("WORLDS_COUNT").unwrap_or(USUAL_COUNT));
    let began = Instant::now();
    let sum = search(start, count).unwrap_or_else(|(seed, broken)| panic!("{}", report(seed, &broken)));
    println!(
        "{count} worlds, {} watches of which {} reached their target, {} connections, {} events, {} polls",
        sum.watches, sum.reached, sum.connections, sum.events, sum.polls,
    );
    let (real, virtual_time) = (began.elapsed().as_secs_f64(), sum.lasted / SECOND);
    println!("{virtual_time} s of virtual time in {real:.1} s, {:.0} worlds a second", count as f64 / real);
    if let Some(cpu) = cpu_time() {
        println!("{cpu:.1} s of CPU, {:.0} s of virtual time in each", virtual_time as f64 / cpu);
    }
    // A search that finds nothing must have looked: much happens in these worlds.
    if count >= USUAL_COUNT {
        assert!(sum.reached * 2 > sum.watches, "{sum:?}");
        assert!(sum.connections > 3 * sum.watches && sum.events > 10 * sum.watches, "{sum:?}");
        assert!(sum.most_streams == 5, "{sum:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..150 {
        let (first, again) = (play(seed, None, false), play(seed, None, true));
        assert_eq!(first.0, again.0, "seed {seed}");
    }
    let (first, second) = (play(1, None, false).0.unwrap(), play(2, None, false).0.unwrap());
    assert_ne!(first.hash, second.hash);
}

#[test]
fn every_fault_is_noticed() {
    let mut unnoticed = Vec::new();
    for fault in faults::ALL {
        let noticed = (0..FAULT_SEEDS).find_map(|seed| Some((seed, play(seed, Some(fault), false).0.err()?)));
        match noticed {
            Some((seed, law)) => println!("{fault:?}: by seed {seed}, {law}"),
            None => unnoticed.push(fault),
        }
    }
    assert!(unnoticed.is_empty(), "unnoticed in {FAULT_SEEDS} worlds: {unnoticed:?}");
}

/// What the whole process has used of the processors, in seconds.
#[cfg(target_os = "linux")]
fn cpu_time() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Option<f64> {
    None
}

/// Plays many worlds, on every core; the first seed that breaks a law, and which.
fn search(start: u64, count: u64) -> Result<Played, (u64, String)> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let found = AtomicBool::new(false);
    let part = &|first: u64| {
        let mut sum = Played::default();
        for seed in (start + first..start + count).step_by(threads.try_into().unwrap()) {
            if found.load(Ordering::Relaxed) {
                break;
            }
            match play(seed, None, false).0 {
                Ok(played) => sum.add(&played),
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
        let mut sum = Played::default();
        for part in parts {
            sum.add(&part.join().unwrap()?);
        }
        Ok(sum)
    })
}

/// What a broken law is reported with: the seed, and the last that happened.
fn report(seed: u64, broken: &str) -> String {
    let text = play(seed, None, true).1;
    let lines: Vec<_> = text.lines().filter(|line| !line.ends_with("gets 1 bytes")).collect();
    let last = lines[lines.len().saturating_sub(40)..].join("\n");
    format!(
        "{last}\nseed {seed}: {broken}\nplay it again with\n    \
         WORLDS_SEED={seed} cargo test -p cvm-watch-driver --test worlds every_law -- --nocapture"
    )
}

impl Played {
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
