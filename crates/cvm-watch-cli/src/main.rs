//! The program `cvm-watch`: waits for a confidential VM on Phala Cloud, and reports exactly how the wait ended.

mod args;
mod completions;
mod decode;
mod demo;
mod duration;
mod exit;
mod help;
mod input;
mod json;
mod logging;
mod man;
mod output;
mod replay;
mod signals;
mod sim;
mod usage;
mod wait;

use clap::Parser;

use crate::args::{Args, Command};

fn main() {
    output::set_colours();
    let code = match Args::try_parse() {
        Ok(args) => match args.command {
            Command::Wait(args) => wait::run(&args),
            Command::State(args) => wait::state(&args),
            Command::Demo => demo::run(),
            Command::Sim(args) => sim::run(&args),
            Command::Decode(args) => decode::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Man => man::run(),
            Command::Schema => output::document(include_bytes!("ndjson.schema.json")),
            Command::Replay(args) => replay::run(&args),
        },
        Err(error) => usage::report(&error, std::env::args_os().skip(1)),
    };
    output::drain();
    // Returning from `main` would do too, but this waits for no thread: one may be stuck in a name
    // lookup.
    std::process::exit(code.into());
}
