//! `--record`: what happens, written down as it happens.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cvm_watch_core::{CvmId, PolicyBuilder};
use cvm_watch_driver::Observed;
use cvm_watch_recording::{RecordError, Recorder};

use super::ended::Ended;
use crate::args::{OutputMode, WaitArgs};
use crate::output::Queue;
use crate::{input, output};

/// The most bytes that wait for the reader of a pipe.
const MOST_WAITING: usize = 8 << 20;
/// How long the reader of a pipe holds up the end of the wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why watches of these CVMs cannot be recorded, if they cannot.
pub(super) fn refused(args: &WaitArgs, policy: &PolicyBuilder, ids: &[String]) -> Option<RecordError> {
    args.record.as_ref()?;
    // The watch itself reports parameters that are refused.
    let policy = policy.clone().build().ok()?;
    let check = |id: &String| cvm_watch_recording::check(&policy, &CvmId::new(id).ok()?).err();
    ids.iter().find_map(check)
}

/// The observer that writes the recording, if one is wanted.
pub(super) fn observer(
    args: &WaitArgs,
    refused: Option<RecordError>,
) -> Result<Option<impl FnMut(Observed<'_>) + Send + use<>>, Ended> {
    let Some(file) = &args.record else { return Ok(None) };
    let (name, mode) = (input::shown(file), args.output());
    let opened = match refused {
        Some(error) => Err(error),
        None => open(file, &name, mode).map_err(RecordError::from),
    };
    let opened = opened.map_err(|error| Ended::invalid(&format!("cannot record to {name}: {error}")))?;
    let mut recorder = Recorder::new(opened);
    Ok(Some(move |observed: Observed<'_>| {
        // The recorder returns an error once.
        if let Err(error) = recorder.observe(observed) {
            warn(&name, &error.to_string(), mode);
        }
    }))
}

/// Opens the file, to be read by its owner only: what a server reports may be confidential.
///
/// A file that was there before has its rights changed before anything is written. What is no file,
/// as a pipe, may keep its writer waiting, so that has a separate thread.
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
        let shown = name.clone();
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
                warn(&shown, &error.to_string(), mode);
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

fn warn(name: &str, problem: &str, mode: OutputMode) {
    if mode != OutputMode::Quiet {
        output::to_stderr(format!("warning: cannot record to {name}: {problem}; the wait goes on without"));
    }
}
