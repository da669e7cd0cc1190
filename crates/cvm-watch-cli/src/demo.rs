//! `cvm-watch demo`: a simulated CVM boots, and the program waits for it.

use std::error::Error;

use cvm_watch_hyper::Client;
use cvm_watch_sim::Sim;

use crate::args::OutputMode;
use crate::exit::Exit;
use crate::output;
use crate::signals::Signals;
use crate::wait::{self, Printing, Report};

const ID: &str = "demo-cvm";
/// At speed 1 the boot takes 12 s.
const SPEED: f64 = 1.25;

const NEXT: &str = "
To try next:
  cvm-watch sim           the same simulator to play with, with every fault
  cvm-watch wait --help   a CVM of yours, on Phala Cloud";

pub(crate) fn run() -> Exit {
    let (sim, client, signals) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            output::failure(&format!("cannot start: {error}"));
            return Exit::Failure;
        }
    };
    output::to_stderr(format!("A simulated CVM boots at {}\n", sim.base_url()));
    let exit =
        wait::watch(&client, client.watch(ID, "running"), Report::new(Printing::new(OutputMode::Text), ID), &signals);
    if exit == Exit::Success {
        output::to_stderr(NEXT);
    }
    exit
}

fn prepare() -> Result<(Sim, Client, Signals), Box<dyn Error>> {
    let signals = Signals::listen()?;
    let sim = Sim::builder().speed(SPEED).start()?;
    let client = Client::builder().base_url(sim.base_url()).api_key("demo").build()?;
    Ok((sim, client, signals))
}
