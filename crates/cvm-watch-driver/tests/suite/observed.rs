//! An observer sees every call of the core.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cvm_watch_driver::Observed;
use cvm_watch_driver::cvm_watch_core::{Action, Fleet, Input, MemberId, Watch};
use cvm_watch_sim::{Attempt, Script};

use crate::sim::{client, start};

/// A core that receives only the observed calls, whose answers are compared with the observed ones.
#[derive(Default)]
struct Double {
    watch: Option<Watch>,
    then: Vec<Action>,
    now: Vec<Action>,
    /// Each call with bytes: the offset in its chunk, and how many were taken.
    offers: Vec<(usize, usize)>,
}

impl Double {
    fn see(&mut self, observed: Observed<'_>) {
        if let Observed::Started { policy, id, seed, now, .. } = observed {
            assert!(self.watch.is_none());
            self.watch = Some(Watch::new(Arc::new(policy.clone()), id.clone(), seed, now));
            return;
        }
        let watch = self.watch.as_mut().unwrap();
        match observed {
            Observed::Handled { now, input, .. } => watch.handle(now, input.clone()),
            Observed::Received { now, attempt, chunk, from, taken, .. } => {
                assert_eq!(watch.receive(now, attempt, &chunk[from..]), taken);
                self.offers.push((from, taken));
            }
            Observed::Polled(action) => {
                self.then.extend(action.map(|(_, action)| action.clone()));
                self.now.extend(watch.poll_action());
            }
            other => panic!("{other:?}"),
        }
    }
}

fn double_of(script: impl Into<Script>) -> Double {
    let double = Arc::new(Mutex::new(Double::default()));
    let seen = Arc::clone(&double);
    let sim = start();
    let watch = client(&sim, script).watch("my-cvm", "running").deadline(Duration::from_secs(60));
    let _ = sim.time().run(watch.observe(move |observed| seen.lock().unwrap().see(observed)));
    Arc::into_inner(double).unwrap().into_inner().unwrap()
}

#[test]
fn the_observed_calls_alone_give_the_same_actions() {
    let second = Duration::from_secs(1);
    for script in [
        Script::new()
            .then(Attempt::stream().state("starting").wait(second).reset())
            .then(Attempt::json(503, "{}").header("retry-after", "3"))
            .then(Attempt::stream().state("running").complete("running")),
        Attempt::json(404, r#"{"detail":"no such CVM"}"#).into(),
        Attempt::stream().stall().into(),
        Attempt::new().reset().into(),
    ] {
        let double = double_of(script);
        assert!(double.then.len() >= 2, "{:?}", double.then);
        assert_eq!(double.now, double.then);
    }
}

#[test]
fn a_chunk_is_shown_whole_with_what_was_taken_of_it_before() {
    let double = double_of(Attempt::stream().bytes("data: 1\n\ndata: 22\n\n: beat\n").complete("running"));
    assert_eq!(double.offers[..3], [(0, 9), (9, 10), (19, 7)]);
}

#[test]
fn an_observer_hears_of_an_abort() {
    let double = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&double);
    let sim = start();
    let watch = client(&sim, Attempt::stream().stall()).watch("my-cvm", "running");
    let watch = watch.abort_on(async {}).observe(move |observed| {
        if let Observed::Handled { input: Input::Abort, .. } = observed {
            *seen.lock().unwrap() += 1;
        }
    });
    sim.time().run(watch).unwrap_err();
    assert_eq!(*double.lock().unwrap(), 1);
}

/// A fleet that receives only the observed calls, whose answers are compared with the observed ones.
#[derive(Default)]
struct FleetDouble {
    fleet: Option<Fleet>,
    then: Vec<(MemberId, Action)>,
    now: Vec<(MemberId, Action)>,
}

impl FleetDouble {
    fn see(&mut self, observed: Observed<'_>) {
        if let Observed::FleetStarted { max_streams, until } = observed {
            self.fleet = Some(Fleet::new(max_streams, until).unwrap());
            return;
        }
        let fleet = self.fleet.as_mut().unwrap();
        match observed {
            Observed::Started { member, policy, id, seed, now } => {
                assert_eq!(fleet.add(Arc::new(policy.clone()), id.clone(), seed, now), member);
            }
            Observed::Handled { now, member: Some(member), input } => fleet.handle(now, member, input.clone()),
            Observed::Handled { now, input: Input::Tick, .. } => fleet.tick(now),
            Observed::Handled { now, input: Input::Resumed, .. } => fleet.resumed(now),
            Observed::Handled { now, input: Input::Abort, .. } => fleet.abort(now),
            Observed::Received { now, member, attempt, chunk, from, taken } => {
                assert_eq!(fleet.receive(now, member, attempt, &chunk[from..]), taken);
            }
            Observed::Polled(action) => {
                self.then.extend(action.map(|(member, action)| (member, action.clone())));
                self.now.extend(fleet.poll_action());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_observed_calls_of_a_fleet_give_the_same_actions_of_every_member() {
    let double = Arc::new(Mutex::new(FleetDouble::default()));
    let seen = Arc::clone(&double);
    let sim = start();
    let running = || Attempt::stream().state("running").complete("running");
    let client = client(&sim, Script::new().then(Attempt::stream().state("starting").stall()).then(running()));
    let busy = Attempt::json(429, "{}").header("retry-after", "3");
    sim.script("busy", Script::new().then(busy).then(running()));
    sim.script("gone", Attempt::json(404, "{}"));
    sim.script("silent", Attempt::stream().stall());
    let watches = client.watch_all(["a", "busy", "gone", "silent", "b"], "running").max_streams(2);
    let watches = watches.deadline(Duration::from_secs(60)).observe(move |observed| seen.lock().unwrap().see(observed));
    sim.time().run(watches);
    let double = Arc::into_inner(double).unwrap().into_inner().unwrap();
    assert!(double.then.len() >= 20, "{:?}", double.then);
    assert_eq!(double.now, double.then);
}
