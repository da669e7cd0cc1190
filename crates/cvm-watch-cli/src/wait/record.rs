//! `--record`: the watch written down as it happens.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cvm_watch_core::CvmId;
use cvm_watch_hyper::WatchHandle;
use cvm_watch_recording::Recorder;

use super::ended::Ended;
use crate::args::OutputMode;
use crate::output::Queue;
use crate::{input, output};

/// The most bytes that wait for the reader of a pipe.
const MOST_WAITING: usize = 8 << 20;
/// How long the reader of a pipe holds up the end of the wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Records the watch, which is set up but for this.
pub(super) fn record(watching: WatchHandle, id: &str, file: &Path, mode: OutputMode) -> Result<WatchHandle, Ended> {
    let name = input::shown(file);
    let mut refused = None;
    let watching = watching.configure(|policy| {
        // The watch itself reports parameters that are refused.
        if let (Ok(id), Ok(policy)) = (CvmId::new(id), policy.clone().build()) {
            refused = cvm_watch_recording::check(&policy, &id).err();
        }
        policy
    });
    if let Some(error) = refused {
        return Err(Ended::invalid(&format!("cannot record to {name}: {error}")));
    }
    let opened = open(file, &name, mode);
    let opened = opened.map_err(|error| Ended::invalid(&format!("cannot record to {name}: {error}")))?;
    let mut recorder = Recorder::new(opened);
    Ok(watching.observe(move |observed| {
        // The recorder returns an error once.
        if let Err(error) = recorder.observe(observed) {
            tell(&name, &error.to_string(), mode);
        }
    }))
}

/// Opens the file, to be read by its owner only: what a server reports may be confidential.
///
/// A file that was there before has its rights changed before anything is written. What is no file,
/// as a pipe, may keep its writer waiting, so that has a thread of its own.
fn open(file: &Path, name: &str, mode: OutputMode) -> io::Result<Box<dyn Write + Send>> {
    if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(Box::new(Pipe::new(file.to_owned(), name.to_owned(), mode)));
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(file)?;
    #[cfg(unix)]
    opened.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    opened.set_len(0)?;
    Ok(Box::new(opened))
}

/// A pipe or device, opened and written by a thread.
struct Pipe {
    queue: Queue<Vec<u8>>,
    name: String,
    mode: OutputMode,
}

impl Pipe {
    fn new(file: PathBuf, name: String, mode: OutputMode) -> Self {
        let mut opened = None;
        let mut has_failed = false;
        let told = name.clone();
        let queue = Queue::new("recording", move |bytes: Vec<u8>| {
            if has_failed {
                return;
            }
            let opened = opened.get_or_insert_with(|| OpenOptions::new().write(true).open(&file));
            let written = match opened {
                Ok(pipe) => pipe.write_all(&bytes),
                Err(error) => Err(std::mem::replace(error, io::ErrorKind::Other.into())),
            };
            if let Err(error) = written {
                has_failed = true;
                tell(&told, &error.to_string(), mode);
            }
        });
        Self { queue, name, mode }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.queue.size() > MOST_WAITING {
            return Err(io::Error::other(format!("{MOST_WAITING} bytes wait for its reader")));
        }
        self.queue.push(bytes.to_vec(), bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if !self.queue.drain(Some(Instant::now() + PATIENCE)) && self.mode != OutputMode::Quiet {
            output::to_stderr(format!("warning: the recording in {} has no end: its reader is too slow", self.name));
        }
    }
}

fn tell(name: &str, problem: &str, mode: OutputMode) {
    if mode != OutputMode::Quiet {
        output::to_stderr(format!("warning: cannot record to {name}: {problem}; the wait goes on without"));
    }
}
