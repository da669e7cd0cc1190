//! Many CVMs over a few streams: how they are waited for, and what that comes to.

mod board;
mod panel;
mod roster;
mod table;
mod workflow;

use cvm_watch_core::{CvmState, MemberId, Until};
use cvm_watch_hyper::{FleetHandle, Update, WatchError};

use super::ended::{By, Ended};
use super::heartbeat::{Heard, Heartbeat};
use super::prepare::Prepared;
use super::report::Printing;
use super::{policy, record, runtime, setup};
use crate::args::WaitArgs;
use crate::exit::Exit;
use crate::output;
use board::Board;

/// Waits for all of them, or for any.
pub(super) fn run(args: &WaitArgs, prepared: &Prepared, printing: Printing) -> Exit {
    let mut board = Board::new(args, &prepared.ids.ids, printing);
    match wait(args, prepared, printing.is_live(), &mut board) {
        Ok(()) => board.finish(),
        Err(ended) => board.refuse(&ended),
    }
}

fn wait(args: &WaitArgs, prepared: &Prepared, is_live: bool, board: &mut Board) -> Result<(), Ended> {
    let Prepared { client, signals, ids, .. } = prepared;
    setup::remarks(args, prepared, is_live).iter().for_each(|remark| board.remark(remark));
    let mut refused = None;
    let mut watching = client
        .watch_all(&ids.ids, args.first_target())
        .max_streams(args.max_streams)
        .until(if args.any { Until::Any } else { Until::All })
        .configure(|policy| {
            let policy = policy::configure(args, prepared.time_left(args), policy);
            refused = record::refused(args, &policy, &ids.ids);
            policy
        })
        .abort_on(signals.first());
    if let Some(observer) = record::observer(args, refused)? {
        watching = watching.observe(observer);
    }
    let by = || By { signal: signals.received(), sources: client.settings().sources(), deadline: args.deadline };
    runtime::block_on(follow(watching, board, by))
}

async fn follow<'a>(mut watching: FleetHandle, board: &mut Board, by: impl Fn() -> By<'a>) {
    let mut heartbeat = Heartbeat::new();
    while let Some(heard) = heartbeat.next(&mut watching, board.due()).await {
        let printed = match heard {
            Heard::News((member, Update::Ended)) => {
                if let Some(outcome) = watching.outcome(member) {
                    board.end(row(member), ended(outcome, board.last_status(row(member)), &by()));
                }
                true
            }
            Heard::News((member, update)) => board.update(row(member), &update),
            Heard::Due => {
                board.flush();
                true
            }
            Heard::Silence => {
                board.heartbeat();
                true
            }
        };
        if printed {
            heartbeat.put_off();
        }
        output::caught_up().await;
    }
}

/// The place of a member in the given ids, from 0.
fn row(member: MemberId) -> usize {
    usize::try_from(member.number()).unwrap_or(usize::MAX)
}

fn ended(outcome: &Result<CvmState, WatchError>, last_status: Option<&str>, by: &By<'_>) -> Ended {
    let ended = Ended::new(outcome.as_ref(), last_status, by);
    match &ended.outcome {
        // Without a signal only the fleet itself aborts one of its watches.
        Err(trouble) if trouble.kind == "aborted" && by.signal.is_none() => Ended::left_out(last_status),
        _ => ended,
    }
}
