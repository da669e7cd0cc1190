//! Files that block their reader or writer: the deadline and signals hold all the same.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cvm_watch_sim::Sim;
use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Finished, Program, cvm_watch};
use crate::scratch::Folder;

/// Far longer than the deadline of each run here, and far shorter than a hang.
const SOON: Duration = Duration::from_secs(20);

/// A pipe with a name.
struct Fifo(Folder);

impl Fifo {
    /// `name` must be the test's own.
    fn new(name: &str) -> Self {
        let fifo = Self(Folder::new(name));
        assert!(Command::new("mkfifo").arg(fifo.0.path().join("fifo")).status().unwrap().success());
        fifo
    }

    fn path(&self) -> String {
        self.0.path().join("fifo").to_str().unwrap().to_owned()
    }

    /// Opens the other end, once the program has opened its own.
    fn writer(&self) -> File {
        File::options().write(true).open(self.path()).unwrap()
    }
}

fn wait(args: &str) -> Program {
    cvm_watch(&format!("wait {args} --output ndjson --deadline 1500ms"))
}

/// Checks that the deadline ended the run before any request, and that each output says so.
fn late(finished: &Finished, what: &str) {
    assert_eq!(finished.code, Some(3), "{finished:?}");
    let message = format!("the deadline of 1.5s passed; no status was seen: it took too long to read the {what}");
    let result: Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&result["type"], &result["error"]["kind"]), (&"result".into(), &"deadline_exceeded".into()));
    assert_eq!(result["error"]["message"], message);
    assert_eq!(finished.last_words(), format!("error: {message}"));
}

#[test]
fn the_deadline_ends_the_reading_of_ids() {
    let fifo = Fifo::new("ids-late");
    // No writer at all.
    late(&wait(&format!("--ids-from {}", fifo.path())).run(), "ids");
    // A writer that stalls after a part of the list.
    let running = wait(&format!("--ids-from {}", fifo.path())).start();
    let mut writer = fifo.writer();
    writer.write_all(b"web\n").unwrap();
    late(&running.finish(), "ids");
    let mut running = wait("web -").stdin(Stdio::piped()).start();
    let mut stdin = running.stdin();
    stdin.write_all(b"db\n").unwrap();
    late(&running.finish(), "ids");
}

#[test]
fn the_time_that_the_ids_took_is_part_of_the_deadline() {
    let sim = Sim::start().unwrap();
    let fifo = Fifo::new("ids-slow");
    let started = Instant::now();
    let running =
        cvm_watch(&format!("wait --ids-from {} --deadline 4s", fifo.path())).base_url(&sim.base_url()).start();
    let mut writer = fifo.writer();
    std::thread::sleep(Duration::from_secs(2));
    writer.write_all(b"stall-1\n").unwrap();
    drop(writer);
    let finished = running.finish();
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(finished.stdout.contains("the deadline of 4s passed; the last status was \"starting\""), "{finished:?}");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(3_900) && took < SOON, "{took:?}");
}

#[test]
fn the_deadline_and_signals_end_the_reading_of_certificates() {
    let fifo = Fifo::new("certificates");
    let run = |ids: &str| wait(&format!("{ids} --base-url https://127.0.0.1:9")).env("SSL_CERT_FILE", &fifo.path());
    for ids in ["web", "web db"] {
        late(&run(ids).run(), "certificates");
        // A writer that stalls after the beginning of a file.
        let running = run(ids).start();
        let mut writer = fifo.writer();
        writer.write_all(b"-----BEGIN CERTIFICATE-----\n").unwrap();
        late(&running.finish(), "certificates");
    }
    let sent = Instant::now();
    let running = cvm_watch("wait web --base-url https://127.0.0.1:9").env("SSL_CERT_FILE", &fifo.path()).start();
    let _writer = fifo.writer();
    running.signal(Signal::TERM);
    let finished = running.finish();
    assert_eq!(finished.code, Some(143), "{finished:?}");
    assert_eq!(finished.last_words(), "error: ended by SIGTERM; no status was seen");
    assert!(sent.elapsed() < SOON);
}

/// Over plain HTTP nothing of it is needed.
#[test]
fn certificates_that_are_not_needed_are_not_read() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    let fifo = Fifo::new("no-certificates");
    let finished = cvm_watch("wait boot-1").base_url(&sim.base_url()).env("SSL_CERT_FILE", &fifo.path()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}
