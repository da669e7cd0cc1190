//! Processes: starting them from the benchmark's own program, and what they have used.

use std::env;
use std::io::{BufRead, BufReader, Lines};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;

use super::{CLIENT, SERVE};

/// A server in a separate process, ended with this value.
pub struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub address: SocketAddr,
}

impl Server {
    /// Starts one and waits until it listens.
    pub fn start() -> Self {
        let mut child = itself().arg(SERVE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a server");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = lines.next().expect("a line").expect("text").parse().expect("a port");
        Self { child, lines, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("text")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client in a separate process, and reads what it measured: its last line, as JSON.
pub fn client<T: DeserializeOwned>(arguments: &[String]) -> T {
    // One thread for async-std too: all clients have the same.
    let mut command = itself();
    command.arg(CLIENT).args(arguments).env("ASYNC_STD_THREAD_COUNT", "1").stdin(Stdio::null());
    let output = command.stderr(Stdio::inherit()).output().expect("a client");
    assert!(output.status.success(), "the client {arguments:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    serde_json::from_str(text.lines().next_back().expect("a line")).expect("its measures")
}

/// This program, to be started again.
pub fn itself() -> Command {
    Command::new(env::current_exe().expect("the path of this program"))
}

/// Raises the soft limit of open files to the hard one; answers with it.
pub fn allow_many_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        return limit.current.unwrap_or(u64::MAX);
    }
    limit.maximum.unwrap_or(u64::MAX)
}

/// The CPU time that this process has used.
pub fn cpu_time() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// Nanoseconds of a clock that is the same in every process of the machine.
pub fn monotonic() -> u64 {
    read(ClockId::Monotonic).as_nanos() as u64
}

/// The memory that this process has in RAM, in bytes, summed up page by page.
pub fn resident() -> u64 {
    field("/proc/self/smaps_rollup", "Rss:")
}

/// The most that it ever had in RAM since [`reset_peak`], in bytes.
pub fn peak_resident() -> u64 {
    field("/proc/self/status", "VmHWM:")
}

/// From now on [`peak_resident`] counts anew.
pub fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("this process's own file");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the field");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
