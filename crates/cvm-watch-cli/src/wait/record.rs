//! `--record`: the watch written down as it happens.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use cvm_watch_core::CvmId;
use cvm_watch_hyper::Watching;
use cvm_watch_recording::Recorder;

use super::ended::Ended;
use crate::args::OutputMode;
use crate::{input, output};

/// Records the watch, which is set up but for this.
pub(super) fn record(watching: Watching, id: &str, file: &Path, mode: OutputMode) -> Result<Watching, Ended> {
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
    let opened = create(file).map_err(|error| Ended::invalid(&format!("cannot record to {name}: {error}")))?;
    let mut recorder = Recorder::new(opened);
    Ok(watching.observe(move |observed| {
        // Said once: the recorder gives no second error.
        if let Err(error) = recorder.observe(observed)
            && mode != OutputMode::Quiet
        {
            output::to_stderr(format!("cannot record to {name}: {error}; the wait goes on without"));
        }
    }))
}

/// Opens the file for its owner only: what a server said is nobody else's business.
fn create(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}
