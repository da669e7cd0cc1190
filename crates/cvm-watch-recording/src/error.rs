//! What can go wrong.

use std::io;

use cvm_watch_driver::core::ConfigError;

/// Why a watch is not recorded, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// One of its secrets could not be kept out of the recording; see [`check`](crate::check).
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// The core was told something that is newer than this crate.
    #[error(
        "the watch was told something that this version of cvm-watch-recording does not know; use one of the core's version"
    )]
    Unknown,
    /// The calls are those of a fleet. The format holds one watch.
    #[error("the watches of a fleet cannot be recorded; record a watch that runs alone")]
    Fleet,
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Why a recording cannot be played, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It could not be read.
    #[error("line {line}: {source}")]
    Read {
        /// The line, from 1.
        line: u64,
        /// What went wrong.
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl ReadError {
    /// The line that cannot be read, from 1.
    pub fn line(&self) -> u64 {
        match self {
            Self::Read { line, .. } | Self::Line { line, .. } => *line,
        }
    }
}
