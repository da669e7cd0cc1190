//! What can go wrong.

use std::io;

/// Why a watch is not recorded, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// One of its secrets is also part of what a recording begins with; see [`check`](crate::check).
    #[error("a secret is part of the id, of a status or of a header's name; use another one")]
    Secret,
    /// The core was called in a way that is newer than this crate.
    #[error(
        "the watch received an input that this version of cvm-watch-recording does not know; use one of the core's version"
    )]
    Unknown,
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Why a recording cannot be played, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It could not be read.
    #[error("line {line} cannot be read")]
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
