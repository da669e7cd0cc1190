//! Whole clients over loopback sockets: the server they meet, and the readers they are measured
//! beside. Server and client each run in a separate process, started from the benchmark's own
//! program with a word as first argument.

pub mod client;
pub mod process;
pub mod script;
pub mod server;
pub mod stay;
pub mod yardstick;

/// The word that makes a benchmark's program a server.
pub const SERVE: &str = "serve";
/// The word that makes it one client, measured by itself.
pub const CLIENT: &str = "client";
