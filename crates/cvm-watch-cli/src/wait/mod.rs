//! `cvm-watch wait`: one watch or many, reported while they run, and an exit code that says how the
//! wait ended.

mod ended;
mod flags;
mod github;
mod heartbeat;
mod hint;
mod identity;
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
mod project;
mod record;
mod report;
mod runtime;
mod setup;
mod state;
mod target;
mod token;

use crate::args::{OutputMode, ProgressMode, WaitArgs};
use crate::exit::Exit;
use crate::{logging, output};
use ended::Ended;
pub(crate) use flags::problems as flag_problems;
use ids::Named;
use live::Limit;
pub(crate) use one::watch;
use prepare::Prepared;
pub(crate) use report::{Printing, Report};
pub(crate) use state::run as state;
pub(crate) use target::KNOWN as KNOWN_STATUSES;

pub(crate) fn run(args: &WaitArgs) -> Exit {
    output::limit_by(args.deadline);
    let mode = args.output();
    let has_logs = mode != OutputMode::Quiet && logging::start();
    let limit = Limit::of(args);
    let printing = Printing { mode, progress: args.progress, has_logs, is_verbose: args.connection.verbose, limit };
    let named =
        Named { ids: args.ids.clone(), files: args.ids_from.clone(), has_after_change: args.after_change.is_some() };
    let prepared = Prepared::new(&args.connection, args.deadline, named, flags::problems(args));
    match &prepared {
        Ok(prepared) => match prepared.ids.only() {
            Some(id) => one::run(args, prepared, id, printing),
            None => many::run(args, prepared, printing),
        },
        Err((id, ended)) => refuse(mode, id, ended),
    }
}

/// Ends a `wait` whose arguments are wrong, in the output that was asked for.
pub(crate) fn report_unusable_arguments(mode: OutputMode, problems: Vec<String>) -> Exit {
    Ended::invalid_flags(problems).map_or(Exit::Usage, |ended| refuse(mode, "", &ended))
}

/// Ends before there is any progress.
fn refuse(mode: OutputMode, id: &str, ended: &Ended) -> Exit {
    Report::new(Printing { progress: ProgressMode::None, ..Printing::new(mode) }, id).end(ended)
}
