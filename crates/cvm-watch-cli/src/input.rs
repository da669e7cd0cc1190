//! A file that is named on the command line to be read; `-` is stdin.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
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

/// What it is called in a message.
pub(crate) fn shown(file: &Path) -> String {
    if is_stdin(file) { "stdin".to_owned() } else { format!("\"{}\"", file.display()) }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == OsStr::new("-")
}
