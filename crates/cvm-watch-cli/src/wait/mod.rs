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
mod policy;
mod progress;
mod record;
mod report;
mod runtime;
mod setup;
mod target;

use std::io;
use std::thread;

use tokio::sync::oneshot;

use crate::args::{OutputMode, WaitArgs};
use crate::exit::Exit;
use crate::logging;
use crate::signals::Signals;
use ended::Ended;
use ids::Ids;
pub(crate) use one::watch;
pub(crate) use report::Report;

pub(crate) fn run(args: &WaitArgs) -> Exit {
    let logs = args.output != OutputMode::Quiet && logging::start();
    let ids = Signals::listen().map_err(|error| (String::new(), Ended::broken(&error)));
    let ids = ids.and_then(|signals| Ok((collect(args, &signals)?, signals)));
    match ids {
        Ok((ids, signals)) => match ids.ids.as_slice() {
            [id] => one::run(args, &ids, id, logs, &signals),
            _ => many::run(args, &ids, logs, &signals),
        },
        Err((id, ended)) => Report::new(args.output, &id, false).end(ended),
    }
}

/// Ends a `wait` whose arguments are wrong, in the output that was asked for.
pub(crate) fn report_unusable_arguments(mode: OutputMode, message: &str) -> Exit {
    Report::new(mode, "", false).end(Ended::invalid(message))
}

/// Reads the ids, until a signal comes. They are read on a separate thread, because a read from a pipe
/// without a writer cannot be interrupted.
///
/// # Errors
///
/// How the wait ended then, and the id that caused it, if one did.
fn collect(args: &WaitArgs, signals: &Signals) -> Result<Ids, (String, Ended)> {
    let (sender, read) = oneshot::channel();
    let of = args.clone();
    // After a signal the receiver is gone.
    let collect = move || drop(sender.send(Ids::collect(&of)));
    let thread = thread::Builder::new().name("ids".to_owned()).spawn(collect);
    thread.map_err(|error| (String::new(), Ended::broken(&error)))?;
    let ids = runtime::block_on(async {
        tokio::select! {
            biased;
            signal = signals.first() => Err(Ended::aborted(signal)),
            ids = read => ids.map_err(|_| Ended::broken(&io::Error::other("the ids cannot be read"))),
        }
    });
    let ids = ids.and_then(|ids| ids).map_err(|ended| (String::new(), ended))?;
    ids.map_err(|refused| (refused.id, Ended::invalid(&refused.message)))
}
