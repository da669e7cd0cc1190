//! The report of a run.

use std::fmt;

use crate::scenarios::scenarios;

/// The result of every scenario, in order.
#[derive(Debug, Clone, Default)]
pub struct Report {
    results: Vec<Finding>,
}

/// The result of one scenario.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// The scenario's name.
    pub name: &'static str,
    /// The requirement that it tests.
    pub claim: &'static str,
    /// Whether it passed.
    pub verdict: Verdict,
}

/// Whether a scenario passed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed.
    Failed {
        /// The outcomes that pass.
        expected: String,
        /// The outcome that was observed.
        found: String,
        /// The transport's errors with their sources, one per failed attempt, and a panic as one.
        errors: Vec<String>,
    },
    /// It was skipped, for this reason.
    Skipped(String),
}

impl Report {
    pub(crate) fn add(&mut self, finding: Finding) {
        self.results.push(finding);
    }

    /// Sorts the findings into the order of the suite.
    pub(crate) fn sort(&mut self) {
        let names: Vec<_> = scenarios().iter().map(|scenario| scenario.name).collect();
        self.results.sort_by_key(|finding| names.iter().position(|name| *name == finding.name));
    }

    /// Returns every finding.
    pub fn findings(&self) -> &[Finding] {
        &self.results
    }

    /// Returns the names of the scenarios that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.results.iter().filter(|finding| matches!(finding.verdict, Verdict::Failed { .. }));
        failed.map(|finding| finding.name).collect()
    }

    /// Panics with the whole report if a scenario failed; for tests.
    ///
    /// # Panics
    ///
    /// Panics if a scenario failed.
    pub fn assert_passed(&self) {
        assert!(self.failed().is_empty(), "{self}");
    }
}

/// Writes a line per scenario, and the expected and the observed outcome of each that failed.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { name, claim, verdict } in &self.results {
            match verdict {
                Verdict::Passed => writeln!(f, "pass  {name}: {claim}")?,
                Verdict::Skipped(reason) => writeln!(f, "skip  {name}: {reason}")?,
                Verdict::Failed { expected, found, errors } => {
                    writeln!(f, "FAIL  {name}: {claim}\n      expected: {expected}\n      found:    {found}")?;
                    for error in errors {
                        writeln!(f, "      error:    {error}")?;
                    }
                }
            }
        }
        let skipped = self.results.iter().filter(|finding| matches!(finding.verdict, Verdict::Skipped(_))).count();
        let failed = self.failed().len();
        let passed = self.results.len() - failed - skipped;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}
