//! Built-in scenarios: what a CVM does when no script was set for it, chosen by the prefix of its id.

mod answers;
mod boots;
mod connections;
mod contents;
mod endings;
mod floods;
mod heads;
mod proxies;
mod timeline;

use std::fmt;
use std::time::Duration;

use crate::script::Attempt;
use timeline::Timeline;

/// Long enough for a client to read what came before.
const MOMENT: Duration = Duration::from_millis(300);
const SECOND: Duration = Duration::from_secs(1);

/// A built-in scenario. [`scenarios`] lists them all, [`scenario_for`] picks one for a CVM.
#[derive(Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// Its name: the prefix without the dash.
    pub name: &'static str,
    /// What an id begins with to choose it. An id that is just the name will do too.
    pub prefix: &'static str,
    /// What it does, in one line.
    pub description: &'static str,
    play: Play,
}

#[derive(Debug)]
enum Play {
    /// A CVM whose state changes between requests too.
    Timeline(&'static Timeline),
    /// A CVM's timeline as it comes through a proxy; without a target, the proxy changes nothing.
    Proxied(&'static Timeline, fn(&StateRequest, &str) -> Attempt),
    /// An event stream; without a target, the state of the default boot.
    Stream(fn(&StateRequest) -> Attempt),
    /// The same with a target or without.
    Always(fn(&StateRequest) -> Attempt),
}

impl Scenario {
    /// What is done on this request.
    ///
    /// ```
    /// use cvm_watch_sim::{Attempt, StateRequest, scenario_for};
    ///
    /// let mut request = StateRequest::new("silent-1");
    /// request.target = Some("running".to_owned());
    /// assert_eq!(scenario_for("silent-1").attempt(&request), Attempt::new().stall());
    /// ```
    pub fn attempt(&self, request: &StateRequest) -> Attempt {
        match (&self.play, &request.target) {
            (Play::Always(play), _) | (Play::Stream(play), Some(_)) => play(request),
            (Play::Timeline(timeline), Some(target)) => timeline.stream(request, target),
            (Play::Proxied(_, stream), Some(target)) => stream(request, target),
            (Play::Timeline(timeline) | Play::Proxied(timeline, _), None) => timeline.immediate(request),
            (Play::Stream(_), None) => boots::BOOT.immediate(request),
        }
    }
}

/// A request for the state of a CVM.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateRequest {
    /// The CVM, as decoded from the path.
    pub id: String,
    /// The status waited for; `None` asks for the state at once.
    pub target: Option<String>,
    /// How often the state is repeated while nothing changes: 5..=30 s.
    pub interval: Duration,
    /// When the stream is ended by a `timeout` event: 10..=600 s.
    pub timeout: Duration,
    /// Which event stream for this CVM, from 1.
    pub attempt: u32,
    /// How long ago the first request for this CVM came.
    pub age: Duration,
    /// The `Last-Event-ID` header.
    pub last_event_id: Option<String>,
    /// The `X-API-Key` header, or else the bearer token.
    pub key: Option<String>,
}

impl StateRequest {
    /// A first request without a target, with interval and timeout at the endpoint's defaults of 5 s and 300 s.
    pub fn new(id: &str) -> StateRequest {
        StateRequest {
            id: id.to_owned(),
            target: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(300),
            attempt: 1,
            age: Duration::ZERO,
            last_event_id: None,
            key: None,
        }
    }

    /// The target, or `running`.
    fn target(&self) -> &str {
        self.target.as_deref().unwrap_or("running")
    }
}

/// Without the key.
impl fmt::Debug for StateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateRequest")
            .field("id", &self.id)
            .field("target", &self.target)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .field("attempt", &self.attempt)
            .field("age", &self.age)
            .field("last_event_id", &self.last_event_id)
            .finish_non_exhaustive()
    }
}

/// Every scenario, the default one first.
///
/// ```
/// use cvm_watch_sim::scenarios;
///
/// for scenario in scenarios() {
///     println!("{:<20} {}", scenario.prefix, scenario.description);
/// }
/// assert_eq!(scenarios().next().map(|scenario| scenario.name), Some("boot"));
/// ```
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    let families = [
        boots::SCENARIOS,
        endings::SCENARIOS,
        contents::SCENARIOS,
        floods::SCENARIOS,
        connections::SCENARIOS,
        proxies::SCENARIOS,
        answers::SCENARIOS,
        heads::SCENARIOS,
    ];
    families.into_iter().flatten()
}

/// The scenario with the longest prefix that `id` begins with; the default boot when there is none.
///
/// ```
/// use cvm_watch_sim::scenario_for;
///
/// assert_eq!(scenario_for("flaky-7").name, "flaky");
/// assert_eq!(scenario_for("no-complete-end-1").name, "no-complete-end");
/// assert_eq!(scenario_for("my-cvm").name, "boot");
/// ```
pub fn scenario_for(id: &str) -> &'static Scenario {
    let chosen = scenarios().filter(|known| id == known.name || id.starts_with(known.prefix));
    chosen.max_by_key(|known| known.prefix.len()).unwrap_or(&boots::DEFAULT)
}

/// A scenario that reports the states of a CVM over time.
const fn timeline(prefix: &'static str, description: &'static str, timeline: &'static Timeline) -> Scenario {
    scenario(prefix, description, Play::Timeline(timeline))
}

/// A scenario of a CVM behind a proxy.
const fn proxied(
    prefix: &'static str,
    description: &'static str,
    timeline: &'static Timeline,
    stream: fn(&StateRequest, &str) -> Attempt,
) -> Scenario {
    scenario(prefix, description, Play::Proxied(timeline, stream))
}

/// A scenario of an event stream.
const fn stream(prefix: &'static str, description: &'static str, play: fn(&StateRequest) -> Attempt) -> Scenario {
    scenario(prefix, description, Play::Stream(play))
}

/// A scenario that is the same with a target or without.
const fn always(prefix: &'static str, description: &'static str, play: fn(&StateRequest) -> Attempt) -> Scenario {
    scenario(prefix, description, Play::Always(play))
}

const fn scenario(prefix: &'static str, description: &'static str, play: Play) -> Scenario {
    let (name, _dash) = prefix.split_at(prefix.len() - 1);
    Scenario { name, prefix, description, play }
}

/// A stream that sent its first state a moment ago.
fn starting() -> Attempt {
    Attempt::stream().progress("starting", "booting").wait(MOMENT)
}

/// A `state` and a `complete` at the target.
fn done(attempt: Attempt, request: &StateRequest) -> Attempt {
    attempt.state(request.target()).complete(request.target())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Ending, Move, Step};
    use std::collections::HashSet;

    fn request(id: &str, target: Option<&str>) -> StateRequest {
        StateRequest { target: target.map(str::to_owned), ..StateRequest::new(id) }
    }

    #[test]
    fn names_are_unique_and_prefixes_end_in_a_dash() {
        let mut names = HashSet::new();
        for scenario in scenarios() {
            assert!(names.insert(scenario.name), "{} twice", scenario.name);
            assert_eq!(scenario.prefix, format!("{}-", scenario.name));
            assert!(!scenario.description.is_empty() && scenario.description.len() < 120, "{}", scenario.name);
        }
        assert!(names.len() > 30);
    }

    #[test]
    fn every_scenario_is_chosen_by_its_prefix_and_by_its_name() {
        for scenario in scenarios() {
            assert_eq!(scenario_for(scenario.name).name, scenario.name);
            assert_eq!(scenario_for(&format!("{}x", scenario.prefix)).name, scenario.name);
        }
        assert_eq!(scenario_for("flakyness").name, "boot");
    }

    #[test]
    fn without_a_target_every_stream_scenario_answers_one_json_state() {
        for scenario in scenarios().filter(|known| !matches!(known.play, Play::Always(_))) {
            let attempt = scenario.attempt(&request(scenario.prefix, None));
            let [Step::Head(head), Step::Body(_), Step::End(Ending::Close)] = attempt.steps() else {
                panic!("{}: {attempt:?}", scenario.name);
            };
            assert_eq!(head.value("content-type"), Some(b"application/json".as_slice()), "{}", scenario.name);
        }
    }

    #[test]
    fn every_scenario_can_be_walked_for_some_time() {
        for scenario in scenarios() {
            for target in ["running", "stopped"] {
                let attempt = scenario.attempt(&request(scenario.prefix, Some(target)));
                assert!(attempt.moves().take(50).count() > 0, "{}", scenario.name);
                let first = attempt.moves().next();
                assert!(!matches!(first, Some(Move::Body(_))), "{}: a body before a head", scenario.name);
            }
        }
    }

    #[test]
    fn a_request_does_not_print_its_key() {
        let request = StateRequest { key: Some("hunter2".to_owned()), ..StateRequest::new("a") };
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
