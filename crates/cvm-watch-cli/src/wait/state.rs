//! `cvm-watch state`: one request for each CVM, which reports its status at once.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use cvm_watch_core::{Action, CvmState, Policy, PolicyBuilder, printable};
use cvm_watch_driver::{BaseUrl, Observed};
use cvm_watch_hyper::{WatchError, WatchHandle};
use serde::Serialize;

use super::ended::{By, Ended, Trouble};
use super::ids::{Ids, Named};
use super::prepare::Prepared;
use super::{flags, hint, runtime, setup};
use crate::args::{ConnectionArgs, StateArgs, StateOutput};
use crate::exit::Exit;
use crate::{json, logging, output};

/// The most requests at a time.
const MOST_REQUESTS: usize = 4;
/// The version of the JSON, which is that of NDJSON.
const VERSION: u8 = 1;
/// The kind of an end by a signal.
const ABORTED: &str = "aborted";
/// The number of the only attempt.
const ATTEMPT: u64 = 1;

pub(crate) fn run(args: &StateArgs) -> Exit {
    if !args.connection.quiet {
        logging::start();
    }
    let named = Named { ids: args.ids.clone(), files: args.ids_from.clone(), has_after_change: false };
    let prepared = Prepared::new(&args.connection, None, named, problems(args));
    let report = prepared.map_err(|(_, ended)| ended).and_then(|prepared| {
        let mut report = Report::new(args, &prepared.ids);
        if !args.connection.quiet {
            let remarks = setup::remarks_of_check(args, &prepared);
            remarks.iter().for_each(|remark| output::to_stderr(remark.line()));
        }
        runtime::block_on(check_all(args, &prepared, &mut report))??;
        Ok(report)
    });
    match report {
        Ok(report) => report.end(),
        // There was no request.
        Err(ended) => {
            if let Err(trouble) = &ended.outcome {
                trouble.print();
            }
            ended.exit
        }
    }
}

/// What is wrong with the flags, one message for each that is refused.
fn problems(args: &StateArgs) -> Vec<String> {
    let ConnectionArgs { connect_timeout, base_url, .. } = &args.connection;
    let policy = args.target.iter().fold(Policy::builder("running"), PolicyBuilder::or_target);
    let policy = connect_timeout.iter().fold(policy, |policy, limit| policy.connect_timeout(*limit)).build();
    let url = setup::given(base_url).map_or(Ok(()), |url| url.parse::<BaseUrl>().map(drop));
    [policy.map(drop), url].into_iter().filter_map(Result::err).map(|error| flags::named(&error)).collect()
}

/// The answer to a request, and how long it took.
type Answer = (Result<CvmState, WatchError>, Duration);

/// Requests a few at a time, and reports the answers in the order of the ids. A signal ends it.
async fn check_all(args: &StateArgs, prepared: &Prepared, report: &mut Report<'_>) -> Result<(), Ended> {
    let Prepared { client, signals, ids, .. } = prepared;
    let mut waiting = ids.ids.iter();
    let mut running = VecDeque::new();
    loop {
        while running.len() < MOST_REQUESTS
            && let Some(id) = waiting.next()
        {
            let watching = handle(args, prepared, id);
            running.push_back((id, tokio::spawn(check(watching))));
        }
        let Some((id, answer)) = running.pop_front() else { return Ok(()) };
        let (outcome, took) = answer.await.map_err(|error| Ended::broken(&error.into()))?;
        let by = By { signal: signals.received(), sources: client.settings().sources(), deadline: None };
        let mut ended = Ended::new(outcome.as_ref(), None, &by);
        if let (Err(trouble), Some(failure)) =
            (&mut ended.outcome, outcome.as_ref().err().and_then(WatchError::failure))
        {
            trouble.hint = hint::next_step_of_check(failure, by.sources);
        }
        let is_aborted = ended.kind() == ABORTED;
        report.add(id, took, ended);
        output::caught_up().await;
        if is_aborted {
            return Ok(());
        }
    }
}

fn handle(args: &StateArgs, prepared: &Prepared, id: &str) -> WatchHandle {
    let Prepared { client, signals, .. } = prepared;
    let mut watching = client.state(id).abort_on(signals.first());
    if let Some(limit) = args.connection.connect_timeout {
        watching = watching.connect_timeout(limit);
    }
    if args.connection.verbose {
        let base = client.settings().base_url().clone();
        watching = watching.observe(move |observed: Observed<'_>| {
            if let Observed::Polled(Some((_, Action::Connect { request, .. }))) = observed {
                output::to_stderr(format!("note: requesting {base}{}", request.path_and_query()));
            }
        });
    }
    watching
}

async fn check(watching: WatchHandle) -> Answer {
    let started = Instant::now();
    let outcome = watching.await;
    (outcome, started.elapsed())
}

/// Prints the answers, and keeps what is printed at the end.
struct Report<'a> {
    args: &'a StateArgs,
    /// Whether there may be several CVMs, which are an array in JSON.
    are_several: bool,
    exit: Exit,
    /// The answers as JSON, if that is asked for.
    objects: Vec<String>,
    /// The CVMs that are at no target, with their statuses.
    elsewhere: Vec<(String, String)>,
    /// The CVMs whose requests failed.
    failed: Vec<(String, Box<Trouble>)>,
}

/// The answer about one CVM, as JSON.
#[derive(Serialize)]
struct Object<'a> {
    version: u8,
    r#type: &'static str,
    cvm: &'a str,
    attempt: u64,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_target: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a CvmState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Trouble>,
}

impl<'a> Report<'a> {
    fn new(args: &'a StateArgs, ids: &Ids) -> Self {
        let (objects, elsewhere, failed) = Default::default();
        let are_several = ids.only().is_none();
        Self { args, are_several, exit: Exit::Success, objects, elsewhere, failed }
    }

    fn add(&mut self, id: &str, took: Duration, ended: Ended) {
        let StateArgs { connection, target: targets, output: format, .. } = self.args;
        if connection.verbose {
            let outcome = if ended.outcome.is_ok() { "was answered" } else { "failed" };
            let (id, took) = (printable(id, 200), took.as_millis());
            output::to_stderr(format!("note: the request for {id} {outcome} after {took}ms"));
        }
        let state = ended.outcome.as_ref().ok().filter(|_| !targets.is_empty());
        let at_target = state.map(|state| targets.iter().any(|target| state.is(target)));
        match (&ended.outcome, format) {
            _ if connection.quiet => {}
            (Ok(state), StateOutput::Text) => output::to_stdout(line(id, state)),
            (Err(_), StateOutput::Text) => {}
            (outcome, StateOutput::Json) => self.objects.push(json::line(&Object {
                version: VERSION,
                r#type: "check",
                cvm: id,
                attempt: ATTEMPT,
                elapsed_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                at_target,
                state: outcome.as_deref().ok(),
                error: outcome.as_ref().err().map(AsRef::as_ref),
            })),
        }
        let exit = if at_target == Some(false) { Exit::Failure } else { ended.exit };
        self.exit = Exit::worst([self.exit, exit]);
        match ended.outcome {
            Ok(state) if at_target == Some(false) => self.elsewhere.push((id.to_owned(), state.status)),
            Ok(_) => {}
            Err(trouble) => self.failed.push((id.to_owned(), trouble)),
        }
    }

    /// Prints the JSON, and what failed.
    fn end(self) -> Exit {
        let is_json = self.args.output == StateOutput::Json && !self.args.connection.quiet;
        match (is_json, self.are_several) {
            (false, _) => {}
            (true, false) => self.objects.into_iter().for_each(output::to_stdout),
            (true, true) => output::to_stdout(format!("[{}]", self.objects.join(",\n"))),
        }
        let named = |id: &str, text: &str| {
            if self.are_several { format!("{}: {text}", printable(id, 100)) } else { text.to_owned() }
        };
        if !self.args.connection.quiet {
            let messages = |(id, trouble): &(String, Box<Trouble>)| {
                trouble.server_messages().map(|message| named(id, &message)).collect::<Vec<_>>()
            };
            self.failed.iter().flat_map(messages).for_each(output::to_stderr);
            let hints: BTreeSet<_> = self.failed.iter().filter_map(|(_, trouble)| trouble.hint.as_deref()).collect();
            hints.iter().for_each(|hint| output::to_stderr(format!("hint: {hint}")));
        }
        let targets = self.args.target.join(" or ");
        for (id, status) in &self.elsewhere {
            output::failure(&format!("{id} is not {targets}: the status is \"{}\"", printable(status, 40)));
        }
        for (id, trouble) in &self.failed {
            let is_of_all = trouble.kind == ABORTED;
            output::failure(&if is_of_all { trouble.message.clone() } else { named(id, &trouble.message) });
        }
        self.exit
    }
}

/// What is printed of a CVM: `web starting (booting)`.
fn line(id: &str, state: &CvmState) -> String {
    let text = |text: &str| printable(text, 160);
    let error = state.boot_error.as_deref().map(|error| format!("boot error: {}", text(error)));
    let details: Vec<_> = state.boot_progress.as_deref().map(text).into_iter().chain(error).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join("; ")) };
    format!("{} {}{details}", printable(id, 200), printable(&state.status, 40))
}
