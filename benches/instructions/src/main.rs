//! Instructions on each hot path, counted by valgrind: the same from run to run on a machine as
//! busy as it likes, where times are not.
//!
//! `bash .ci/instructions` builds and runs this against the recorded counts of the toolchain at
//! hand. By itself:
//!
//! ```sh
//! cargo run --release -- check baselines NEW    # count and compare, or record under NEW/
//! cargo run --release -- record baselines       # count and record
//! cargo run --release -- work "decoder, cvm events, 64 KiB" 5
//! ```
//!
//! `work` does the passes alone, for `valgrind --tool=callgrind` and `callgrind_annotate`.

mod baseline;
mod count;
mod paths;
// What the benchmarks feed and how is what is counted here.
#[path = "../../src/corpus.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod corpus;
#[path = "../../src/digest.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod digest;
#[path = "../../src/streaming.rs"]
mod streaming;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check", baselines, new] => baseline::check(Path::new(baselines), Path::new(new)),
        ["record", baselines] => baseline::record(Path::new(baselines)),
        ["work", name, passes] => paths::work(name, passes.parse().unwrap_or(1)),
        _ => Err("usage: check BASELINES NEW | record BASELINES | work PATH PASSES".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
