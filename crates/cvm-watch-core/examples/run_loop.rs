//! The run loop by hand, over a script instead of a socket:
//! `cargo run -p cvm-watch-core --example run_loop`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::VecDeque;
use std::sync::Arc;

use cvm_watch_core::{Action, AttemptId, CloseCause, CvmId, Event, Input, Policy, ResponseHead, Timestamp, Watch};

/// What the network brings on one attempt, in order.
enum Arrival {
    Head(u16),
    Bytes(&'static str),
    Closed(CloseCause),
}

/// Three attempts: busy, cut off in the middle of an event, and one that gets there.
fn network(attempt: AttemptId) -> VecDeque<Arrival> {
    let state = "event: state\ndata: {\"status\":\"starting\",\"boot_progress\":\"booting\"}\n\n";
    let done = "event: complete\ndata: {\"status\":\"running\"}\n\n";
    VecDeque::from(match attempt.number() {
        1 => vec![Arrival::Head(503), Arrival::Bytes("try later"), Arrival::Closed(CloseCause::Ended)],
        2 => vec![
            Arrival::Head(200),
            Arrival::Bytes(state),
            Arrival::Bytes("event: sta"),
            Arrival::Closed(CloseCause::Reset),
        ],
        _ => vec![Arrival::Head(200), Arrival::Bytes(state), Arrival::Bytes(done)],
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy = Arc::new(Policy::builder("running").max_retries(5).build()?);
    let mut now = Timestamp::ZERO;
    let mut watch = Watch::new(policy, CvmId::new("my-cvm")?, 42, now);
    let mut connection: Option<(AttemptId, VecDeque<Arrival>)> = None;

    loop {
        // 1. Drain: do what each action says.
        while let Some(action) = watch.poll_action() {
            match action {
                Action::Connect { attempt, request, .. } => {
                    println!("{now:>12}  connect #{attempt} to {}", request.path_and_query());
                    connection = Some((attempt, network(attempt)));
                }
                Action::Disconnect { attempt } => {
                    println!("{now:>12}  disconnect #{attempt}");
                    connection = None;
                }
                Action::Emit { event: Event::State(state), .. } => println!("{now:>12}  state: {}", state.status),
                Action::Emit { event, .. } => println!("{now:>12}  event: {event:?}"),
                Action::Retrying { delay, cause, .. } => println!("{now:>12}  {cause}; again in {delay:?}"),
                Action::Resolve(state) => {
                    println!("{now:>12}  resolved: {}", state.status);
                    assert!(state.is("running"));
                    return Ok(());
                }
                Action::Fail(failure) => return Err(failure.into()),
                _ => {}
            }
        }

        // 2. Wait for the first of: the caller's abort (none here), the connection, the next wake.
        let arrival = connection.as_mut().and_then(|(attempt, queue)| Some((*attempt, queue.pop_front()?)));

        // 3. Tell the watch what it was.
        match arrival {
            Some((attempt, Arrival::Head(status))) => {
                watch.handle(now, Input::Head { attempt, head: ResponseHead::new(status), wall: None });
            }
            Some((attempt, Arrival::Bytes(text))) => {
                // `receive` takes bytes up to the end of one event; the rest is offered again.
                let taken = watch.receive(now, attempt, text.as_bytes());
                if let (Some((_, queue)), Some(rest)) =
                    (&mut connection, text.get(taken..).filter(|rest| !rest.is_empty()))
                {
                    queue.push_front(Arrival::Bytes(rest));
                }
            }
            Some((attempt, Arrival::Closed(cause))) => {
                connection = None;
                watch.handle(now, Input::Closed { attempt, cause });
            }
            None => {
                let wake = watch.next_wake().ok_or("nothing to wait for")?;
                // A real driver would sleep here.
                now = now.max(wake.at);
                watch.handle(now, Input::Tick);
            }
        }
    }
}
