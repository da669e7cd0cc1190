//! One check and polls through the client, in virtual time.

use std::time::Duration;

use cvm_watch_driver::Update;
use cvm_watch_driver::cvm_watch_core::{Mode, Timestamp};
use cvm_watch_sim::{Attempt, Script};

use crate::sim::{client, start};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn answer(body: &str) -> Attempt {
    Attempt::new().head(200, JSON).bytes(body).close()
}

#[test]
fn a_client_asks_once_for_a_state_and_each_odd_answer_ends_with_one_sentence() {
    for (attempt, expected) in [
        (answer(r#"{"status":"stopped"}"#), "stopped"),
        (answer("{"), "gave up after 1 attempt: the server's answer is not the state of a CVM: the data is not JSON"),
        (
            Attempt::new().head(200, JSON).flood("x", 5 << 20),
            "gave up after 1 attempt: the server's answer is not the state of a CVM: the event is larger than 4194304 bytes",
        ),
        (
            Attempt::stream().state("running").stall(),
            "the server rejected the watch: HTTP 200 with content type \"text/event-stream\", not application/json; \
             check the base URL",
        ),
    ] {
        let sim = start();
        let ended = sim.time().run(client(&sim, attempt).state("my-cvm"));
        let ended = ended.map_or_else(|error| error.to_string(), |state| state.status);
        assert_eq!(ended, expected);
        let uris: Vec<_> = sim.log().requests().iter().map(|request| request.uri.clone()).collect();
        assert_eq!(uris, ["/api/v1/cvms/my-cvm/state"]);
        assert_eq!(sim.log().open_connections(), 0);
    }
}

#[test]
fn auto_reports_that_it_polls_once_streams_bring_nothing() {
    let sim = start();
    let silent = || Attempt::stream().stall();
    let script = Script::new().then(silent()).then(silent()).then(silent());
    let script = script.then(answer(r#"{"status":"starting"}"#)).then(answer(r#"{"status":"running"}"#));
    let watch = client(&sim, script).watch("my-cvm", "running").mode(Mode::Auto);
    let mut watch = watch.idle_timeout(Duration::from_secs(20)).retry_delay(Duration::ZERO);
    let mut switched = Vec::new();
    sim.time().run(async {
        while let Some(update) = watch.next_update().await {
            if update == Update::SwitchedToPolling {
                switched.push(sim.time().now());
            }
        }
    });
    assert_eq!(watch.outcome().unwrap().as_ref().unwrap().status, "running");
    assert_eq!(switched, [Timestamp::from_secs(60)]);
    // The second poll comes an interval after the first.
    assert_eq!(sim.time().now(), Timestamp::from_secs(65));
}
