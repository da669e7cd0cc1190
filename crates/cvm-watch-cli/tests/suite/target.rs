//! A target that looks like a slip of the pen.

use cvm_watch_sim::{Attempt, Sim};
use serde_json::Value;

use crate::program::{Program, cvm_watch};

const WORDS: &str = "target \"Runing\" is not a known status; did you mean \"running\"? Waiting for it all the same";

fn sim() -> Sim {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("runing").complete("runing"));
    sim
}

fn wait(sim: &Sim, args: &str) -> Program {
    cvm_watch(&format!("wait my-cvm --target {args}")).base_url(&sim.base_url())
}

#[test]
fn an_unknown_target_is_reported_once_with_the_nearest_known_and_the_watch_goes_on() {
    let sim = sim();
    let finished = wait(&sim, "Runing").run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm runing\n"));
    assert!(finished.stderr.starts_with(&format!("warning: {WORDS}\n")), "{finished:?}");
    assert_eq!(finished.stderr.matches("warning: ").count(), 1);
    assert!(sim.log().requests()[0].uri.contains("target=Runing&"), "it is asked for as given");
}

#[test]
fn each_output_tells_it_in_its_own_way() {
    let sim = sim();
    let finished = wait(&sim, "Runing --output ndjson").run();
    let first: Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&first["type"], &first["attempt"], &first["message"]), (&"warning".into(), &0.into(), &WORDS.into()));
    assert_eq!(finished.stderr, "");
    let finished = wait(&sim, "Runing --output github").run();
    let first = finished.stdout.lines().next().unwrap();
    assert_eq!(first, format!("::warning title=cvm-watch%3A my-cvm::{WORDS}"));
    let finished = wait(&sim, "Runing --output quiet").run();
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn an_unknown_status_to_fail_on_is_reported_with_the_nearest_known_and_still_counts() {
    let sim = Sim::start().unwrap();
    let stuck = Attempt::stream().state("starting").state("exitd").state("exitd").stall();
    sim.script("my-cvm", stuck.clone());
    sim.script("other", stuck);
    let words = |given: &str, nearest: &str| {
        format!(
            "status \"{given}\" of --fail-on is not a known one; did you mean \"{nearest}\"? Giving up on it all the same"
        )
    };
    for ids in ["my-cvm", "my-cvm other"] {
        let wait = |mode: &str| {
            let args = format!("wait {ids} --fail-on exitd,Stopped,removd --output {mode}");
            cvm_watch(&args).base_url(&sim.base_url()).run()
        };
        let finished = wait("text");
        assert_eq!(finished.code, Some(4), "{finished:?}");
        let expected = format!("warning: {}\nwarning: {}\n", words("exitd", "exited"), words("removd", "removing"));
        assert!(finished.stderr.starts_with(&expected), "{finished:?}");
        assert_eq!(finished.stderr.matches("warning: ").count(), 2, "{finished:?}");
        let finished = wait("ndjson");
        let first: Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
        assert_eq!((&first["type"], &first["message"]), (&"warning".into(), &words("exitd", "exited").into()));
        assert!(!wait("quiet").stderr.contains("warning: "));
    }
}

#[test]
fn a_known_target_in_any_case_is_no_slip() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    for target in ["RUNNING", "Exited"] {
        let id = if target == "RUNNING" { "boot-1" } else { "exited" };
        sim.script("exited", Attempt::stream().state("exited").complete("exited"));
        let finished = cvm_watch(&format!("wait {id} --target {target}")).base_url(&sim.base_url()).run();
        assert!(finished.code == Some(0) && !finished.stderr.contains("warning"), "{finished:?}");
    }
}
