//! What the benchmark programs in `bin/` share. `docs/benchmarks.md` tells how to run them and what
//! they found.

pub mod corpus;
pub mod digest;
pub mod measure;
pub mod peers;
pub mod plot;
pub mod report;
pub mod sockets;
pub mod streaming;
