//! `cvm-watch state`: one request for each CVM.

use std::fs;
use std::thread;
use std::time::Duration;

use cvm_watch_sim::{Attempt, RefusedPort, Sim};
use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Finished, KEY, Program, cvm_watch};
use crate::scratch::{Folder, Scratch};

fn state(sim: &Sim, args: &str) -> Program {
    cvm_watch(&format!("state {args}")).base_url(&sim.base_url())
}

fn answer(status: &str) -> Attempt {
    Attempt::json(200, format!(r#"{{"status":"{status}"}}"#))
}

/// The head of an answer whose body is to come.
fn json_head() -> Attempt {
    Attempt::new().head(200, &[("content-type", "application/json")])
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn a_check_is_one_request_without_a_target() {
    let sim = Sim::start().unwrap();
    sim.script("web", answer("stopped"));
    let finished = state(&sim, "web").run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "web stopped\n"), "{finished:?}");
    assert_eq!((finished.stderr.as_str(), finished.notices.len()), ("", 0));
    let requests = sim.log().requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].uri, "/api/v1/cvms/web/state");
    assert_eq!(requests[0].header("x-api-key"), Some(KEY.as_bytes()));
}

#[test]
fn each_failed_request_has_the_exit_code_and_the_hint_of_its_kind_and_is_not_repeated() {
    let body = |status: u16| Attempt::json(status, r#"{"message":"no"}"#);
    let try_again = "try again; cvm-watch wait does that by itself";
    for (attempt, code, hint, words) in [
        (body(401), 5, "check the API key, which is from environment variable", "HTTP 401: no"),
        (body(404), 5, "check that the base URL ends with the API's path", "HTTP 404: no"),
        (body(503), 3, try_again, "gave up after 1 attempt: HTTP 503: no"),
        (body(429), 3, try_again, "gave up after 1 attempt: HTTP 429: no"),
        (Attempt::new().reset(), 3, try_again, "gave up after 1 attempt: the connection was reset"),
        (json_head().bytes("{").truncate(), 3, try_again, "gave up after 1 attempt: the response was cut off"),
        (Attempt::respond(200, "text/html", "<p>"), 5, "check the base URL, which is from", "text/html"),
        (Attempt::json(200, "[]"), 3, try_again, "gave up after 1 attempt: "),
    ] {
        let sim = Sim::start().unwrap();
        sim.script("web", attempt.clone());
        let finished = state(&sim, "web").run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), ""), "{attempt:?}: {finished:?}");
        assert!(finished.stderr.contains(&format!("hint: {hint}")), "{finished:?}");
        let line = finished.last_words();
        assert!(line.starts_with("error: ") && line.contains(words) && line.len() < 300, "{attempt:?}: {line}");
        assert_eq!(sim.log().requests().len(), 1, "{attempt:?}");
    }
    let port = RefusedPort::new().unwrap();
    let finished = cvm_watch("state web").base_url(&port.base_url()).run();
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(finished.stderr.contains("hint: check the network and the base URL"), "{finished:?}");
    assert!(finished.last_words().contains(&port.addr().to_string()), "{finished:?}");
}

#[test]
fn without_an_id_the_cvm_of_the_project_is_checked() {
    let sim = Sim::start().unwrap();
    sim.script("web", answer("running"));
    let folder = Folder::new("state-project");
    fs::write(folder.path().join("phala.toml"), "name = \"web\"\n").unwrap();
    let finished = state(&sim, "").folder(folder.path()).run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "web running\n"), "{finished:?}");
    assert_eq!(finished.stderr, "note: checking \"web\" of phala.toml\n");
}

#[test]
fn one_cvm_is_a_json_object_and_a_list_an_array_in_the_order_given() {
    let sim = Sim::start().unwrap();
    sim.script("web", Attempt::json(200, r#"{"status":"Running","boot_progress":"done","more":1}"#));
    sim.script("gone", Attempt::json(404, r#"{"message":"CVM not found","error_code":"ERR-03-001"}"#));
    let finished = state(&sim, "web -o json").run();
    let object = json(&finished);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    assert_eq!((&object["type"], &object["cvm"], &object["attempt"]), (&"check".into(), &"web".into(), &1.into()));
    assert_eq!(object["state"]["boot_progress"], "done");
    assert!(object.get("at_target").is_none() && object.get("error").is_none(), "{object}");
    let finished = state(&sim, "gone web db --target stopped,running -o json").run();
    let array = json(&finished);
    let ids: Vec<_> = array.as_array().unwrap().iter().map(|object| object["cvm"].as_str().unwrap()).collect();
    assert_eq!((ids.as_slice(), finished.code), (&["gone", "web", "db"][..], Some(5)), "{finished:?}");
    assert_eq!((&array[0]["error"]["kind"], &array[0]["error"]["status"]), (&"rejected".into(), &404.into()));
    assert!(array[0].get("at_target").is_none(), "{array}");
    assert_eq!(array[1]["at_target"], true);
    assert!(finished.last_words().starts_with("error: gone: the server rejected"), "{finished:?}");
    let list = Scratch::new("state-ids", b"web # the only one\n");
    let finished = state(&sim, &format!("--ids-from {} -o json", list.path())).run();
    assert_eq!(json(&finished).as_array().unwrap().len(), 1);
}

#[test]
fn many_cvms_are_checked_four_at_a_time_and_printed_in_the_order_given() {
    let sim = Sim::builder().speed(1.0).start().unwrap();
    let ids: Vec<_> = (0..12).map(|number| format!("cvm-{number}")).collect();
    for (number, id) in ids.iter().enumerate() {
        // The first of each four is the last to be answered.
        let late = if number % 4 == 0 { Duration::from_millis(50) } else { Duration::ZERO };
        let head = json_head();
        sim.script(id, head.wait(late).bytes(r#"{"status":"running"}"#));
    }
    let finished = state(&sim, &ids.join(" ")).run();
    let expected: String = ids.iter().map(|id| format!("{id} running\n")).collect();
    assert_eq!((finished.code, finished.stdout), (Some(0), expected), "{}", finished.stderr);
    assert_eq!(sim.log().requests().len(), 12);
}

#[test]
fn a_fifth_request_waits_for_an_answer() {
    let sim = Sim::start().unwrap();
    for id in ["a", "b", "c", "d", "e"] {
        sim.script(id, json_head().stall());
    }
    let mut running = state(&sim, "a b c d e --verbose").start();
    running.until_stderr_has_all(&["/cvms/a/state", "/cvms/b/state", "/cvms/c/state", "/cvms/d/state"]);
    running.signal(Signal::TERM);
    let finished = running.finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(143), ""), "{finished:?}");
    assert!(!finished.stderr.contains("/cvms/e/state"), "{finished:?}");
    assert_eq!(finished.last_words(), "error: ended by SIGTERM; no status was seen");
    assert_eq!(finished.stderr.matches("error: ").count(), 1, "{finished:?}");
}

#[test]
fn a_signal_ends_the_check_and_keeps_the_answers_so_far() {
    let sim = Sim::start().unwrap();
    sim.script("web", answer("running"));
    sim.script("slow", json_head().stall());
    let mut running = state(&sim, "web slow").start();
    assert_eq!(running.line(), "web running");
    running.signal(Signal::INT);
    let finished = running.finish();
    assert_eq!((finished.code, finished.last_words()), (Some(130), "error: ended by SIGINT; no status was seen"));
}

#[test]
fn verbose_says_what_the_set_up_is_but_not_the_key() {
    let sim = Sim::start().unwrap();
    sim.script("my cvm", answer("running"));
    let program = Program::new(&["state", "my cvm", "--verbose"]).base_url(&sim.base_url());
    let finished = program.run();
    let url = sim.base_url();
    for line in [
        "note: the API key comes from environment variable PHALA_CLOUD_API_KEY",
        &format!("note: the base URL comes from environment variable PHALA_CLOUD_API_PREFIX: {url}"),
        "note: the version of the API is the default, 2026-06-23",
        "note: this machine is reached without a proxy",
        &format!("note: requesting {url}/cvms/my%20cvm/state"),
        "note: the request for my cvm was answered after ",
    ] {
        assert!(finished.stderr.lines().any(|printed| printed.starts_with(line)), "{line} in {finished:?}");
    }
    assert!(!finished.stderr.contains(KEY), "{finished:?}");
    assert_eq!(finished.stdout, "my cvm running\n");
    // The proxy is named by its variable, and its password is not printed.
    let port = RefusedPort::new().unwrap();
    let proxy = format!("http://user:hunter2@{}", port.addr());
    let program = cvm_watch("state web -v --base-url https://cvm-watch.invalid").env("HTTPS_PROXY", &proxy);
    let finished = program.env("NO_PROXY", "other.invalid").run();
    let line = "note: the proxy comes from environment variable HTTPS_PROXY, unless NO_PROXY names the host\n";
    assert!(finished.stderr.contains(line) && !finished.stderr.contains("hunter2"), "{finished:?}");
    assert_eq!(finished.code, Some(3), "{finished:?}");
}

#[test]
fn quiet_prints_errors_only_and_the_flags_of_a_wait_are_refused() {
    let sim = Sim::start().unwrap();
    let running: Vec<_> = ["-q", "-q --target Running", "-q --target stopped"]
        .map(|flags| {
            sim.script("web", answer("running"));
            thread::spawn({
                let program = state(&sim, &format!("web {flags}"));
                || program.run()
            })
        })
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    let codes: Vec<_> = running.iter().map(|finished| finished.code).collect();
    assert_eq!(codes, [Some(0), Some(0), Some(1)]);
    assert!(running.iter().all(|finished| finished.stdout.is_empty()), "{running:?}");
    assert_eq!(running[2].stderr, "error: web is not stopped: the status is \"running\"\n");
    for (args, words) in [
        ("web --deadline 5m", "error: there is no flag --deadline"),
        ("web -o ndjson", "error: --output \"ndjson\" is not one of text, json"),
        ("web -q -v", "cannot be used with"),
        ("web --target ,", "error: --target must not be blank"),
        ("web --base-url nonsense", "error: --base-url "),
        ("", "error: no id is given"),
    ] {
        let finished = state(&sim, args).run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{finished:?}");
        assert!(finished.stderr.contains(words), "{words} in {finished:?}");
    }
    assert_eq!(sim.log().requests().len(), 3);
}
