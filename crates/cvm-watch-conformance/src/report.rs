//! What came of a run.

use std::fmt;

use crate::scenarios::scenarios;

/// What came of every scenario, in order.
#[derive(Debug, Clone, Default)]
pub struct Report {
    results: Vec<Finding>,
}

/// What came of one scenario.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// The scenario's name.
    pub name: &'static str,
    /// What it asks of a transport.
    pub claim: &'static str,
    /// How it went.
    pub verdict: Verdict,
}

/// How a scenario went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// As it must.
    Passed,
    /// Otherwise.
    Failed {
        /// What would have been right.
        expected: String,
        /// What came.
        found: String,
    },
    /// Left out, for this reason.
    Skipped(String),
}

impl Report {
    pub(crate) fn add(&mut self, finding: Finding) {
        self.results.push(finding);
    }

    /// In the order of the suite, those that were skipped among the others.
    pub(crate) fn sort(&mut self) {
        let names: Vec<_> = scenarios().iter().map(|scenario| scenario.name).collect();
        self.results.sort_by_key(|finding| names.iter().position(|name| *name == finding.name));
    }

    /// Every finding.
    pub fn findings(&self) -> &[Finding] {
        &self.results
    }

    /// The names of the scenarios that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.results.iter().filter(|finding| matches!(finding.verdict, Verdict::Failed { .. }));
        failed.map(|finding| finding.name).collect()
    }

    /// Panics with the whole report unless nothing failed; for tests.
    ///
    /// # Panics
    ///
    /// When a scenario failed.
    pub fn assert_passed(&self) {
        assert!(self.failed().is_empty(), "{self}");
    }
}

/// A line for each scenario, and for a failed one what was expected and what came.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { name, claim, verdict } in &self.results {
            match verdict {
                Verdict::Passed => writeln!(f, "pass  {name}: {claim}")?,
                Verdict::Skipped(reason) => writeln!(f, "skip  {name}: {reason}")?,
                Verdict::Failed { expected, found } => {
                    writeln!(f, "FAIL  {name}: {claim}\n      expected: {expected}\n      found:    {found}")?;
                }
            }
        }
        let skipped = self.results.iter().filter(|finding| matches!(finding.verdict, Verdict::Skipped(_))).count();
        let failed = self.failed().len();
        let passed = self.results.len() - failed - skipped;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
