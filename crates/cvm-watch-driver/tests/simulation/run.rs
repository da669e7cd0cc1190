//! Runs one seed to the end of every watch in it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::caller::{Caller, Rules};
use crate::defects::Defect;
use crate::fault_schedule::FaultSchedule;
use crate::random::Random;
use crate::server::Server;
use crate::simulation::{MILLI, MINUTE, Nanos, SECOND, Simulation, TimerRules, shown};
use crate::timeline::Timeline;

/// The most callers of one run.
const MAX_CALLERS: u64 = 9;

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// A hash of the trace.
    pub(crate) hash: u64,
    pub(crate) notes: u64,
    pub(crate) lasted: Nanos,
    pub(crate) watches: u64,
    pub(crate) reached: u64,
    pub(crate) connections: u64,
    pub(crate) events: u64,
    pub(crate) polls: u64,
    pub(crate) most_streams: usize,
}

/// Runs one seed. Returns the summary or the broken invariant, and the trace if `keep_text`.
pub(crate) fn run(seed: u64, defect: Option<Defect>, keep_text: bool) -> (Result<Summary, String>, String) {
    let mut random = Random::new(seed, 0);
    let faults = FaultSchedule::new(&mut random);
    let timer_rules = TimerRules {
        slack: if faults.late_sleeps { random.between(1, 5 * MILLI) } else { 0 },
        sleeps_pause_during_suspend: random.chance(50),
    };
    let simulation = Simulation::new(timer_rules, defect, keep_text);
    quiet(true);
    let summary = catch_unwind(AssertUnwindSafe(|| run_all(seed, &simulation, faults, random)));
    quiet(false);
    simulation.end();
    let summary = summary.map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("a panic without a message").to_owned(),
    });
    (summary, simulation.text())
}

/// Sets whether the panics of this thread are printed.
fn quiet(on: bool) {
    static HOOK: Once = Once::new();
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    QUIET.set(on);
}

fn run_all(seed: u64, simulation: &Simulation, faults: FaultSchedule, mut random: Random) -> Summary {
    let callers = if random.chance(15) { random.between(2, MAX_CALLERS) } else { 1 };
    let target = random.pick(&["running", "running", "running", "stopped", "error"]);
    let healthy_from = faults.healthy_from;
    let timelines =
        (0..callers).map(|caller| (format!("cvm-{caller}"), Timeline::new(&mut random, target, healthy_from)));
    let timelines: BTreeMap<_, _> = timelines.collect();
    let server = Server::new(simulation.clone(), faults, seed, timelines);
    let one_key = random.chance(50);
    let mut callers: Vec<Caller> = (0..callers)
        .map(|caller| {
            let key = format!("phak_{}", if one_key { 0 } else { caller / 4 });
            let rules = Rules::new(&mut random, target);
            Caller::new(&server, format!("cvm-{caller}"), key, rules, &mut random)
        })
        .collect();
    run_until_done(simulation, &server, &mut callers, &mut random);
    Summary {
        hash: simulation.hash(),
        notes: simulation.notes(),
        lasted: simulation.now(),
        watches: callers.len() as u64,
        reached: callers.iter().map(|caller| caller.reached).sum(),
        connections: server.connections(),
        events: callers.iter().map(Caller::events).sum(),
        polls: callers.iter().map(Caller::polls).sum(),
        most_streams: server.most_streams(),
    }
}

/// Lets events happen until all watches have ended.
fn run_until_done(simulation: &Simulation, server: &Server, callers: &mut [Caller], random: &mut Random) {
    let done_by = done_by(server, callers);
    let together = random.chance(50);
    // A runtime may poll a task that was not woken.
    let restless = random.chance(15);
    let mut next_suspend = (server.faults.suspends > 0).then(|| random.between(SECOND, 10 * MINUTE));
    loop {
        while !simulation.is_suspended()
            && callers.iter_mut().filter_map(|caller| caller.step().then_some(())).count() > 0
        {}
        if callers.iter().all(Caller::is_done) {
            return;
        }
        if let Some(at) = next_suspend
            && at <= simulation.now()
            && !simulation.is_suspended()
        {
            let length = random.pick(&[SECOND, 40 * SECOND, 20 * MINUTE, 8 * 60 * MINUTE]);
            next_suspend = Some(simulation.now() + length + random.between(SECOND, 20 * MINUTE));
            if simulation.now() < server.faults.healthy_from {
                simulation.suspend(length);
                callers.iter_mut().for_each(|caller| caller.suspend(random));
            }
        }
        assert!(simulation.step(Nanos::MAX), "no event is left, and a watch still waits");
        // The machine sees the events of one moment either all at once or one at a time.
        while together && simulation.step(simulation.now()) {}
        if restless && random.chance(10) {
            callers.iter_mut().for_each(Caller::nudge);
        }
        assert!(
            simulation.now() <= done_by,
            "no faults since {}, and a watch has not ended at {}",
            shown(server.faults.healthy_from),
            shown(simulation.now())
        );
    }
}

/// When the last watch must have ended, given that no faults happen from `healthy_from` on: the current attempt may
/// still fail, the server drops the streams of clients that are gone, and then the callers get a slot one by one.
fn done_by(server: &Server, callers: &[Caller]) -> Nanos {
    let attempt = 610 * SECOND;
    let held = (600 + 60 + 70 + 80) * SECOND;
    let suspend = if server.faults.suspends > 0 { 8 * 60 * MINUTE } else { 0 };
    let slow = 3 * MINUTE;
    let rounds: Nanos = callers.iter().map(|caller| caller.rules().longest_delay() + 2 * MINUTE).sum();
    let longest = callers.iter().map(|caller| caller.rules().longest_delay()).max().unwrap_or(0);
    server.faults.healthy_from + attempt + held + suspend + slow + rounds + longest
}
