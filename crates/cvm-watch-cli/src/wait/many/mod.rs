//! Many CVMs over a few streams: how they are waited for, and what that comes to.

mod board;
mod panel;
mod roster;
mod table;
mod workflow;

use cvm_watch_core::{ConfigError, CvmId, CvmState, Policy, Until};
use cvm_watch_driver::Sources;
use cvm_watch_hyper::{MemberUpdate, WatchError, WatchingAll};

use super::ended::Ended;
use super::heartbeat::{Heard, Heartbeat};
use super::ids::Ids;
use super::{policy, runtime, setup};
use crate::args::WaitArgs;
use crate::exit::Exit;
use crate::signals::Signals;
use board::Board;

/// Waits for all of them, or for any.
pub(super) fn run(args: &WaitArgs, ids: &Ids, logs: bool, signals: &Signals) -> Exit {
    let mut board = Board::new(args, &ids.ids, logs);
    match wait(args, ids, &mut board, signals) {
        Ok(()) => board.finish(),
        Err(ended) => board.refuse(&ended),
    }
}

fn wait(args: &WaitArgs, ids: &Ids, board: &mut Board, signals: &Signals) -> Result<(), Ended> {
    let client = setup::client(args)?;
    check(args, ids)?;
    setup::remarks(args, ids, &client).iter().for_each(|remark| board.remark(remark));
    let watching = client
        .watch_all(&ids.ids, &args.target)
        .max_streams(args.max_streams)
        .until(if args.any { Until::Any } else { Until::All })
        .configure(|policy| policy::configure(args, policy))
        .abort_on(signals.first());
    runtime::block_on(follow(watching, board, signals, client.settings().sources()))
}

/// What is wrong with the parameters is wrong with all of the watches: it is told once, and before
/// any request.
fn check(args: &WaitArgs, ids: &Ids) -> Result<(), Ended> {
    let invalid = |error: ConfigError| Ended::invalid(&error.to_string());
    CvmId::new(ids.ids.first().map_or("", String::as_str)).map_err(invalid)?;
    policy::configure(args, Policy::builder(args.target.as_str())).build().map_err(invalid)?;
    match args.record {
        Some(_) => Err(Ended::invalid(&format!("--record goes with one CVM, not with {}", ids.ids.len()))),
        None => Ok(()),
    }
}

async fn follow(mut watching: WatchingAll, board: &mut Board, signals: &Signals, origins: &Sources) {
    let mut heartbeat = Heartbeat::new();
    while let Some(heard) = heartbeat.next(&mut watching).await {
        let printed = match heard {
            Heard::News(MemberUpdate::Update { index, update }) => board.update(index, &update),
            Heard::News(MemberUpdate::Ended { index }) => {
                if let Some(outcome) = watching.outcome(index) {
                    board.end(index, ended(outcome, board.last_status(index), signals, origins));
                }
                true
            }
            Heard::News(_) => false,
            Heard::Silence => {
                board.heartbeat();
                true
            }
        };
        if printed {
            heartbeat.put_off();
        }
    }
}

fn ended(
    outcome: &Result<CvmState, WatchError>,
    last_status: Option<&str>,
    signals: &Signals,
    origins: &Sources,
) -> Ended {
    let signal = signals.received();
    let ended = Ended::new(outcome.as_ref(), signal, last_status, origins);
    match &ended.outcome {
        // Nobody but the fleet itself has ended it.
        Err(trouble) if trouble.kind == "aborted" && signal.is_none() => Ended::left_out(last_status),
        _ => ended,
    }
}
