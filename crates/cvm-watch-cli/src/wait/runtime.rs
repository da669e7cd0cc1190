//! The runtime that a wait runs on.

use super::ended::Ended;

/// Runs the future to its end on this thread.
///
/// # Errors
///
/// The runtime cannot be built, for example because the process may not open more files.
pub(super) fn block_on<T>(run: impl Future<Output = T>) -> Result<T, Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Ended::broken(&error))?;
    let outcome = runtime.block_on(run);
    // A name lookup may block its thread for long; the program does not wait for it.
    runtime.shutdown_background();
    Ok(outcome)
}
