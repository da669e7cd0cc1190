//! Closed outputs: printing stops; the wait and its exit code are unaffected.

#[cfg(target_os = "linux")]
use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use cvm_watch_sim::Sim;

use crate::program::cvm_watch;

#[test]
fn a_closed_stdout_ends_the_printing_and_not_the_wait() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    for (id, code) in [("boot-1", 0), ("http-403-1", 5)] {
        for flags in ["", "--output ndjson"] {
            let mut running = cvm_watch(&format!("wait {id} {flags}")).base_url(&sim.base_url()).start();
            running.close_stdout();
            let finished = running.finish();
            assert_eq!(finished.code, Some(code), "{id} {flags}: {finished:?}");
        }
    }
    assert_eq!(sim.log().requests().len(), 4);
}

#[test]
fn a_closed_stderr_ends_the_printing_and_not_the_wait() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    for log in ["", "trace"] {
        for (id, code, stdout) in [("boot-1", 0, "boot-1 running\n"), ("http-403-1", 5, "")] {
            let mut running = cvm_watch(&format!("wait {id}")).env("RUST_LOG", log).base_url(&sim.base_url()).start();
            running.close_stderr();
            let finished = running.finish();
            assert_eq!((finished.code, finished.stdout.as_str()), (Some(code), stdout));
        }
    }
}

#[test]
fn help_usage_and_base_url_may_be_left_unread() {
    for (args, code) in [("wait --help", 0), ("--version", 0), ("wait", 2), ("", 2), ("sim --speed 0", 2)] {
        let mut running = cvm_watch(args).start();
        running.close_stdout();
        running.close_stderr();
        assert_eq!(running.finish().code, Some(code), "{args}");
    }
}

#[test]
fn decode_stops_without_an_error_when_stdout_closes() {
    let mut running = cvm_watch("decode").stdin(Stdio::piped()).start();
    running.close_stdout();
    let mut stdin = running.stdin();
    // Writing fails once the program is gone.
    while stdin.write_all(b"data: 1\n\n").is_ok() {}
    assert_eq!(running.finish().code, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_reported_once_and_the_exit_code_is_that_of_the_wait() {
    let sim = Sim::builder().speed(20.0).start().unwrap();
    for (ids, code) in [("boot-1", 0), ("http-403-1", 5), ("boot-2 http-403-2", 5)] {
        for mode in ["text", "ndjson", "github", "quiet"] {
            let full = File::options().write(true).open("/dev/full").unwrap();
            let run = cvm_watch(&format!("wait {ids} --output {mode}")).base_url(&sim.base_url());
            let finished = run.stdout(full).run();
            assert_eq!(finished.code, Some(code), "{ids} {mode}: {finished:?}");
            let warning = "warning: cannot write to stdout: No space left on device (os error 28)\n";
            // The result of one CVM that failed is on stderr.
            let is_reported = mode != "quiet" && (mode != "text" || ids != "http-403-1");
            assert_eq!(
                finished.stderr.matches(warning).count(),
                usize::from(is_reported),
                "{mode} {ids}: {finished:?}"
            );
            assert_eq!(finished.stderr.matches("No space").count(), usize::from(is_reported), "{finished:?}");
            if code != 0 && mode != "quiet" {
                assert!(finished.last_words().starts_with("error: "), "{finished:?}");
            }
        }
    }
}
