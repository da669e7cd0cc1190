//! The program itself, run against the simulator: exit codes, output, signals.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may panic too")]

mod action;
mod bad_input;
mod blocked_files;
mod cast;
mod closed_output;
mod decode;
mod demo_and_sim;
mod documents;
mod endings;
mod github;
mod help;
mod ids;
mod job_control;
mod many;
mod ndjson;
mod policy;
mod program;
mod project;

mod record;
mod schema;
mod scratch;
mod secrets;
mod setup;
mod shell;
mod signals;
mod slow_output;
mod state;
mod target;
mod terminal;
mod text;
mod tls;
mod token;
mod transcripts;
