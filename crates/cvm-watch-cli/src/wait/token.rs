//! Credentials from a file or a program, read again before each attempt.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cvm_watch_core::{ConfigError, Credential, printable};
use cvm_watch_driver::{CredentialFuture, CredentialProvider};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::args::ConnectionArgs;
use crate::input;

/// The most bytes of a credential. Servers refuse headers that are longer.
const MOST_BYTES: u64 = 64 << 10;
/// The connect timeout by default, which limits the program.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What gives the credentials, if a flag names it.
///
/// # Errors
///
/// A file that holds no credential now; a command without a program.
pub(super) fn provider(args: &ConnectionArgs) -> Result<Option<Provider>, ConfigError> {
    if let Some(file) = file(args) {
        from_file(file).map_err(|problem| ConfigError::new("--token-file", &file.to_string_lossy(), problem))?;
        return Ok(Some(Provider::File(file.to_owned())));
    }
    Ok(command(args).map(|(program, arguments)| {
        // The core ends the attempt at the connect timeout, without a word of the program.
        let limit = args.connect_timeout.unwrap_or(CONNECT_TIMEOUT) * 9 / 10;
        Provider::Command { program, arguments, limit }
    }))
}

/// The flag that names where the credentials come from, if one does.
pub(super) fn flag(args: &ConnectionArgs) -> Option<&'static str> {
    let file = file(args).map(|_| "--token-file");
    file.or_else(|| command(args).map(|_| "--token-command"))
}

/// The file of the flag, unless it is blank, which counts as not given.
fn file(args: &ConnectionArgs) -> Option<&Path> {
    args.token_file.as_deref().filter(|file| !file.to_string_lossy().trim().is_empty())
}

/// The program of the flag with its arguments, unless it is blank.
fn command(args: &ConnectionArgs) -> Option<(String, Vec<String>)> {
    let mut words: Vec<String> = match args.token_command.as_slice() {
        [line] => line.split_whitespace().map(ToOwned::to_owned).collect(),
        arguments => arguments.to_vec(),
    };
    if words.first().is_none_or(|program| program.trim().is_empty()) {
        return None;
    }
    let program = words.remove(0);
    Some((program, words))
}

pub(super) enum Provider {
    File(std::path::PathBuf),
    Command { program: String, arguments: Vec<String>, limit: Duration },
}

impl CredentialProvider for Provider {
    fn credential(&self) -> CredentialFuture {
        match self {
            Self::File(file) => {
                let named = format!("--token-file \"{}\"", printable(&file.to_string_lossy(), 160));
                let credential = from_file(file).map_err(|problem| format!("{named} {problem}").into());
                Box::pin(std::future::ready(credential))
            }
            Self::Command { program, arguments, limit } => {
                let mut command = Command::new(program);
                command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
                #[cfg(unix)]
                command.process_group(0);
                let (named, limit) = (format!("--token-command \"{}\"", printable(program, 160)), *limit);
                Box::pin(async move {
                    let output = tokio::time::timeout(limit, output(command));
                    let late = |_| format!("did not end within {limit:?} and was killed");
                    let credential = output.await.map_err(late).and_then(|output| credential(&output?));
                    credential.map_err(|problem| format!("{named} {problem}").into())
                })
            }
        }
    }
}

/// What a program prints, if it ends well.
async fn output(mut command: Command) -> Result<Vec<u8>, String> {
    let child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let mut running = Running(child);
    let mut bytes = Vec::new();
    if let Some(stdout) = running.0.stdout.take() {
        let read = stdout.take(MOST_BYTES + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| format!("cannot be read: {error}"))?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("prints more than {MOST_BYTES} bytes, which are no credential"));
    }
    let ended: Result<ExitStatus, _> = running.0.wait().await;
    match ended {
        Ok(status) if status.success() => Ok(bytes),
        Ok(status) => Err(format!("failed: {status}")),
        Err(error) => Err(format!("cannot be waited for: {error}")),
    }
}

/// A program that is killed when it is dropped, with what it has started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            // It may be gone already.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

fn from_file(path: &Path) -> Result<Credential, String> {
    let bytes = input::contents(path, MOST_BYTES).map_err(|error| format!("cannot be read: {error}"))?;
    credential(&bytes)
}

fn credential(bytes: &[u8]) -> Result<Credential, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "gives text that is not UTF-8".to_owned())?;
    if text.trim().is_empty() {
        return Err("gives no credential: the text is empty".to_owned());
    }
    Credential::from_text(text).map_err(|error| format!("gives no credential: {error}"))
}
