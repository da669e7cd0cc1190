//! Plays one scenario after another.

use std::error::Error;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

use cvm_watch_driver::core::Event;
use cvm_watch_driver::{Client, Settings, Timer, Transport, Update, Watching};
use cvm_watch_sim::{Attempt, RefusedPort, Script, Sim};

use crate::black_hole::BlackHole;
use crate::identity::Identity;
use crate::report::{Finding, Report, Verdict};
use crate::rogue::Rogue;
use crate::scenario::{Certificate, Scenario, Server, Stop};
use crate::scenarios::scenarios;

/// The key that the kit's clients send.
pub(crate) const KEY: &str = "phak_of_the_kit";
/// The CVM that is watched; the space has to be encoded on its way.
const ID: &str = "my cvm";
/// How long a connection may take to be gone after its watch is.
const CLOSING: Duration = Duration::from_secs(3);

type BoxError = Box<dyn Error + Send + Sync>;

/// What a transport has to know for one scenario.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Setup {
    /// Where the client will be sent.
    pub base_url: String,
    /// The certificate authority to trust, PEM; only for scenarios over https.
    pub authority_pem: Option<String>,
}

/// Runs the scenarios against a transport.
///
/// `make` gives a fresh transport and timer for each scenario. `run` is an ordinary future: await
/// it on the runtime that the transport needs.
///
/// ```no_run
/// # use cvm_watch_driver::{Transport, Timer};
/// # async fn example<T: Transport, C: Timer>(make: fn(&str, Option<&str>) -> (T, C)) {
/// let kit = cvm_watch_kit::Kit::new(|setup| Ok(make(&setup.base_url, setup.authority_pem.as_deref())));
/// kit.skip("early-hints", "this stack takes a 103 for the answer").run().await.assert_passed();
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a kit does nothing before it is run"]
pub struct Kit<F> {
    make: F,
    only: Option<Vec<String>>,
    skipped: Vec<(String, String)>,
}

impl<F, T, C> Kit<F>
where
    F: FnMut(&Setup) -> Result<(T, C), BoxError>,
    T: Transport,
    C: Timer,
{
    /// A kit for the transports that `make` makes.
    pub fn new(make: F) -> Self {
        Self { make, only: None, skipped: Vec::new() }
    }

    /// Leaves out a scenario that the stack cannot pass, and says why in the report.
    pub fn skip(mut self, name: &str, reason: &str) -> Self {
        self.skipped.push((name.to_owned(), reason.to_owned()));
        self
    }

    /// Runs just these scenarios.
    pub fn only(mut self, names: &[&str]) -> Self {
        self.only = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// Runs the scenarios one after the other.
    pub async fn run(mut self) -> Report {
        let mut report = Report::default();
        for scenario in scenarios() {
            if self.only.as_ref().is_some_and(|only| !only.iter().any(|name| name == scenario.name)) {
                continue;
            }
            let skipped = self.skipped.iter().find(|(name, _)| name == scenario.name);
            let verdict = match skipped {
                Some((_, reason)) => Verdict::Skipped(reason.clone()),
                None => verdict(&scenario, Box::pin(self.play(&scenario)).await),
            };
            report.add(Finding { name: scenario.name, claim: scenario.claim, verdict });
        }
        report
    }

    async fn play(&mut self, scenario: &Scenario) -> Result<String, BoxError> {
        let stage = Stage::new(&scenario.server)?;
        let (transport, timer) = (self.make)(&stage.setup)?;
        let settings = Settings::builder().base_url(&stage.setup.base_url).api_key(KEY).allow_http(true).build()?;
        let transport = Rogue { inner: transport, fault: scenario.fault };
        let client = Client::new(settings, transport, timer);
        let rules = &scenario.rules;
        let watch = client
            .watch(ID, "running")
            .max_retries(rules.max_retries)
            .retry_delay(Duration::ZERO)
            .connect_timeout(rules.connect_timeout)
            .deadline(rules.deadline);
        let mut found = vec![watch_to_the_end(watch, scenario.stop, &stage, client.timer()).await];
        found.extend(stage.aftermath(client.timer()).await);
        if let Some(sim) = &stage.sim {
            (scenario.inspect)(&sim.requests())?;
        }
        Ok(found.join("; "))
    }
}

fn verdict(scenario: &Scenario, found: Result<String, BoxError>) -> Verdict {
    let found = found.unwrap_or_else(|error| format!("error: {error}"));
    if scenario.expected.contains(&found.as_str()) {
        return Verdict::Passed;
    }
    Verdict::Failed { expected: scenario.expected.join("\n      or:       "), found }
}

/// Follows a watch until it ends or the caller loses interest; what was seen, as text.
async fn watch_to_the_end<T: Transport, C: Timer>(
    mut watch: Watching<T, C>,
    stop: Stop,
    stage: &Stage,
    timer: &C,
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
            Err(Panicked) => {
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

struct Panicked;

/// The next update, with a panic of the transport caught: it is one of the things that are tried.
async fn calm<T: Transport, C: Timer>(watch: &mut Watching<T, C>) -> Result<Option<Update>, Panicked> {
    let mut next = Box::pin(watch.next_update());
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| next.as_mut().poll(cx))) {
        Ok(Poll::Ready(update)) => Poll::Ready(Ok(update)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(Err(Panicked)),
    })
    .await
}

/// Polls the watch and, beside it, looks whether its request has arrived.
async fn drop_once_asked<T: Transport, C: Timer>(mut watch: Watching<T, C>, stage: &Stage, timer: &C) {
    let start = timer.now();
    let mut update = Box::pin(async move { while watch.next_update().await.is_some() {} });
    while stage.requests() == 0 && timer.now().since(start) < CLOSING {
        let mut pause = Box::pin(timer.sleep_until(timer.now() + Duration::from_millis(2)));
        poll_fn(|cx| {
            // Only the pause says when to look again.
            let _ = update.as_mut().poll(cx);
            pause.as_mut().poll(cx)
        })
        .await;
    }
}

/// What was seen, with repetitions counted.
#[derive(Default)]
struct Seen {
    items: Vec<(String, usize)>,
    events: usize,
}

impl Seen {
    fn add(&mut self, update: &Update) {
        let text = match update {
            Update::Connecting { .. } => return,
            Update::Event { event, .. } => {
                self.events += 1;
                name(event)
            }
            Update::Retrying { cause, .. } => format!("retry: {cause}"),
            other => format!("{other:?}"),
        };
        match self.items.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => self.items.push((text, 1)),
        }
    }

    fn then(&self, end: &str) -> String {
        let items: Vec<_> = self
            .items
            .iter()
            .map(|(text, count)| if *count == 1 { text.clone() } else { format!("{text} ×{count}") })
            .collect();
        if items.is_empty() { end.to_owned() } else { format!("{}; {end}", items.join(", ")) }
    }
}

fn name(event: &Event) -> String {
    match event {
        Event::State(state) => state.status.clone(),
        Event::Complete(_) => "complete".to_owned(),
        Event::Timeout(_) => "timeout".to_owned(),
        Event::Error(_) => "error".to_owned(),
        Event::Other { data, .. } => match data.len() {
            1 => "other of 1 byte".to_owned(),
            length => format!("other of {length} bytes"),
        },
        Event::Malformed { .. } => "malformed".to_owned(),
        other => format!("{other:?}"),
    }
}

/// What a scenario is played on; everything in it lives until the scenario is over.
struct Stage {
    setup: Setup,
    sim: Option<Sim>,
    elsewhere: Option<Sim>,
    _refused: Option<RefusedPort>,
    _black_hole: Option<BlackHole>,
}

impl Stage {
    fn new(server: &Server) -> Result<Self, BoxError> {
        let mut stage = Self { setup: Setup::default(), sim: None, elsewhere: None, _refused: None, _black_hole: None };
        match server {
            Server::Plain(script) => stage.serve(Sim::start()?, script.clone(), None),
            Server::Tls(kind, script) => stage.serve_tls(*kind, script)?,
            Server::NotTls(script) => {
                stage.setup.authority_pem = Some(Identity::new(Certificate::Trusted)?.authority);
                let sim = Sim::start()?;
                let base = sim.base_url_for("localhost").replace("http:", "https:");
                stage.serve(sim, script.clone(), Some(base));
            }
            Server::RedirectElsewhere => {
                let elsewhere = Sim::start()?;
                elsewhere.script(ID, Attempt::stream().complete("running"));
                let target = format!("{}/cvms/my%20cvm/state?target=running", elsewhere.base_url());
                stage.elsewhere = Some(elsewhere);
                stage.serve(Sim::start()?, Attempt::new().head(302, &[("location", &target)]).close().into(), None);
            }
            Server::Refused => {
                let port = RefusedPort::new()?;
                stage.setup.base_url = format!("http://{}/api/v1", port.addr());
                stage._refused = Some(port);
            }
            Server::BlackHole => {
                let hole = BlackHole::new()?;
                stage.setup.base_url = format!("http://{}/api/v1", hole.addr());
                stage._black_hole = Some(hole);
            }
            Server::NoSuchHost => "http://cvm-watch-kit.invalid/api/v1".clone_into(&mut stage.setup.base_url),
        }
        Ok(stage)
    }

    fn serve(&mut self, sim: Sim, script: Script, base_url: Option<String>) {
        sim.script(ID, script);
        self.setup.base_url = base_url.unwrap_or_else(|| sim.base_url());
        self.sim = Some(sim);
    }

    fn serve_tls(&mut self, kind: Certificate, script: &Script) -> Result<(), BoxError> {
        let identity = Identity::new(kind)?;
        let sim = Sim::builder().tls(&identity.chain, &identity.key).start()?;
        let base = sim.base_url_for("localhost");
        self.setup.authority_pem = Some(identity.authority);
        self.serve(sim, script.clone(), Some(base));
        Ok(())
    }

    fn requests(&self) -> usize {
        self.sim.as_ref().map_or(0, |sim| sim.requests().len())
    }

    /// How many requests there were, and whether every connection is gone soon.
    async fn aftermath<C: Timer>(&self, timer: &C) -> Vec<String> {
        let Some(sim) = &self.sim else { return Vec::new() };
        let start = timer.now();
        while sim.open_connections() > 0 && timer.now().since(start) < CLOSING {
            timer.sleep_until(timer.now() + Duration::from_millis(2)).await;
        }
        let requests = match sim.requests().len() {
            1 => "1 request".to_owned(),
            many => format!("{many} requests"),
        };
        let open = if sim.open_connections() == 0 { "closed" } else { "a connection is still open" };
        let mut found = vec![requests, open.to_owned()];
        if self.elsewhere.as_ref().is_some_and(|other| other.connections().len() + other.requests().len() > 0) {
            found.push("the other server was asked too".to_owned());
        }
        found
    }

    /// Failures that name an address would differ from run to run.
    fn without_addresses(&self, text: &str) -> String {
        match &self.elsewhere {
            Some(elsewhere) => {
                text.replace(&format!("{}/cvms/my%20cvm/state?target=running", elsewhere.base_url()), "elsewhere")
            }
            None => text.to_owned(),
        }
    }
}
