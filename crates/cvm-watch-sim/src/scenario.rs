//! Built-in scenarios: what a CVM does when no script was set for it, chosen by the prefix of its id.

mod answers;
mod boots;
mod connections;
mod contents;
mod endings;
mod floods;
mod timeline;

use std::fmt;
use std::time::Duration;

use crate::script::Attempt;
use timeline::Timeline;

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
    /// A CVM that lives on between requests.
    Timeline(&'static Timeline),
    /// An event stream; without a target, the state of the default boot.
    Stream(fn(&Visit) -> Attempt),
    /// The same with a target or without.
    Always(fn(&Visit) -> Attempt),
}

impl Scenario {
    /// What is done on this visit.
    ///
    /// ```
    /// use cvm_watch_sim::{Attempt, Visit, scenario_for};
    ///
    /// let mut visit = Visit::new("silent-1");
    /// visit.target = Some("running".to_owned());
    /// assert_eq!(scenario_for("silent-1").attempt(&visit), Attempt::new().stall());
    /// ```
    pub fn attempt(&self, visit: &Visit) -> Attempt {
        match (&self.play, &visit.target) {
            (Play::Always(play), _) | (Play::Stream(play), Some(_)) => play(visit),
            (Play::Timeline(timeline), Some(target)) => timeline.stream(visit, target),
            (Play::Timeline(timeline), None) => timeline.immediate(visit),
            (Play::Stream(_), None) => boots::BOOT.immediate(visit),
        }
    }
}

/// One request as a scenario sees it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Visit {
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
    /// The `X-API-Key` header.
    pub key: Option<String>,
}

impl Visit {
    /// A first visit without a target, with interval and timeout at the endpoint's defaults of 5 s and 300 s.
    pub fn new(id: &str) -> Visit {
        Visit {
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

    /// The target, or the usual one.
    fn target(&self) -> &str {
        self.target.as_deref().unwrap_or("running")
    }
}

/// Without the key.
impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit")
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
        answers::SCENARIOS,
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

/// A table row: prefix, description, play.
const fn scenario(prefix: &'static str, description: &'static str, play: Play) -> Scenario {
    let (name, _dash) = prefix.split_at(prefix.len() - 1);
    Scenario { name, prefix, description, play }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Move, Step};
    use std::collections::HashSet;

    fn visit(id: &str, target: Option<&str>) -> Visit {
        Visit { target: target.map(str::to_owned), ..Visit::new(id) }
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
            let attempt = scenario.attempt(&visit(scenario.prefix, None));
            let [Step::Head(head), Step::Body(_), Step::Close] = attempt.steps() else {
                panic!("{}: {attempt:?}", scenario.name);
            };
            assert_eq!(head.value("content-type"), Some(b"application/json".as_slice()), "{}", scenario.name);
        }
    }

    #[test]
    fn every_scenario_can_be_walked_for_some_time() {
        for scenario in scenarios() {
            for target in ["running", "stopped"] {
                let attempt = scenario.attempt(&visit(scenario.prefix, Some(target)));
                assert!(attempt.moves().take(50).count() > 0, "{}", scenario.name);
                let first = attempt.moves().next();
                assert!(!matches!(first, Some(Move::Body(_))), "{}: a body before a head", scenario.name);
            }
        }
    }

    #[test]
    fn a_visit_does_not_print_the_key() {
        let visit = Visit { key: Some("hunter2".to_owned()), ..Visit::new("a") };
        assert!(!format!("{visit:?}").contains("hunter2"));
    }
}
