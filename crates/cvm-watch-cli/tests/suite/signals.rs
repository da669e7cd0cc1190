//! SIGINT and SIGTERM in each phase: the wait ends at once, exit code and result say so, and the
//! connection is closed.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cvm_watch_sim::{Attempt, RefusedPort, Sim};
use nix::sys::signal::SigSet;
use rustix::process::Signal;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::program::{Finished, Running, cvm_watch};
use crate::scratch::{Folder, Scratch};

/// Far more than it takes, and far less than anything it could be waiting for.
const SOON: Duration = Duration::from_secs(5);

/// Sends the signal, and checks what must be true in every phase.
fn ended_by(signal: Signal, running: Running) -> Finished {
    let sent = Instant::now();
    running.signal(signal);
    let finished = running.finish();
    assert!(sent.elapsed() < SOON, "it took {:?}", sent.elapsed());
    let (code, name) = if signal == Signal::INT { (130, "SIGINT") } else { (143, "SIGTERM") };
    assert_eq!(finished.code, Some(code), "{finished:?}");
    let result: Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&result["type"], &result["outcome"]), (&"result".into(), &"failed".into()));
    assert_eq!(result["error"]["kind"], "aborted");
    assert!(finished.last_words().starts_with(&format!("error: ended by {name}; ")), "{finished:?}");
    finished
}

fn wait(id: &str, base_url: &str) -> Running {
    cvm_watch(&format!("wait {id} --output ndjson --retry-delay 1h --connect-timeout 1h")).base_url(base_url).start()
}

fn until(running: &mut Running, kind: &str) {
    let wanted = format!(r#""type":"{kind}""#);
    loop {
        let line = running.line();
        assert_ne!(line, "", "no {kind} came");
        if line.contains(&wanted) {
            return;
        }
    }
}

/// A listener whose queue is full and never emptied: the system drops what more clients send.
struct SilentPort {
    listener: Socket,
    _queued: Vec<Socket>,
}

impl SilentPort {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let connect = || {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let connected = client.connect_timeout(&listener.local_addr().unwrap(), Duration::from_millis(100));
            (client, connected.is_ok())
        };
        let mut queued = Vec::new();
        loop {
            let (client, connected) = connect();
            queued.push(client);
            if !connected {
                return Self { listener, _queued: queued };
            }
        }
    }

    fn base_url(&self) -> String {
        let addr = self.listener.local_addr().unwrap().as_socket().unwrap();
        format!("http://{addr}/")
    }
}

/// Contract row 21.
#[test]
fn a_signal_ends_a_stream_at_once_and_closes_its_connection() {
    for signal in [Signal::INT, Signal::TERM] {
        let sim = Sim::start().unwrap();
        let mut running = wait("stall-1", &sim.base_url());
        until(&mut running, "state");
        let finished = ended_by(signal, running);
        assert!(finished.last_words().ends_with("the last status was \"starting\""), "{finished:?}");
        assert!(sim.log().wait_until_closed(1, SOON).unwrap().left_by_client());
        assert_eq!(sim.log().requests().len(), 1);
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_response() {
    let sim = Sim::start().unwrap();
    let running = wait("silent-1", &sim.base_url());
    sim.log().wait_for_requests(1, SOON).unwrap();
    let finished = ended_by(Signal::INT, running);
    assert!(finished.last_words().ends_with("no status was seen"), "{finished:?}");
    assert!(sim.log().wait_until_closed(1, SOON).unwrap().left_by_client());
}

#[test]
fn a_signal_ends_the_wait_for_a_connection() {
    let silent = SilentPort::new();
    let mut running = wait("a", &silent.base_url());
    until(&mut running, "connecting");
    ended_by(Signal::INT, running);
}

#[test]
fn a_signal_ends_the_name_lookup() {
    let mut running = wait("a", "https://no-such-host.invalid/");
    until(&mut running, "connecting");
    ended_by(Signal::INT, running);
}

#[test]
fn a_signal_ends_the_tls_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let running = wait("a", &base_url);
    // Accepted, and then nothing: the handshake hangs.
    let _held = listener.accept().unwrap();
    ended_by(Signal::TERM, running);
}

#[test]
fn a_signal_ends_the_wait_for_a_retry() {
    let port = RefusedPort::new().unwrap();
    let mut running = wait("a", &port.base_url());
    until(&mut running, "retrying");
    ended_by(Signal::INT, running);
}

#[test]
fn a_signal_is_heard_in_a_flood() {
    let sim = Sim::start().unwrap();
    sim.script("flood", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", u64::MAX));
    let mut running = wait("flood", &sim.base_url());
    until(&mut running, "state");
    ended_by(Signal::INT, running);
    sim.log().wait_until_idle(SOON).unwrap();
}

#[test]
fn a_signal_takes_effect_while_the_output_is_not_read() {
    let sim = Sim::start().unwrap();
    sim.script("flood", Attempt::stream().flood("event: state\ndata: {\"status\":\"starting\"}\n\n", u64::MAX));
    let mut running = wait("flood", &sim.base_url());
    // One line proves that the flood is on; the pipe then fills up, and printing hangs.
    until(&mut running, "state");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(143));
}

#[test]
fn a_signal_ends_the_reading_of_ids() {
    // More than a pipe holds: once it is written, the program has begun to read.
    let list = [b'#'; 200_000];
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let outputs = Scratch::new(&format!("ids-{code}"), b"");
        let folder = Folder::new(&format!("fifo-{code}"));
        let fifo = folder.path().join("ids");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let wait = |ids: &str, mode: &str| {
            let run = cvm_watch(&format!("wait a {ids} --output {mode}")).env("GITHUB_OUTPUT", outputs.path());
            run.stdin(Stdio::piped()).start()
        };
        let running = wait(&format!("--ids-from {}", fifo.display()), "ndjson");
        let mut held = File::options().write(true).open(&fifo).unwrap();
        held.write_all(&list).unwrap();
        ended_by(signal, running);
        for mode in ["ndjson", "text", "github", "quiet"] {
            let mut running = wait("-", mode);
            let mut stdin = running.stdin();
            stdin.write_all(&list).unwrap();
            if mode == "ndjson" {
                let finished = ended_by(signal, running);
                let result: Value = serde_json::from_str(&finished.stdout).unwrap();
                assert_eq!((&result["cvm"], &result["attempt"]), (&"".into(), &0.into()), "{finished:?}");
                assert!(finished.last_words().ends_with("; no status was seen"), "{finished:?}");
                continue;
            }
            running.signal(signal);
            let finished = running.finish();
            assert_eq!(finished.code, Some(code), "{mode}: {finished:?}");
            assert!(finished.last_words().ends_with("; no status was seen"), "{finished:?}");
        }
        assert_eq!(outputs.text(), "outcome=failed\nerror=aborted\n");
    }
}

#[test]
fn quiet_reports_a_signal_in_one_line() {
    let sim = Sim::start().unwrap();
    let running = cvm_watch("wait stall-1 --output quiet").base_url(&sim.base_url()).start();
    sim.log().wait_for_requests(1, SOON).unwrap();
    running.signal(Signal::INT);
    let finished = running.finish();
    assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.lines().count()), (Some(130), "", 1));
    assert!(finished.stderr.starts_with("error: ended by SIGINT; "), "{finished:?}");
}

#[test]
fn a_signal_ends_the_demo_too() {
    let mut running = cvm_watch("demo").start();
    running.until_stderr("starting");
    running.signal(Signal::INT);
    let finished = running.finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(130), ""));
    assert!(finished.last_words().starts_with("error: ended by SIGINT; the last status was \"starting\""));
}

/// A parent process with its signals blocked, such as a thread of a JVM or of a supervisor.
#[test]
fn signals_that_the_parent_has_blocked_are_received() {
    let sim = Sim::start().unwrap();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for (args, code) in [("wait stall-1", code), ("wait stall-1 stall-2", code), ("sim", 0), ("demo", code)] {
            let program = cvm_watch(args).base_url(&sim.base_url());
            let start = move || {
                SigSet::all().thread_block().unwrap();
                program.start()
            };
            let mut running = std::thread::spawn(start).join().unwrap();
            if args == "sim" {
                running.line();
            } else {
                running.until_stderr("starting");
            }
            running.signal(signal);
            let finished = running.finish();
            assert_eq!(finished.code, Some(code), "{args}: {finished:?}");
        }
    }
}

/// `nohup`, and a shell without job control that starts a background job.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let sim = Sim::start().unwrap();
    for (name, ignored, other, code) in
        [("INT", Signal::INT, Signal::TERM, 143), ("TERM", Signal::TERM, Signal::INT, 130)]
    {
        for args in ["wait stall-1", "wait stall-1 stall-2"] {
            let mut running = cvm_watch(args).base_url(&sim.base_url()).in_shell(&format!("trap '' {name}")).start();
            running.until_stderr("starting");
            for _ in 0..3 {
                running.signal(ignored);
            }
            running.signal(other);
            let finished = running.finish();
            assert_eq!(finished.code, Some(code), "{name} {args}: {finished:?}");
        }
    }
}

/// A signal without a handler does nothing to the first process of a PID namespace.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_the_first_process_of_a_container() {
    let unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    if !Command::new(unshare[0]).args(&unshare[1..]).arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: this user may not make a PID namespace");
        return;
    }
    let sim = Sim::start().unwrap();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut running = cvm_watch("wait stall-1").base_url(&sim.base_url()).under(&unshare).start();
        running.until_stderr("starting");
        let parent = running.pid().as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let child = children.split_whitespace().next().unwrap().parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(child).unwrap(), signal).unwrap();
        let finished = running.finish();
        assert_eq!(finished.code, Some(code), "{finished:?}");
    }
}

#[test]
fn too_few_open_files_are_a_sentence_and_exit_code_1() {
    let sim = Sim::start().unwrap();
    for files in 4..=14 {
        for args in ["wait boot-1", "wait boot-1 boot-2", "wait -", "sim", "demo"] {
            let program = cvm_watch(args).base_url(&sim.base_url()).in_shell(&format!("ulimit -n {files}"));
            let finished = program.run();
            assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{files}: {finished:?}");
            assert!(finished.stderr.starts_with("error: cannot start: "), "{files}: {finished:?}");
            assert!(finished.stderr.ends_with("raise the limit of open files (ulimit -n)\n"), "{files}: {finished:?}");
            assert_eq!(finished.stderr.lines().count(), 1, "{files}: {finished:?}");
        }
    }
    assert_eq!(sim.log().requests().len(), 0);
}
