//! The suite for programs that drive the core themselves, without this project's driver.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{ApiKey, CvmId, CvmState, Policy, Timestamp};
use cvm_watch_driver::{BootClock, Timer, Update};

use crate::misbehaving::Fault;
use crate::report::Report;
use crate::scenario::{Scenario, Stop};
use crate::scenarios::scenarios;
use crate::seen::Seen;
use crate::selection::{Selection, judge};
use crate::stage::{BoxError, ID, KEY, Setup, Stage};

/// One watch to run to its end.
#[derive(Debug)]
#[non_exhaustive]
pub struct Job {
    /// The address, and the certificate authority to trust.
    pub setup: Setup,
    /// The CVM to watch.
    pub id: CvmId,
    /// The policy of the watch.
    pub policy: Arc<Policy>,
}

/// Runs the scenarios against a function that drives the core itself, on this thread.
///
/// The function runs one [`Job`]. It passes each event and each retry to the callback, and returns at once if that
/// returns
/// `Break`. It returns the state or the message of the failure; after `Break` its result is ignored. Scenarios that
/// test the driver are left out, and so are those that drop a watch before its first event.
#[derive(Debug)]
#[must_use = "a suite does nothing before it is run"]
pub struct ByHand<F> {
    watch: F,
    selection: Selection,
}

impl<F> ByHand<F>
where
    F: FnMut(&Job, &mut dyn FnMut(&Update) -> ControlFlow<()>) -> Result<CvmState, String>,
{
    /// Makes a suite for this function.
    pub fn new(watch: F) -> Self {
        Self { watch, selection: Selection::default() }
    }

    /// Leaves out a scenario that the program cannot pass; the reason appears in the report.
    pub fn skip(mut self, name: &str, reason: &str) -> Self {
        self.selection.skip(name, reason);
        self
    }

    /// Runs only these scenarios.
    pub fn only(mut self, names: &[&str]) -> Self {
        self.selection.only(names);
        self
    }

    /// Runs the scenarios one after the other.
    pub fn run(mut self) -> Report {
        for scenario in scenarios() {
            if scenario.fault != Fault::None {
                self.selection.skip(scenario.name, "it tries the driver, which is not used here");
            } else if scenario.stop == Stop::DropOnceAsked {
                self.selection.skip(scenario.name, "a blocking call is left only when it reports something");
            }
        }
        let mut report = Report::default();
        for scenario in self.selection.scenarios(&mut report) {
            let found = self.play(&scenario);
            report.add(judge(&scenario, found, Vec::new()));
        }
        report.sort();
        report
    }

    fn play(&mut self, scenario: &Scenario) -> Result<String, BoxError> {
        let stage = Stage::new(&scenario.server)?;
        let rules = &scenario.rules;
        let policy = Policy::builder("running")
            .credential(ApiKey::new(KEY)?)
            .max_retries(rules.max_retries)
            .retry_delay(Duration::ZERO)
            .connect_timeout(rules.connect_timeout)
            .deadline(rules.deadline);
        let job = Job { setup: stage.setup.clone(), id: CvmId::new(ID)?, policy: Arc::new(policy.build()?) };
        let mut seen = Seen::default();
        let mut left = false;
        let ended = (self.watch)(&job, &mut |update| {
            seen.add(update);
            left = matches!(scenario.stop, Stop::DropAfter(events) if seen.events >= events);
            if left { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let end = match ended {
            _ if left => "dropped".to_owned(),
            Ok(state) => format!("resolved {}", state.status),
            Err(message) => format!("failed: {}", stage.without_addresses(&message)),
        };
        let mut found = vec![seen.then(&end)];
        found.extend(block_on(stage.aftermath(&Blocking(BootClock::new()))));
        if let Some(sim) = &stage.sim {
            (scenario.inspect)(&sim.log().requests())?;
        }
        Ok(found.join("; "))
    }
}

/// Sleeps by stopping the thread.
struct Blocking(BootClock);

impl Timer for Blocking {
    type Sleep = std::future::Ready<()>;

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Self::Sleep {
        thread::sleep(at.since(self.now()));
        std::future::ready(())
    }
}

/// A runtime for futures that wait only for [`Blocking`].
fn block_on<F: Future>(task: F) -> F::Output {
    let mut task = pin!(task);
    loop {
        if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}
