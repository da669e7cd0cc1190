//! What `RUST_LOG` asks for, on standard error. Without it nothing is set up.

use std::io::{self, Write};

use cvm_watch_core::printable;
use tracing_subscriber::EnvFilter;

use crate::output;

const VARIABLE: &str = "RUST_LOG";

/// Starts logging if it was asked for; says whether it was.
pub(crate) fn start() -> bool {
    let Some(filter) = std::env::var_os(VARIABLE).filter(|filter| !filter.is_empty()) else {
        return false;
    };
    match EnvFilter::builder().parse(filter.to_string_lossy()) {
        Ok(filter) => {
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(|| OneLine(output::stderr()))
                .with_ansi(false)
                // It would panic where standard error is closed.
                .log_internal_errors(false)
                .init();
            true
        }
        Err(error) => {
            output::to_stderr(printable(&format!("warning: {VARIABLE} is ignored: {error}"), 200));
            false
        }
    }
}

/// Takes whole records, and writes each as one line that can do nothing but be read.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let line = printable(text.trim_end_matches('\n'), usize::MAX);
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_harmless_line() {
        let mut out = Vec::new();
        OneLine(&mut out).write_all("said \"a\nb\x1b[2J ##vso[x]\"\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "said \"a\\nb\\x1b[2J #\\x23vso[x]\"\n");
    }
}
