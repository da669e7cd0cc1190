//! Each way a watch can end, over a real socket: exit code, stdout, last words, number of requests.

use std::thread;

use cvm_watch_sim::{Attempt, RefusedPort, Sim};

use crate::program::{Finished, cvm_watch};

/// A scenario and flags; then the exit code, what stderr ends in, and the number of requests.
type Case = (&'static str, i32, &'static str, usize);

fn run(case: &Case) -> (Finished, usize) {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    let finished = cvm_watch(&format!("wait {}", case.0)).base_url(&sim.base_url()).run();
    (finished, sim.log().requests().len())
}

fn check_each(cases: &'static [Case]) {
    let running: Vec<_> = cases.iter().map(|case| (case, thread::spawn(|| run(case)))).collect();
    for (case @ (flags, code, words, requests), thread) in running {
        let (finished, seen) = thread.join().unwrap();
        assert_eq!(finished.code, Some(*code), "{case:?}: {finished:?}");
        assert_eq!(seen, *requests, "{case:?}: {finished:?}");
        if *code == 0 {
            let id = flags.split(' ').next().unwrap();
            assert_eq!(finished.stdout, format!("{id} {words}\n"), "{case:?}");
        } else {
            assert_eq!(finished.stdout, "", "{case:?}");
            let line = finished.last_words();
            assert!(line.starts_with("error: ") && line.contains(words), "{case:?}: {line}");
            assert!(line.len() < 300, "{case:?}: {line}");
        }
    }
}

#[test]
fn a_reached_target_is_exit_code_0_and_its_status_on_stdout() {
    check_each(&[
        ("boot-1", 0, "running", 1),
        ("any-other-id", 0, "running", 1),
        ("stop-1 --target Stopped", 0, "stopped", 1),
        ("complete-only-1", 0, "running", 1),
        ("complete-upper-1", 0, "RUNNING", 1),
        ("after-complete-1", 0, "running", 1),
        ("no-complete-1", 0, "running", 1),
        ("no-complete-end-1", 0, "running", 1),
        ("no-complete-reset-1", 0, "running", 1),
        ("no-complete-cut-1", 0, "running", 1),
        ("no-complete-timeout-1", 0, "running", 1),
        ("error-event-1", 0, "running", 1),
        ("malformed-1", 0, "running", 1),
        ("odd-fields-1", 0, "running", 1),
        ("other-event-1", 0, "running", 1),
        ("odd-format-1", 0, "running", 1),
        ("bytewise-1", 0, "running", 1),
        ("too-large-1", 0, "running", 1),
        ("no-type-1", 0, "running", 1),
        ("http10-1", 0, "running", 1),
        ("until-close-1", 0, "running", 1),
        ("interim-1", 0, "running", 1),
        ("retry-1 --retry-delay 10ms", 0, "running", 2),
        ("resume-1 --retry-delay 0", 0, "running", 2),
    ]);
}

#[test]
fn used_up_retries_or_a_passed_deadline_are_exit_code_3() {
    check_each(&[
        ("end-1 --max-retries 0", 3, "gave up after 1 attempt: the stream ended", 1),
        ("end-1 --max-retries 2 --retry-delay 0", 3, "gave up after 3 attempts: the stream ended", 3),
        ("empty-1 --max-retries 1 --retry-delay 0", 3, "the stream ended", 2),
        ("wrong-complete-1 --max-retries 1 --retry-delay 0", 3, "which is not the target", 2),
        ("timeout-1 --max-retries 1 --retry-delay 0", 3, "the server's timeout for this stream", 2),
        ("timeout-odd-1 --max-retries 0", 3, "the server's timeout for this stream", 1),
        ("error-end-1 --max-retries 0", 3, "gave up after 1 attempt: the stream ended: ", 1),
        ("refuse-1 --max-retries 0", 3, "without an answer", 1),
        ("silent-1 --max-retries 0 --connect-timeout 1s", 3, "no response within the connect timeout", 1),
        ("stall-1 --max-retries 0 --idle-timeout 100ms", 3, "nothing was received within the idle timeout", 1),
        ("reset-1 --max-retries 1 --retry-delay 0", 3, "the connection was reset", 2),
        ("cut-1 --max-retries 1 --retry-delay 0", 3, "the response was cut off", 2),
        ("cut-length-1 --max-retries 0", 3, "the response was cut off", 1),
        ("bad-chunk-1 --max-retries 0", 3, "not valid HTTP", 1),
        ("not-http-1 --max-retries 0", 3, "not valid HTTP", 1),
        ("endless-headers-1 --max-retries 0", 3, "the response head is too large", 1),
        ("endless-header-1 --max-retries 0", 3, "the response head is too large", 1),
        ("http-408-1 --max-retries 1 --retry-delay 0", 3, "HTTP 408", 2),
        ("http-409-1 --max-retries 0", 3, "HTTP 409", 1),
        ("http-425-1 --max-retries 0", 3, "HTTP 425", 1),
        ("http-429-1 --max-retries 0", 3, "HTTP 429", 1),
        ("http-500-1 --max-retries 0", 3, "HTTP 500", 1),
        ("http-503-1 --max-retries 0", 3, "HTTP 503", 1),
        ("heartbeat-1 --deadline 2s", 3, "the deadline of 2s passed", 1),
        ("stall-1 --deadline 2s", 3, "the deadline of 2s passed; the last status was \"starting\"", 1),
        ("reset-1 --deadline 2s --retry-delay 1h", 3, "the connection was reset", 1),
    ]);
}

#[test]
fn an_answer_that_no_retry_changes_is_exit_code_5() {
    check_each(&[
        ("http-204-1", 5, "HTTP 204", 1),
        ("http-400-1", 5, "HTTP 400", 1),
        ("http-401-1", 5, "HTTP 401", 1),
        ("http-403-1", 5, "HTTP 403 (forbidden): this CVM belongs to another team", 1),
        ("http-404-1", 5, "HTTP 404 (ERR-03-001): CVM not found", 1),
        ("http-409-coded-1", 5, "HTTP 409", 1),
        ("http-422-1", 5, "HTTP 422", 1),
        ("redirect-1", 5, "redirects are not followed, set the base URL", 1),
        ("html-1", 5, "content type \"text/html; charset=utf-8\"", 1),
        ("gzip-1", 5, "content encoding \"gzip\"", 1),
        ("late-body-1", 5, "HTTP 403", 1),
        ("cut-body-1", 5, "HTTP 403", 1),
        ("endless-body-1", 5, "HTTP 403", 1),
    ]);
}

#[test]
fn a_refused_connection_names_host_and_port_and_the_io_error() {
    let port = RefusedPort::new().unwrap();
    let finished = cvm_watch("wait my-cvm --max-retries 0").base_url(&port.base_url()).run();
    assert_eq!(finished.code, Some(3), "{finished:?}");
    let expected = format!(
        "error: gave up after 1 attempt: the connection was refused: {}: Connection refused (os error 111)",
        port.addr()
    );
    assert_eq!(finished.last_words(), expected);
}

#[test]
fn a_long_server_message_still_gives_one_short_line() {
    let sim = Sim::start().unwrap();
    let body = format!(r#"{{"message":"{}","error_code":"{}"}}"#, "ä\u{7}".repeat(9_000), "🎈".repeat(9_000));
    sim.script("my-cvm", Attempt::json(403, body));
    let finished = cvm_watch("wait my-cvm").base_url(&sim.base_url()).run();
    assert_eq!(finished.code, Some(5));
    assert!(finished.last_words().len() < 300 && finished.last_words().ends_with('…'), "{finished:?}");
}

#[test]
fn what_the_server_suggests_stands_before_the_last_line() {
    let sim = Sim::start().unwrap();
    let finished = cvm_watch("wait http-404-1").base_url(&sim.base_url()).run();
    for line in ["suggestion: Check the id", "request id: "] {
        assert!(finished.stderr.contains(line), "{finished:?}");
    }
    assert!(finished.last_words().starts_with("error: "), "{finished:?}");
}

/// The parameters arrive at the server as given, and what was not given is left to its default.
#[test]
fn flags_reach_the_request() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    let run = cvm_watch("wait --target STOPPED --interval 30 --timeout 10m stop-1").base_url(&sim.base_url());
    assert_eq!(run.run().stdout, "stop-1 stopped\n");
    let requests = sim.log().requests();
    assert_eq!(requests[0].uri, "/api/v1/cvms/stop-1/state?target=STOPPED&interval=30&timeout=600");
    assert_eq!(requests[0].header("x-api-key"), Some(crate::program::KEY.as_bytes()));
}

#[test]
fn the_flag_for_the_base_url_beats_the_variable() {
    let (sim, other) = (Sim::builder().speed(50.0).start().unwrap(), Sim::start().unwrap());
    let run = cvm_watch("wait my-cvm --base-url").arg(&sim.base_url()).base_url(&other.base_url());
    assert_eq!(run.run().code, Some(0));
    assert_eq!((sim.log().requests().len(), other.log().requests().len()), (1, 0));
}

#[test]
fn an_id_with_a_dash_in_front_comes_after_two_dashes() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    let finished = cvm_watch("wait -- --output").base_url(&sim.base_url()).run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "--output running\n"));
    assert_eq!(sim.log().requests()[0].path(), "/api/v1/cvms/--output/state");
}
