//! The states from which the target cannot be reached.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, ConfigErrorKind as Kind};
use crate::text::printable;

/// States that fail a watch early, because the CVM cannot reach the target from them.
///
/// Only two such states in a row count, since a start may begin at `stopped` and a status may flap. They are two
/// states of one attempt, or of several attempts at least one [`interval`](crate::Policy::interval) apart, so that
/// the server has checked the CVM twice. A state at the target never counts.
///
/// ```
/// use cvm_watch_core::{Policy, FailEarly};
///
/// let policy = Policy::builder("running").fail_early(FailEarly::of_a_boot()).build()?;
/// let chosen: Vec<_> = policy.fail_early().unwrap().statuses().collect();
/// assert_eq!(chosen, ["error", "exited", "removing", "deleting", "deleted"]);
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailEarly {
    statuses: Vec<String>,
    boot_errors: bool,
}

impl FailEarly {
    /// The states that end a boot: the statuses `error`, `exited`, `removing`, `deleting` and `deleted`, and a boot
    /// error.
    pub fn of_a_boot() -> Self {
        Self::on(["error", "exited", "removing", "deleting", "deleted"]).boot_errors(true)
    }

    /// These statuses only, ignoring ASCII case.
    pub fn on<S: Into<String>>(statuses: impl IntoIterator<Item = S>) -> Self {
        Self { statuses: statuses.into_iter().map(Into::into).collect(), boot_errors: false }
    }

    /// Sets whether a `boot_error` counts too. It counts while `boot_progress` is not `done`, and if it differs from
    /// that of the first state, which may be left over from an earlier boot.
    #[must_use]
    pub fn boot_errors(mut self, count: bool) -> Self {
        self.boot_errors = count;
        self
    }

    /// Returns the statuses that count.
    pub fn statuses(&self) -> impl Iterator<Item = &str> {
        self.statuses.iter().map(String::as_str)
    }

    /// Returns whether boot errors count.
    pub fn counts_boot_errors(&self) -> bool {
        self.boot_errors
    }

    pub(super) fn check(&self, target: &str) -> Result<(), ConfigError> {
        for status in &self.statuses {
            if status.trim().is_empty() {
                let problem = "must not hold a blank status; leave it out";
                return Err(ConfigError::new("fail on", status, problem).with_kind(Kind::Missing));
            }
            if status.eq_ignore_ascii_case(target) {
                let problem = format!("is the target itself, \"{}\"; leave it out", printable(target, 60));
                return Err(ConfigError::new("fail on", status, problem).with_kind(Kind::Conflict));
            }
        }
        Ok(())
    }
}
