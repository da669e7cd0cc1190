//! Credentials that are asked for before each attempt.

use core::fmt;
use core::future::{Future, ready};
use core::pin::Pin;
use std::error::Error;
use std::sync::Arc;

use cvm_watch_core::Credential;

/// What a [`CredentialProvider`] returns. Dropping it cancels the question.
pub type CredentialFuture = Pin<Box<dyn Future<Output = Result<Credential, Box<dyn Error + Send + Sync>>> + Send>>;

/// Returns the credential of an attempt, for credentials that expire or are rotated.
///
/// It is asked before each attempt, of every watch, member of a fleet and pool. After an HTTP 401 it is asked once
/// more: a different credential gets one more attempt, which does not count as a retry, and the same one ends the
/// watch as [`Rejected`](cvm_watch_core::Failure::Rejected). An error fails the attempt with
/// [`CloseCause::Credential`](cvm_watch_core::CloseCause::Credential), and a retry follows. The connect timeout
/// includes the time that it takes.
///
/// Credentials that it returned are redacted like any other, the last 288 that differ for each watch. An error should
/// not contain one.
///
/// Any closure that returns a future is a provider, an `async` one too; for one that returns at once there is
/// [`provider_fn`].
///
/// ```
/// use std::error::Error;
///
/// use cvm_watch_driver::cvm_watch_core::{BearerToken, ConfigError, Credential};
/// use cvm_watch_driver::{Settings, provider_fn};
///
/// let asynchronous = || async { Ok::<_, ConfigError>(BearerToken::new("eyJhbGciOi")?.into()) };
/// Settings::builder().credential_provider(asynchronous).build()?;
///
/// let synchronous = provider_fn(|| -> Result<_, Box<dyn Error + Send + Sync>> {
///     Ok(Credential::from_text(std::fs::read_to_string("token")?)?)
/// });
/// Settings::builder().credential_provider(synchronous).build()?;
/// # Ok::<(), ConfigError>(())
/// ```
pub trait CredentialProvider: Send + Sync {
    /// Begins to obtain a credential.
    fn credential(&self) -> CredentialFuture;
}

impl<F, R, E> CredentialProvider for F
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = Result<Credential, E>> + Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn credential(&self) -> CredentialFuture {
        let credential = self();
        Box::pin(async move { credential.await.map_err(Into::into) })
    }
}

/// A provider from a closure that returns at once: one that reads a small file or a variable. It blocks the task while
/// it runs.
pub fn provider_fn<F, E>(credential: F) -> impl CredentialProvider
where
    F: Fn() -> Result<Credential, E> + Send + Sync,
    E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    move || ready(credential())
}

/// A provider as settings keep it. Its `Debug` shows nothing.
#[derive(Clone)]
pub(crate) struct Provider(pub(crate) Arc<dyn CredentialProvider>);

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}
