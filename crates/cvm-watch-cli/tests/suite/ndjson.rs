//! `--output ndjson`: the shape of each type of line.

use cvm_watch_sim::{Attempt, Script, Sim};
use serde_json::{Map, Value, json};

use crate::program::{Finished, cvm_watch};

fn lines(finished: &Finished) -> Vec<Map<String, Value>> {
    let parse = |line| match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        other => panic!("{line} is no object: {other:?}"),
    };
    finished.stdout.lines().map(parse).collect()
}

/// The lines without what each of them has: `cvm`, which must be `my-cvm`, and `elapsed_ms`, which
/// must not go back.
fn bodies(finished: &Finished) -> Vec<Value> {
    let mut elapsed = 0;
    let mut body = |mut line: Map<String, Value>| {
        assert_eq!(line.remove("cvm"), Some("my-cvm".into()));
        assert_eq!(line.remove("version"), Some(1.into()));
        let at = line.remove("elapsed_ms").unwrap().as_u64().unwrap();
        assert!(at >= elapsed, "{line:?} goes back from {elapsed} to {at}");
        elapsed = at;
        Value::Object(line)
    };
    lines(finished).into_iter().map(&mut body).collect()
}

fn played(script: impl Into<Script>, flags: &str) -> Finished {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", script);
    cvm_watch(&format!("wait my-cvm --output ndjson --retry-delay 0 {flags}")).base_url(&sim.base_url()).run()
}

#[test]
fn each_type_of_line_has_its_shape_and_the_result_is_last() {
    let script = Script::new()
        .then(Attempt::json(503, json!({ "message": "busy" })))
        .then(
            Attempt::stream()
                .bytes("id: 7\n")
                .event("state", r#"{"status":"starting","boot_progress":"booting","extra":[1.50e2]}"#)
                .event("news", "of the\nday")
                .bytes("data: nameless\n\n")
                .event("state", "{")
                .event("error", r#"{"error":"host busy","since":1}"#)
                .timeout("running", 300.0),
        )
        .then(Attempt::stream().event("state", r#"{"status":"running","name":"n"}"#).complete("running"));
    let finished = played(script, "");
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    let timeout = json!({ "error": "timed out waiting for running", "target": "running", "elapsed": 300.0 });
    let state = json!({
        "status": "running", "id": null, "instance_id": null, "name": "n", "uptime": null, "exited_at": null,
        "boot_progress": null, "boot_error": null, "shutdown_progress": null,
    });
    let cause = "the server's timeout for this stream was reached";
    let expected = [
        json!({ "type": "connecting", "attempt": 1 }),
        json!({ "type": "retrying", "attempt": 1, "delay_ms": 0, "cause": "HTTP 503: busy", "status": 503 }),
        json!({ "type": "connecting", "attempt": 2 }),
        json!({ "type": "state", "attempt": 2, "id": "7",
                "data": { "status": "starting", "boot_progress": "booting", "extra": [150.0] } }),
        json!({ "type": "other", "attempt": 2, "id": "7", "name": "news", "data": "of the\nday" }),
        json!({ "type": "other", "attempt": 2, "id": "7", "name": "message", "data": "nameless" }),
        json!({ "type": "malformed", "attempt": 2, "id": "7", "name": "state", "data": "{",
                "reason": "the data is not JSON" }),
        json!({ "type": "error", "attempt": 2, "id": "7", "data": { "error": "host busy", "since": 1 } }),
        json!({ "type": "timeout", "attempt": 2, "id": "7", "data": timeout }),
        json!({ "type": "reconnecting", "attempt": 2, "delay_ms": 0, "cause": cause }),
        json!({ "type": "connecting", "attempt": 3 }),
        json!({ "type": "state", "attempt": 3, "id": "7", "data": { "status": "running", "name": "n" } }),
        json!({ "type": "complete", "attempt": 3, "id": "7",
                "data": { "status": "running", "target": "running", "elapsed": 1.5 } }),
        json!({ "type": "result", "attempt": 3, "outcome": "resolved", "state": state }),
    ];
    assert_eq!(bodies(&finished), expected);
}

#[test]
fn the_servers_json_is_embedded_as_it_came_in_one_line() {
    let data =
        "{ \"status\": \"running\",\n  \"n\": 1.50e2, \"big\": 12345678901234567890123,\n \"c1\": \"\u{9b}2J\" }";
    let finished = played(Attempt::stream().event("state", data).complete("running"), "");
    let line = finished.stdout.lines().nth(1).unwrap();
    let expected =
        r#""data":{ "status": "running",   "n": 1.50e2, "big": 12345678901234567890123,  "c1": "\u009b2J" }}"#;
    assert!(line.ends_with(expected), "{line}");
}

#[test]
fn a_dropped_event_is_reported_by_its_size() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let finished = cvm_watch("wait too-large-1 --output ndjson").base_url(&sim.base_url()).run();
    let lines = lines(&finished);
    let dropped = lines.iter().find(|line| line["type"] == "malformed").unwrap();
    assert_eq!((&dropped["name"], &dropped["data"]), (&"".into(), &"".into()));
    assert_eq!(dropped["reason"], "the event is larger than 4194304 bytes");
}

#[test]
fn a_failure_has_its_kind_message_and_status() {
    let rejected = Attempt::json(404, json!({ "error_code": "ERR-03-001", "message": "CVM not found" }));
    let again = "raise --max-retries, or leave it out and set --deadline";
    for (script, flags, code, error) in [
        (
            rejected,
            "",
            5,
            json!({ "kind": "rejected", "status": 404, "error_code": "ERR-03-001",
                    "hint": "check the id, and that the CVM belongs to the API key's workspace (--profile chooses \
                             another); the key is from environment variable PHALA_CLOUD_API_KEY",
                    "message": "the server rejected the watch: HTTP 404 (ERR-03-001): CVM not found" }),
        ),
        (
            Attempt::json(503, json!({ "message": "busy" })),
            "--max-retries 0",
            3,
            json!({ "kind": "max_retries_exceeded", "status": 503, "hint": again,
                    "message": "gave up after 1 attempt: HTTP 503: busy" }),
        ),
        (
            Attempt::stream().close(),
            "--max-retries 0",
            3,
            json!({ "kind": "max_retries_exceeded", "hint": again, "message": "gave up after 1 attempt: the stream ended" }),
        ),
        (
            Attempt::stream().state("starting").stall(),
            "--deadline 2s",
            3,
            json!({ "kind": "deadline_exceeded", "last_status": "starting",
                    "hint": "raise --deadline, or find out why the CVM stays \"starting\"",
                    "message": "the deadline of 2s passed; the last status was \"starting\"" }),
        ),
    ] {
        let finished = played(script, flags);
        let last = bodies(&finished).pop().unwrap();
        assert_eq!(last, json!({ "type": "result", "attempt": 1, "outcome": "failed", "error": error }));
        assert_eq!(finished.code, Some(code));
        assert_eq!(finished.stderr, format!("error: {}\n", error["message"].as_str().unwrap()));
    }
}

#[test]
fn the_output_json_is_the_result_alone_with_progress_on_stderr() {
    let sim = Sim::start().unwrap();
    let wait = |flags: &str| cvm_watch(&format!("wait {flags}")).base_url(&sim.base_url()).run();
    let script = || Attempt::stream().state("starting").state("running").complete("running");
    sim.script("my-cvm", script());
    let finished = wait("my-cvm -o json");
    let [result] = &bodies(&finished)[..] else { panic!("{finished:?}") };
    assert_eq!((&result["type"], &result["outcome"]), (&"result".into(), &"resolved".into()));
    assert_eq!((&result["attempt"], &result["state"]["status"]), (&1.into(), &"running".into()));
    assert!(finished.stderr.contains("my-cvm: starting"), "{finished:?}");
    sim.script("my-cvm", script());
    let finished = wait("my-cvm http-404-1 -o json --progress none");
    let [summary] = &lines(&finished)[..] else { panic!("{finished:?}") };
    assert_eq!((&summary["type"], &summary["exit_code"]), (&"summary".into(), &5.into()));
    let results: Vec<_> = summary["results"].as_array().unwrap().iter().collect();
    let of = |id: &str| results.iter().find(|result| result["cvm"] == id).unwrap();
    assert_eq!((results.len(), &of("my-cvm")["outcome"]), (2, &"resolved".into()));
    assert_eq!(of("http-404-1")["error"]["kind"], "rejected");
    assert!(!finished.stderr.contains("connecting"), "{finished:?}");
    assert_eq!(finished.last_words(), "error: 1 of 2 CVMs did not get to running");
    let finished = wait("my-cvm -o json --interval 4");
    assert_eq!((finished.code, lines(&finished)[0]["error"]["kind"].as_str()), (Some(2), Some("invalid_input")));
}

#[test]
fn a_line_is_out_as_soon_as_its_event_is_in() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("starting").stall());
    let mut running = cvm_watch("wait my-cvm --output ndjson").base_url(&sim.base_url()).start();
    assert!(running.line().contains(r#""type":"connecting""#));
    // The stream stays open: a line that were held back would never come.
    assert!(running.line().contains(r#""status":"starting""#));
}

#[test]
fn json_that_parsers_refuse_is_a_string_and_every_line_can_be_read() {
    let sim = Sim::start().unwrap();
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let state = |more: &str| format!("{{\"status\":\"starting\",\"x\":{more}}}");
    let attempt = Attempt::stream()
        .event("state", state(&nested(125)))
        .event("state", state(&nested(126)))
        .event("state", state("\"\\ud800\""))
        .event("state", state("{\"\\udc00\":1}"))
        .event("state", state("1e999"))
        .complete("running");
    sim.script("my-cvm", attempt);
    let finished = cvm_watch("wait my-cvm --output ndjson").base_url(&sim.base_url()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states = lines.iter().filter(|line| line["type"] == "state");
    let are_objects: Vec<_> = states.map(|line| line["data"].is_object()).collect();
    assert_eq!(are_objects, [true, false, false, false, false]);
}
