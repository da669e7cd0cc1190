//! Checks the table of transitions against the code, and the size of a watch.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use std::path::Path;

use super::*;
use crate::close_cause::{CloseCause, TlsFault};
use crate::response::ResponseHead;
use crate::state::transitions::TRANSITIONS;

const SECOND: Duration = Duration::from_secs(1);

/// A watch whose first attempt is running, with a clock that the test moves.
struct Scene {
    watch: Watch,
    now: Timestamp,
    attempt: AttemptId,
}

impl Scene {
    /// Every scene allows one retry and asks for permits.
    fn queued() -> Self {
        let policy = Policy::builder("running").max_retries(1).retry_delay(SECOND).deadline(100 * SECOND);
        let watch =
            Watch::with_permits(Arc::new(policy.build().unwrap()), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
        Self { watch, now: Timestamp::ZERO, attempt: AttemptId(0) }
    }

    fn connecting() -> Self {
        Self::queued().permit()
    }

    fn streaming() -> Self {
        Self::connecting().head(200, None)
    }

    fn reading_error(status: u16) -> Self {
        Self::connecting().head(status, None)
    }

    fn waiting() -> Self {
        Self::connecting().closed(CloseCause::Reset)
    }

    fn last_try(self) -> Self {
        self.closed(CloseCause::Reset).pass(SECOND).permit()
    }

    fn permit(mut self) -> Self {
        self.watch.handle(self.now, Input::Permit);
        while let Some(action) = self.watch.poll_action() {
            if let Action::Connect { attempt, .. } = action {
                self.attempt = attempt;
            }
        }
        self
    }

    fn head(self, status: u16, content_type: Option<&'static str>) -> Self {
        let attempt = self.attempt;
        let mut head = ResponseHead::new(status);
        if let Some(content_type) = content_type {
            head.header("content-type", content_type.as_bytes());
        }
        self.input(Input::Head { attempt, head, wall: None })
    }

    fn closed(self, cause: CloseCause) -> Self {
        let attempt = self.attempt;
        self.input(Input::Closed { attempt, cause })
    }

    fn give_up(self) -> Self {
        let attempt = self.attempt;
        self.input(Input::Yield { attempt })
    }

    fn pass(mut self, time: Duration) -> Self {
        self.now = self.now + time;
        self.input(Input::Tick)
    }

    fn event(mut self, name: &str, status: &str) -> Self {
        let event = format!("event: {name}\ndata: {{\"status\":\"{status}\"}}\n\n");
        let _ = self.watch.receive(self.now, self.attempt, event.as_bytes());
        self.drained()
    }

    /// An attempt that was given its credential.
    fn with_credential() -> Self {
        let policy = Policy::builder("running").credential_per_attempt(true).build().unwrap();
        let watch = Watch::new(Arc::new(policy), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
        let attempt = AttemptId(1);
        let credential = crate::Credential::from_text("hunter2").unwrap();
        Self { watch, attempt, ..Self::queued() }.drained().input(Input::Credential { attempt, credential })
    }

    /// The same scene, failing early.
    fn wary(self) -> Self {
        self.with(Policy::builder("running").fail_early(crate::FailEarly::of_a_boot()))
    }

    /// Reads the answer of a single request.
    fn reading_state(change: impl FnOnce(crate::PolicyBuilder) -> crate::PolicyBuilder) -> Self {
        let policy = Policy::builder("running").deadline(Duration::from_secs(100)).mode(crate::Mode::Poll);
        Self::queued().with(change(policy))
    }

    /// The same scene after its answer, a state with this status.
    fn answered(mut self, status: &str) -> Self {
        let state = format!("{{\"status\":\"{status}\"}}");
        let _ = self.watch.receive(self.now, self.attempt, state.as_bytes());
        self.closed(CloseCause::Ended)
    }

    /// The same scene, an interval later: the next answer is read.
    fn next_poll(self) -> Self {
        let mut scene = self.pass(Duration::from_secs(6));
        scene.attempt = AttemptId(scene.watch.attempts());
        scene.head(200, None)
    }

    /// The same scene, with the shortest stall timeout.
    fn impatient(self) -> Self {
        let mut scene = self.with(Policy::builder("running").stall_timeout(Duration::from_nanos(1)));
        scene = scene.event("state", "starting");
        scene.now = scene.now + SECOND;
        scene
    }

    fn with(mut self, policy: crate::PolicyBuilder) -> Self {
        self.watch = Watch::new(Arc::new(policy.build().unwrap()), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
        self.attempt = AttemptId(1);
        self.drained().head(200, None)
    }

    fn input(mut self, input: Input<'_>) -> Self {
        self.watch.handle(self.now, input);
        self.drained()
    }

    fn drained(mut self) -> Self {
        while self.watch.poll_action().is_some() {}
        self
    }
}

/// One scene at least for each transition.
fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    let phases: [fn() -> Scene; 5] =
        [Scene::queued, Scene::connecting, Scene::streaming, || Scene::reading_error(404), Scene::waiting];
    for phase in phases {
        scenes.push(phase().input(Input::Abort));
    }
    scenes.extend([
        Scene::queued().pass(100 * SECOND),
        Scene::connecting().pass(100 * SECOND),
        Scene::streaming().pass(100 * SECOND),
        Scene::reading_error(503).pass(100 * SECOND),
        Scene::waiting().pass(100 * SECOND),
        Scene::connecting().give_up(),
        Scene::streaming().give_up(),
        Scene::reading_error(404).give_up(),
        Scene::connecting().last_try().closed(CloseCause::Reset),
        Scene::connecting().last_try().head(200, None).closed(CloseCause::Ended),
        Scene::connecting().last_try().head(503, None).closed(CloseCause::Ended),
        Scene::connecting().head(200, Some("text/html")),
        Scene::with_credential().head(401, None).closed(CloseCause::Ended),
        Scene::connecting().closed(CloseCause::Tls(TlsFault::Certificate)),
        Scene::connecting().closed(CloseCause::ProxyAuthentication),
        Scene::streaming().closed(CloseCause::ProxyAuthentication),
        Scene::streaming().closed(CloseCause::Tls(TlsFault::Certificate)),
        Scene::connecting().input(Input::Resumed),
        Scene::streaming().input(Input::Resumed),
        Scene::queued().wary().event("state", "error").event("state", "error"),
        Scene::queued().impatient().event("state", "starting").event("state", "starting"),
        Scene::reading_state(|c| c).answered("running"),
        Scene::reading_state(|c| c).answered("starting"),
        Scene::reading_state(|c| c.fail_early(crate::FailEarly::of_a_boot()))
            .answered("error")
            .next_poll()
            .answered("error"),
        Scene::reading_state(|c| c.stall_timeout(SECOND)).answered("starting").next_poll().answered("starting"),
        Scene::reading_state(|c| c).closed(CloseCause::Reset),
        Scene::reading_state(|c| c.max_retries(0)).closed(CloseCause::Reset),
        Scene::reading_state(|c| c).pass(100 * SECOND),
        Scene::reading_state(|c| c).input(Input::Resumed),
        Scene::reading_state(|c| c).input(Input::Abort),
        Scene::streaming().event("complete", "running"),
        Scene::streaming().event("state", "running").closed(CloseCause::Reset),
        Scene::reading_error(404).closed(CloseCause::Ended),
        Scene::reading_error(503).closed(CloseCause::Ended),
    ]);
    scenes
}

#[test]
fn every_transition_of_the_table_is_taken_and_no_other() {
    let taken: BTreeSet<_> = scenes().into_iter().flat_map(|scene| scene.watch.state.trail).collect();
    let table: BTreeSet<_> = TRANSITIONS.iter().copied().collect();
    assert_eq!(table.len(), TRANSITIONS.len(), "a transition stands twice in the table");
    let missing: Vec<_> = table.difference(&taken).collect();
    let more: Vec<_> = taken.difference(&table).collect();
    assert!(missing.is_empty() && more.is_empty(), "not taken: {missing:?}, not in the table: {more:?}");
}

/// The words of a trigger's name.
fn words(trigger: &str) -> String {
    let mut words = String::new();
    for (at, letter) in trigger.char_indices() {
        if letter.is_uppercase() && at > 0 {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// The table as a Mermaid diagram: one arrow for each pair of phases, with all its triggers.
fn diagram() -> String {
    let mut arrows: Vec<((Phase, Phase), Vec<String>)> = Vec::new();
    for (from, trigger, to) in TRANSITIONS {
        let label = words(&format!("{trigger:?}"));
        match arrows.iter_mut().find(|(phases, _)| *phases == (*from, *to)) {
            Some((_, labels)) => labels.push(label),
            None => arrows.push(((*from, *to), Vec::from([label]))),
        }
    }
    let lines = arrows.iter().map(|((from, to), labels)| format!("    {from:?} --> {to:?}: {}\n", labels.join("<br>")));
    format!("stateDiagram-v2\n    [*] --> Queued\n{}    Ended --> [*]\n", lines.collect::<String>())
}

/// `.ci/generate` writes it.
#[test]
fn the_diagram_in_the_documents_draws_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/state-machine.md");
    // A packaged crate has no documents beside it.
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let (before, rest) = text.split_once("```mermaid\n").unwrap();
    let (drawn, after) = rest.split_once("```").unwrap();
    if std::env::var_os("GENERATE").is_some() {
        std::fs::write(path, format!("{before}```mermaid\n{}```{after}", diagram())).unwrap();
    } else {
        assert_eq!(drawn, diagram(), "docs/state-machine.md is out of date; run .ci/generate");
    }
}

#[test]
fn a_watch_is_small() {
    let size = size_of::<Watch>();
    assert!(size <= 768, "{size} bytes");
}

#[test]
fn each_wake_says_why() {
    use crate::timer::WakeReason::{
        AttemptTimeout, CompleteGrace, ConnectTimeout, Deadline, ErrorBody, IdleTimeout, Retry, SteadyTarget,
    };
    let reason = |scene: &Scene| scene.watch.next_wake().map(|wake| wake.reason);
    assert_eq!(reason(&Scene::queued()), Some(Deadline));
    assert_eq!(reason(&Scene::connecting()), Some(ConnectTimeout));
    assert_eq!(reason(&Scene::streaming()), Some(Deadline));
    assert_eq!(reason(&Scene::streaming().event("state", "running")), Some(CompleteGrace));
    assert_eq!(reason(&Scene::reading_error(404)), Some(ErrorBody));
    assert_eq!(reason(&Scene::waiting()), Some(Retry));
    let policy = Policy::builder("running").after_change(SECOND);
    let watch = Watch::new(Arc::new(policy.build().unwrap()), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
    let wary = Scene { watch, attempt: AttemptId(1), ..Scene::queued() }.drained().head(200, None);
    assert_eq!(reason(&wary.event("state", "running")), Some(SteadyTarget));
    let policy = Policy::builder("running").idle_timeout(SECOND);
    let idle = Scene {
        watch: Watch::new(Arc::new(policy.build().unwrap()), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO),
        ..Scene::queued()
    };
    let mut idle = Scene { attempt: AttemptId(1), ..idle }.drained().head(200, None);
    assert_eq!(reason(&idle), Some(IdleTimeout));
    let policy = Policy::builder("running");
    idle.watch = Watch::new(Arc::new(policy.build().unwrap()), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
    assert_eq!(reason(&idle.drained().head(200, None)), Some(AttemptTimeout));
}
