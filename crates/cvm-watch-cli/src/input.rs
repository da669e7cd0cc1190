//! Files to be read: one that is named on the command line, where `-` is stdin, and a small one as a whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::exit::Exit;
use crate::output;

/// Opens it, or says that it cannot be opened.
pub(crate) fn open(file: &Path) -> Result<Box<dyn Read>, Exit> {
    if is_stdin(file) {
        return Ok(Box::new(output::Input::lock()));
    }
    match File::open(file) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => {
            output::failure(&format!("cannot open {}: {error}", shown(file)));
            Err(Exit::Usage)
        }
    }
}

/// The contents of a small file. A pipe or a device is refused rather than waited for.
pub(crate) fn contents(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would block until another process writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut contents = Vec::new();
    File::open(path)?.take(most_bytes + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > most_bytes {
        return Err(io::Error::other(format!("it is larger than {most_bytes} bytes")));
    }
    Ok(contents)
}

/// What it is called in a message.
pub(crate) fn shown(file: &Path) -> String {
    if is_stdin(file) { "stdin".to_owned() } else { format!("\"{}\"", file.display()) }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == OsStr::new("-")
}
