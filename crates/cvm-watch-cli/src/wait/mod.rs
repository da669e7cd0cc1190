//! `cvm-watch wait`: one watch or many, reported while they run, and an exit code that says how the
//! wait ended.

mod ended;
mod github;
mod heartbeat;
mod hint;
mod ids;
mod live;
mod log;
mod many;
mod ndjson;
mod one;
mod pace;
mod policy;
mod prepare;
mod progress;
mod record;
mod report;
mod runtime;
mod setup;
mod target;

use crate::args::{OutputMode, WaitArgs};
use crate::exit::Exit;
use crate::{logging, output};
use ended::Ended;
pub(crate) use one::watch;
use prepare::Prepared;
pub(crate) use report::Report;
pub(crate) use target::KNOWN as KNOWN_STATUSES;

pub(crate) fn run(args: &WaitArgs) -> Exit {
    output::limit_by(args.deadline);
    let logs = args.output != OutputMode::Quiet && logging::start();
    let prepared = Prepared::new(args);
    match &prepared {
        Ok(prepared) => match prepared.ids.only() {
            Some(id) => one::run(args, prepared, id, logs),
            None => many::run(args, prepared, logs),
        },
        Err((id, ended)) => Report::new(args.output, id, false).end(ended),
    }
}

/// Ends a `wait` whose arguments are wrong, in the output that was asked for.
pub(crate) fn report_unusable_arguments(mode: OutputMode, message: &str) -> Exit {
    Report::new(mode, "", false).end(&Ended::invalid(message))
}
