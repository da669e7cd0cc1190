//! `cvm-watch sim`: the simulator, until Ctrl-C.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use cvm_watch_core::printable;
use cvm_watch_sim::{RefusedRequest, Request, Sim, SimError, scenarios};

use crate::args::SimArgs;
use crate::exit::Exit;
use crate::signals::Signals;
use crate::{duration, output};

pub(crate) fn run(args: &SimArgs) -> Exit {
    if args.list {
        return output::document(table().as_bytes());
    }
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            output::failure(&format!("cannot start: {error}"));
            return Exit::Failure;
        }
    };
    let builder = Sim::builder()
        .addr(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)))
        .speed(args.speed)
        .stream_limit(args.max_streams)
        .on_refused(report_refused);
    let started = Instant::now();
    let builder = if args.verbose { builder.on_request(move |request| report(request, started)) } else { builder };
    let builder = args.cors.iter().fold(builder, |builder, origin| builder.cors(origin));
    let builder = args.require_token.iter().fold(builder, |builder, lifetime| builder.require_token(*lifetime));
    let builder = args.require_workspace.iter().fold(builder, |builder, slug| builder.require_workspace(slug));
    let builder = args.require_version.iter().fold(builder, |builder, version| builder.require_version(version));
    let sim = match builder.start() {
        Ok(sim) => sim,
        Err(SimError::Speed(speed)) => {
            output::failure(&format!("--speed \"{speed}\" must be a number above 0"));
            return Exit::Usage;
        }
        Err(error @ SimError::Origin(_)) => {
            output::failure(&format!("--cors: {error}"));
            return Exit::Usage;
        }
        Err(error) => return failed(&error),
    };
    let base_url = sim.base_url();
    // By itself and before anything else: programs read this line.
    output::to_stdout(base_url.as_str());
    output::to_stdout(introduction(&base_url));
    if args.require_token.is_some() {
        output::to_stdout(format!("GET {} mints a token: {{\"value\":\"...\"}}", sim.token_url()));
    }
    match wait(&signals) {
        Ok(()) => Exit::Success,
        Err(error) => failed(&error),
    }
}

fn wait(signals: &Signals) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(signals.first());
    Ok(())
}

/// Prints a line on stderr for a request, with the time since the start and how often its CVM was asked for.
fn report(request: &Request, started: Instant) {
    let passed = duration::passed(request.at.saturating_duration_since(started));
    let attempt = request.attempt.map(|attempt| format!(", request {attempt} for this id")).unwrap_or_default();
    let line = format!("{passed:>6} {} {}{attempt}", request.method, request.uri);
    output::to_stderr(printable(&line, 300));
}

/// Prints a line on stderr for a request that the simulator refused.
fn report_refused(refused: &RefusedRequest) {
    let RefusedRequest { status, reason, .. } = refused;
    output::to_stderr(printable(&format!("refused a request with {status}: {reason}"), 300));
}

fn failed(error: &dyn Error) -> Exit {
    match error.source() {
        Some(source) => output::failure(&format!("{error}: {source}")),
        None => output::failure(&error.to_string()),
    }
    Exit::Failure
}

fn introduction(base_url: &str) -> String {
    format!(
        "\nThe id of the CVM chooses what happens, by its prefix; any other id boots.\n\n{}\n\
         A CVM boots once, at the first request for its id, and then keeps running. To see a boot again take another \
         id,\nsuch as my-cvm-2, or start the simulator anew.\n\n\
         Try: cvm-watch wait my-cvm --base-url {base_url}\nCtrl-C ends it.",
        table()
    )
}

/// The scenarios, one per line.
fn table() -> String {
    let width = scenarios().map(|scenario| scenario.prefix.len()).max().unwrap_or_default();
    scenarios().map(|scenario| format!("  {:width$}  {}\n", scenario.prefix, scenario.description)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_introduction_names_every_scenario_and_what_to_type() {
        let text = introduction("http://127.0.0.1:1/api/v1");
        for scenario in scenarios() {
            assert!(text.contains(scenario.prefix) && text.contains(scenario.description), "{}", scenario.prefix);
        }
        assert!(text.contains("cvm-watch wait my-cvm --base-url http://127.0.0.1:1/api/v1"));
    }
}
