//! Selects the scenarios to run, and judges their outcomes.

use crate::report::{Finding, Report, Verdict};
use crate::scenario::Scenario;
use crate::scenarios::scenarios;
use crate::stage::BoxError;

/// Which scenarios to run; all of them by default.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    only: Option<Vec<String>>,
    skipped: Vec<(String, String)>,
}

impl Selection {
    pub(crate) fn only(&mut self, names: &[&str]) {
        self.only = Some(names.iter().map(|name| (*name).to_owned()).collect());
    }

    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        self.skipped.push((name.to_owned(), reason.to_owned()));
    }

    /// The scenarios to run. Those that were skipped with a reason are in the report already.
    pub(crate) fn scenarios(&self, report: &mut Report) -> Vec<Scenario> {
        let chosen =
            |scenario: &Scenario| self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == scenario.name));
        let mut run = Vec::new();
        for scenario in scenarios().into_iter().filter(chosen) {
            let skipped = self.skipped.iter().find(|(name, _)| name == scenario.name);
            match skipped.map(|(_, reason)| reason.as_str()).or_else(|| scenario.server.unavailable()) {
                Some(reason) => {
                    let verdict = Verdict::Skipped(reason.to_owned());
                    report.add(Finding { name: scenario.name, claim: scenario.claim, verdict });
                }
                None => run.push(scenario),
            }
        }
        run
    }
}

/// Compares the outcome of a scenario with the expected ones.
pub(crate) fn judge(scenario: &Scenario, found: Result<String, BoxError>, errors: Vec<String>) -> Finding {
    let found = found.unwrap_or_else(|error| format!("error: {error}"));
    let verdict = if scenario.expected.contains(&found.as_str()) {
        Verdict::Passed
    } else {
        Verdict::Failed { expected: scenario.expected.join("\n      or:       "), found, errors }
    };
    Finding { name: scenario.name, claim: scenario.claim, verdict }
}
