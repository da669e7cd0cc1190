//! The run loop by hand, over a blocking socket of std: no runtime, no driver, no async.
//!
//! `cargo run -p cvm-watch-conformance --example blocking` watches a simulated boot and then runs the
//! conformance suite against this very loop.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod http1;

use std::error::Error;
use std::ops::ControlFlow;

use cvm_watch_conformance::ByHand;
use cvm_watch_driver::cvm_watch_core::{Action, CvmId, CvmState, Input, Policy, ResponseHead, Watch};
use cvm_watch_driver::{BaseUrl, BootClock, Update};
use cvm_watch_sim::Sim;
use http1::{Arrival, Connection};
use std::sync::Arc;

/// Watches until the end. Told to `Break`, it leaves at once, and the connection with it.
fn watch(
    base: &BaseUrl,
    policy: Arc<Policy>,
    id: CvmId,
    report: &mut dyn FnMut(&Update) -> ControlFlow<()>,
) -> Result<CvmState, String> {
    let clock = BootClock::new();
    let mut watch = Watch::new(policy, id, 1, clock.now());
    let mut connection: Option<Connection> = None;
    loop {
        // 1. Drain: do what each action says.
        while let Some(action) = watch.poll_action() {
            let update = match action {
                Action::Connect { attempt, request, .. } => {
                    connection = Some(Connection::new(attempt, base, &request));
                    continue;
                }
                Action::Disconnect { .. } => {
                    connection = None;
                    continue;
                }
                Action::Emit { attempt, id, event, .. } => Update::event(attempt, id, event),
                Action::Retrying { attempt, delay, cause, .. } => Update::retrying(attempt, delay, cause),
                Action::Resolve(state) => return Ok(state),
                Action::Fail(failure) => return Err(failure.to_string()),
                _ => continue,
            };
            if report(&update).is_break() {
                return Err("left".to_owned());
            }
        }
        // 2. Wait for the connection, until the next wake at the latest.
        let Some(wake) = watch.next_wake() else { return Err("nothing to wait for".to_owned()) };
        let patience = wake.at.since(clock.now());
        let arrival = match &mut connection {
            Some(connection) => connection.wait(patience),
            None => {
                std::thread::sleep(patience);
                Arrival::Nothing
            }
        };
        // 3. Tell the watch what it was.
        let attempt = connection.as_ref().map(Connection::attempt);
        match (arrival, attempt) {
            (Arrival::Head { status, headers }, Some(attempt)) => {
                let mut head = ResponseHead::new(status);
                for (name, value) in &headers {
                    head.header(name, value);
                }
                watch.handle(clock.now(), Input::Head { attempt, head, wall: None });
            }
            (Arrival::Bytes(bytes), Some(attempt)) => {
                // `receive` takes bytes up to the end of one event; the rest is offered again.
                let taken = watch.receive(clock.now(), attempt, &bytes);
                if let Some(connection) = &mut connection {
                    connection.put_back(bytes, taken);
                }
            }
            (Arrival::Closed(cause), Some(attempt)) => {
                connection = None;
                watch.handle(clock.now(), Input::Closed { attempt, cause });
            }
            _ => watch.handle(clock.now(), Input::Tick),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::builder().speed(10.0).start()?;
    let policy = Policy::builder("running").build()?;
    let base = BaseUrl::parse(&sim.base_url())?;
    let state = watch(&base, policy.into(), CvmId::new("my-cvm")?, &mut |update| {
        println!("{update:?}");
        ControlFlow::Continue(())
    })?;
    println!("done: {}\n", state.status);

    let suite = ByHand::new(|job, report| {
        let base = BaseUrl::parse(&job.setup.base_url).map_err(|error| error.to_string())?;
        watch(&base, Arc::clone(&job.policy), job.id.clone(), report)
    });
    let no_tls = "this example speaks no TLS";
    let suite =
        ["tls", "tls-untrusted", "tls-expired", "tls-wrong-host", "tls-broken", "tls-truncated", "drop-under-tls"]
            .iter()
            .fold(suite, |suite, name| suite.skip(name, no_tls));
    let greedy = "this example looks at the clock only when the socket is silent";
    let suite = suite.skip("endless-interim", greedy).skip("endless-chunk-size", greedy);
    let report = suite.run();
    println!("{report}");
    report.assert_passed();
    Ok(())
}
