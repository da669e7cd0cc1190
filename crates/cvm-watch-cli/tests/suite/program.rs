//! The program as a child process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// The key that the program is given unless a test says otherwise.
pub(crate) const KEY: &str = "phak_3Xample/key+of-tests=";

/// A run that takes longer hangs, and is killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A home directory that does not exist, so that no run reads the machine's set-up.
const NO_HOME: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/no-home");

/// A run to come, in an environment of nothing but a key and a home directory that is not there.
pub(crate) struct Program(Command);

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; `None` if a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    /// Without the notices.
    pub(crate) stderr: String,
    /// The notice that the wait has no limit, which most runs of these tests have not.
    pub(crate) notices: Vec<String>,
}

/// A run under way. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// What was read of stdout line by line, if it must follow the schema.
    ndjson: Option<String>,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<BufReader<ChildStderr>>,
    _watchdog: Sender<()>,
}

/// Runs a program with the default actions for signals that this process ignores.
const RESET_SIGNALS: [&str; 2] = ["/usr/bin/env", "--default-signal=INT,TERM"];

/// Prepares a run with these arguments, a space between each two.
pub(crate) fn cvm_watch(args: &str) -> Program {
    Program::new(&args.split(' ').filter(|arg| !arg.is_empty()).collect::<Vec<_>>())
}

impl Program {
    pub(crate) fn new(args: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_cvm-watch");
        // Tests in the background of a script ignore SIGINT, and so would the program.
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or_default();
        let reset = if ignored & (1 << 1 | 1 << 14) == 0 { &[][..] } else { &RESET_SIGNALS[..] };
        let mut words = reset.iter().copied().chain([program]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(args).env_clear().env("PHALA_CLOUD_API_KEY", KEY);
        // Without HOME the system would be asked for the user's.
        command.env("HOME", NO_HOME).env("PHALA_CLOUD_DIR", NO_HOME);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn without_key(mut self) -> Self {
        self.0.env_remove("PHALA_CLOUD_API_KEY");
        self
    }

    /// With this home directory, and what the `phala` command line keeps in it.
    pub(crate) fn home(mut self, home: &str) -> Self {
        self.0.env_remove("PHALA_CLOUD_DIR");
        self.env("HOME", home)
    }

    /// In this working directory.
    pub(crate) fn folder(mut self, folder: &std::path::Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    pub(crate) fn base_url(self, url: &str) -> Self {
        self.env("PHALA_CLOUD_API_PREFIX", url)
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.0.stdin(stdin);
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.0.stdout(stdout);
        self
    }

    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.0.stderr(stderr);
        self
    }

    /// Run by this program, as its last arguments.
    pub(crate) fn under(self, wrapper: &[&str]) -> Self {
        let words: Vec<_> = [self.0.get_program()].into_iter().chain(self.0.get_args()).collect();
        // The wrapper may ignore signals itself, so they are reset before it runs.
        let (reset, words) = words.split_at(if words[0] == RESET_SIGNALS[0] { RESET_SIGNALS.len() } else { 0 });
        let mut all = reset.iter().copied().chain(wrapper.iter().map(OsStr::new)).chain(words.iter().copied());
        let mut command = Command::new(all.next().unwrap());
        command.args(all).env_clear();
        command.envs(self.0.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// Run in place of a shell that has executed these commands. Set the streams after this.
    pub(crate) fn in_shell(self, commands: &str) -> Self {
        self.under(&["/bin/sh", "-c", &format!("{commands}; exec \"$@\""), "sh"])
    }

    pub(crate) fn start(mut self) -> Running {
        let args: Vec<_> = self.0.get_args().map(|arg| arg.to_string_lossy()).collect();
        let is_json = |pair: &[std::borrow::Cow<'_, str>]| {
            ["--output", "-o"].contains(&&*pair[0]) && ["ndjson", "json"].contains(&&*pair[1])
        };
        let ndjson = args.windows(2).any(is_json).then(String::new);
        let mut child = self.0.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = child.stderr.take().map(BufReader::new);
        let pid = Pid::from_child(&child);
        let (over, watchdog) = mpsc::channel::<()>();
        thread::spawn(move || {
            if watchdog.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        Running { child, ndjson, stdout, stderr, _watchdog: over }
    }

    pub(crate) fn run(self) -> Finished {
        self.start().finish()
    }
}

impl Running {
    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// The next line of stdout, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        if let Some(ndjson) = &mut self.ndjson {
            ndjson.push_str(&line);
        }
        line.trim_end_matches('\n').to_owned()
    }

    /// Reads stderr until a line that holds `text`.
    pub(crate) fn until_stderr(&mut self, text: &str) {
        self.until_stderr_has_all(&[text]);
    }

    /// Reads stderr until each of these was in a line, in any order.
    pub(crate) fn until_stderr_has_all(&mut self, texts: &[&str]) {
        let mut missing = texts.to_vec();
        let mut line = String::new();
        while !missing.is_empty() {
            line.clear();
            assert_ne!(self.stderr.as_mut().unwrap().read_line(&mut line).unwrap(), 0, "no {missing:?} came");
            missing.retain(|text| !line.contains(text));
        }
    }

    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    pub(crate) fn close_stderr(&mut self) {
        self.stderr = None;
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the process has stopped, without waiting for its end.
    pub(crate) fn wait_until_stopped(&self) {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid()), options).unwrap();
    }

    /// Waits for the end without reading what is printed.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Reads the rest, and waits for the end.
    pub(crate) fn finish(mut self) -> Finished {
        let stderr = self.stderr.take().map(|stderr| thread::spawn(|| rest(stderr)));
        let stdout = self.stdout.take().map(rest).unwrap_or_default();
        let stderr = stderr.map(|thread| thread.join().unwrap()).unwrap_or_default();
        if let Some(ndjson) = self.ndjson.take() {
            crate::schema::check(&(ndjson + &stdout));
        }
        let is_notice = |line: &&str| line.starts_with("note: this wait has no limit");
        let (notices, rest): (Vec<_>, Vec<_>) = stderr.split_inclusive('\n').partition(is_notice);
        let notices = notices.into_iter().map(|line| line.trim_end().to_owned()).collect();
        Finished { code: self.child.wait().unwrap().code(), stdout, stderr: rest.concat(), notices }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rest(mut from: impl Read) -> String {
    let mut text = Vec::new();
    from.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

impl Finished {
    /// The last line of stderr.
    pub(crate) fn last_words(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}
