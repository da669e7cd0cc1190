//! Runs the scenarios one after another.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use cvm_watch_driver::{Client, Settings, Timer, Transport, Update, WatchHandle};

use crate::misbehaving::{Errors, Misbehaving};
use crate::report::Report;
use crate::scenario::{Scenario, Stop};
use crate::seen::Seen;
use crate::selection::{Selection, judge};
use crate::stage::{BoxError, CLOSING, ID, KEY, Setup, Stage};

/// Runs the scenarios against a transport.
///
/// `make` returns a fresh transport and timer for each scenario. `run` is an ordinary future: await it on the runtime
/// that the transport needs.
///
/// ```no_run
/// # use cvm_watch_driver::{Transport, Timer};
/// # async fn example<T: Transport, C: Timer>(make: fn(&str, Option<&str>) -> (T, C)) {
/// let suite = cvm_watch_conformance::Suite::new(|setup| Ok(make(&setup.base_url, setup.authority_pem.as_deref())));
/// suite.skip("early-hints", "this stack takes a 103 for the answer").run().await.assert_passed();
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a suite does nothing before it is run"]
pub struct Suite<F> {
    make: F,
    selection: Selection,
}

impl<F, T, C> Suite<F>
where
    F: FnMut(&Setup) -> Result<(T, C), BoxError>,
    T: Transport,
    C: Timer,
{
    /// Makes a suite for the transports that `make` returns.
    pub fn new(make: F) -> Self {
        Self { make, selection: Selection::default() }
    }

    /// Leaves out a scenario that the stack cannot pass; the reason appears in the report.
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
    pub async fn run(mut self) -> Report {
        let mut report = Report::default();
        for scenario in self.selection.scenarios(&mut report) {
            let errors = Errors::default();
            let found = Box::pin(self.play(&scenario, &errors)).await;
            report.add(judge(&scenario, found, errors.take()));
        }
        report.sort();
        report
    }

    async fn play(&mut self, scenario: &Scenario, errors: &Errors) -> Result<String, BoxError> {
        let stage = Stage::new(&scenario.server)?;
        let (transport, timer) = (self.make)(&stage.setup)?;
        let settings = Settings::builder().base_url(&stage.setup.base_url).api_key(KEY).allow_http(true).build()?;
        let transport = Misbehaving { inner: transport, fault: scenario.fault, errors: errors.clone() };
        let client = Client::new(settings, transport, timer);
        let rules = &scenario.rules;
        let watch = client
            .watch(ID, "running")
            .max_retries(rules.max_retries)
            .retry_delay(Duration::ZERO)
            .connect_timeout(rules.connect_timeout)
            .deadline(rules.deadline);
        let mut found = vec![watch_to_the_end(watch, scenario.stop, &stage, client.timer(), errors).await];
        found.extend(stage.aftermath(client.timer()).await);
        if let Some(sim) = &stage.sim {
            (scenario.inspect)(&sim.log().requests())?;
        }
        Ok(found.join("; "))
    }
}

/// Reads a watch until it ends or the caller drops it; returns what was seen as text.
async fn watch_to_the_end<T: Transport, C: Timer>(
    mut watch: WatchHandle<T, C>,
    stop: Stop,
    stage: &Stage,
    timer: &C,
    errors: &Errors,
) -> String {
    let mut seen = Seen::default();
    if stop == Stop::DropOnceAsked {
        drop_once_asked(watch, stage, timer).await;
        return "dropped".to_owned();
    }
    loop {
        let update = match calm(&mut watch).await {
            Ok(Some(update)) => update,
            Ok(None) => break,
            Err(Panicked(message)) => {
                errors.add(format!("panic: {message}"));
                drop(watch);
                return seen.then("panicked");
            }
        };
        seen.add(&update);
        if let Stop::DropAfter(events) = stop
            && seen.events >= events
        {
            drop(watch);
            return seen.then("dropped");
        }
    }
    match watch.await {
        Ok(state) => seen.then(&format!("resolved {}", state.status)),
        Err(error) => seen.then(&format!("failed: {}", stage.without_addresses(&error.to_string()))),
    }
}

/// A panic, with its message.
struct Panicked(String);

/// Returns the next update. A panic of the transport is caught, since a scenario provokes one.
async fn calm<T: Transport, C: Timer>(watch: &mut WatchHandle<T, C>) -> Result<Option<Update>, Panicked> {
    let mut next = Box::pin(watch.next_update());
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| next.as_mut().poll(cx))) {
        Ok(Poll::Ready(update)) => Poll::Ready(Ok(update)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Poll::Ready(Err(Panicked(text.unwrap_or_else(|| "without a message".to_owned()))))
        }
    })
    .await
}

/// Polls the watch, and also checks whether its request has arrived.
async fn drop_once_asked<T: Transport, C: Timer>(mut watch: WatchHandle<T, C>, stage: &Stage, timer: &C) {
    let start = timer.now();
    let mut update = Box::pin(async move { while watch.next_update().await.is_some() {} });
    while stage.requests() == 0 && timer.now().since(start) < CLOSING {
        let mut pause = Box::pin(timer.sleep_until(timer.now() + Duration::from_millis(2)));
        poll_fn(|cx| {
            // Only the pause wakes the task to check again.
            let _ = update.as_mut().poll(cx);
            pause.as_mut().poll(cx)
        })
        .await;
    }
}
