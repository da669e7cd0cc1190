//! Errors of recording and of replay.

use std::io;

/// Why a recording cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A secret is part of the values that a recording has to contain; see [`check`](crate::check).
    #[error("a secret is part of the id, of a status or of a header's name; use another one")]
    Secret,
    /// The driver reported a call that this version of the crate does not know.
    #[error(
        "the watch received an input that this version of cvm-watch-recording does not know; use one of the core's version"
    )]
    Unknown,
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Reading failed.
    #[error("line {line} cannot be read")]
    Read {
        /// The line, from 1.
        line: u64,
        /// The I/O error.
        source: io::Error,
    },
    /// A line is malformed.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl ReadError {
    /// Returns the number of the line, from 1.
    pub fn line(&self) -> u64 {
        match self {
            Self::Read { line, .. } | Self::Line { line, .. } => *line,
        }
    }
}
