//! A year of watching in a few seconds: the real client over the simulator in virtual time, and how much of it a second
//! of CPU brings.
//!
//! `cargo run --release -p cvm-watch-driver --example virtual_year [DAYS]`
//!
//! Attempts of 300 seconds that the server ends by its `timeout` event, with one `state` a minute; then, ten times as
//! long, attempts on which nothing arrives at all. Without `--release` it runs a month rather than a year.

#![allow(clippy::print_stdout, reason = "that is what the example is for")]
#![allow(clippy::unwrap_used, reason = "an example ends with the first error")]

use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::Timestamp;
use cvm_watch_sim::{Attempt, Sim, wire};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

fn main() {
    let usual = if cfg!(debug_assertions) { 30 } else { 365 };
    let days = std::env::args().nth(1).map_or(usual, |days| days.parse().unwrap());
    let state = wire::event("state", r#"{"id":"my-cvm","status":"starting","boot_progress":"booting"}"#);
    let states = Attempt::stream().bytes(state.clone()).repeat(state, MINUTE, 4).wait(MINUTE).timeout("running", 300.0);
    report("one state a minute", states, days * DAY);
    report("silence", Attempt::stream().stall(), 10 * days * DAY);
}

fn report(name: &str, attempt: Attempt, span: Duration) {
    let before = cpu_time();
    let sim = Sim::builder().keep_records(1).script("my-cvm", attempt).start_virtual();
    sim.time().run(sim.client().watch("my-cvm", "running").deadline(span)).unwrap_err();
    assert_eq!(sim.time().now(), Timestamp::ZERO + span);
    let cpu = cpu_time() - before;
    let days = |time: Duration| time.as_secs_f64() / DAY.as_secs_f64();
    println!(
        "{name}: {:.0} days, {} attempts, {:.2} s of CPU; {:.1} days of virtual time per CPU second",
        days(span),
        sim.log().requests().last().unwrap().connection,
        cpu.as_secs_f64(),
        days(span) / cpu.as_secs_f64(),
    );
}

/// The CPU time of the thread.
#[cfg(target_os = "linux")]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The time that has passed: the nearest to CPU time here.
#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
