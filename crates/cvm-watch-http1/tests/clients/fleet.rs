//! Many CVMs over few connections, and what a caller may ask for beyond the contract's rows, over
//! sockets.

use cvm_watch_sim::{Attempt, Script, Sim};

use super::{LONG, client};
use crate::subject::{FailEarly, Failure, MemberId, Until, Update};

#[crate::runtime_test]
async fn a_fleet_reaches_every_target_and_never_opens_more_streams_than_it_may() {
    // Five are allowed, and the simulator answers 429 to the sixth.
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let ids: Vec<_> = (0..40).map(|number| format!("cvm-{number}")).collect();
    let watches = client(&sim).watch_all(&ids, "running").configure(|config| config.deadline(LONG));
    let outcomes = watches.await;
    for (id, outcome) in &outcomes {
        assert_eq!(outcome.as_ref().unwrap().status, "running", "{id}");
    }
    assert_eq!(outcomes.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), ids);
    assert!(sim.peak_streams() <= 5, "{} streams", sim.peak_streams());
    sim.log().wait_until_idle(LONG).unwrap();
}

#[crate::runtime_test]
async fn one_failure_does_not_lose_the_others() {
    let sim = Sim::start().unwrap();
    for id in ["a", "b"] {
        sim.script(id, Attempt::stream().state("running").complete("running"));
    }
    sim.script("gone", Attempt::json(404, r#"{"detail":"no such CVM"}"#));
    let outcomes = client(&sim).watch_all(["a", "gone", "b"], "running").await;
    let reached: Vec<_> = outcomes.iter().map(|(id, outcome)| (id.as_str(), outcome.is_ok())).collect();
    assert_eq!(reached, [("a", true), ("gone", false), ("b", true)]);
    assert!(matches!(outcomes[1].1.as_ref().unwrap_err().failure(), Some(Failure::Rejected(_))));
}

#[crate::runtime_test]
async fn where_any_is_enough_the_streams_of_the_others_are_closed() {
    let sim = Sim::start().unwrap();
    sim.script("slow", Attempt::stream().state("starting").stall());
    sim.script("quick", Attempt::stream().state("running").complete("running"));
    let mut watches = client(&sim).watch_all(["slow", "quick"], "running").until(Until::Any);
    let mut ended = Vec::new();
    while let Some((member, update)) = watches.next_update().await {
        if update == Update::Ended {
            ended.push(watches.id(member).unwrap().to_owned());
        }
    }
    assert_eq!(ended, ["quick", "slow"]);
    assert!(watches.outcome(MemberId::from_number(1)).unwrap().is_ok());
    sim.log().wait_until_idle(LONG).unwrap();
}

#[crate::runtime_test]
async fn dropping_a_fleet_closes_every_connection() {
    let sim = Sim::start().unwrap();
    let ids = ["a", "b", "c"];
    for id in ids {
        sim.script(id, Attempt::stream().state("starting").stall());
    }
    let mut watches = client(&sim).watch_all(ids, "running");
    let mut states = 0;
    while states < 3 {
        let update = watches.next_update().await.unwrap();
        states += usize::from(format!("{update:?}").contains("State("));
    }
    drop(watches);
    sim.log().wait_until_idle(LONG).unwrap();
}

#[crate::runtime_test]
async fn a_cvm_that_fails_ends_the_watch_early_when_asked() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("starting").state("error").state("error").stall());
    let watch = client(&sim).watch("my-cvm", "running").configure(|c| c.fail_early(FailEarly::of_a_boot()));
    let error = watch.deadline(LONG).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::TargetUnreachable { status, .. }) if status == "error"), "{error}");
    sim.log().wait_until_idle(LONG).unwrap();
}

#[crate::runtime_test]
async fn readiness_looks_again_until_the_boot_is_done() {
    let sim = Sim::start().unwrap();
    let booting = Attempt::stream().progress("running", "starting containers").complete("running");
    let done = Attempt::stream().progress("running", "done").complete("running");
    sim.script("my-cvm", Script::new().then(booting).then(done));
    let watch = client(&sim).watch("my-cvm", "running").configure(|c| c.ready(true).max_retries(0));
    let state = watch.deadline(LONG).await.unwrap();
    assert_eq!(state.boot_progress.as_deref(), Some("done"));
    assert_eq!(sim.log().requests().len(), 2);
}

#[crate::runtime_test]
async fn a_stale_target_does_not_count_before_a_change() {
    let sim = Sim::start().unwrap();
    let stale = Attempt::stream().state("running").complete("running");
    let restarted = Attempt::stream().state("restarting").state("running").complete("running");
    sim.script("my-cvm", Script::new().then(stale).then(restarted));
    let watch = client(&sim).watch("my-cvm", "running").configure(|c| c.after_change(LONG).max_retries(0));
    watch.deadline(LONG).await.unwrap();
    assert_eq!(sim.log().requests().len(), 2);
}
