//! The state of a CVM in an event.

use alloc::boxed::Box;
use alloc::string::String;

use serde::{Deserialize, Serialize};

/// The status that readiness is about.
pub(crate) const RUNNING: &str = "running";

/// The state of a CVM, as one `state` event reported it.
///
/// Only `status` is always there. The set of statuses is open; those seen so far are `running`,
/// `starting`, `restarting`, `stopping`, `stopped`, `shutting_down`, `exited`, `creating`, `removing`,
/// `deleting`, `deleted`, `provisioning`, `updating`, `in_progress` and `error` (source: Phala's public
/// SDKs).
///
/// Serialized, it is one JSON object with every field, absent ones as `null`, without [`raw`].
///
/// [`raw`]: CvmState::raw
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CvmState {
    /// What the CVM is doing, such as `running`. Compare it without regard to ASCII case.
    pub status: String,
    /// The CVM's id.
    pub id: Option<String>,
    /// The id of the instance that runs it.
    pub instance_id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// How long it has been up, as the server wrote it.
    pub uptime: Option<String>,
    /// When it exited, as the server wrote it.
    pub exited_at: Option<String>,
    /// The progress of the boot, such as `starting containers` or `done`; free text, never empty.
    pub boot_progress: Option<String>,
    /// The error of the boot, which may be left over from an earlier boot; never empty.
    pub boot_error: Option<String>,
    /// The progress of a shutdown.
    pub shutdown_progress: Option<String>,
    /// The server's JSON text, if [`PolicyBuilder::keep_raw`](crate::PolicyBuilder::keep_raw) is on.
    #[serde(skip)]
    pub raw: Option<Box<str>>,
}

impl CvmState {
    /// Makes a state with a status and nothing else.
    ///
    /// ```
    /// let state = cvm_watch_core::CvmState::with_status("running");
    /// assert!(state.is("RUNNING"));
    /// assert_eq!(state.name, None);
    /// ```
    pub fn with_status(status: impl Into<String>) -> Self {
        Self { status: status.into(), ..Self::default() }
    }

    /// Returns whether the status is `target`, ignoring ASCII case.
    pub fn is(&self, target: &str) -> bool {
        self.status.eq_ignore_ascii_case(target)
    }
}
