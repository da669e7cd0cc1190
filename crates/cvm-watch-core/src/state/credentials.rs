//! The credentials of a watch that is given one before each attempt.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::credential::Credential;
use crate::error::Rejection;
use crate::policy::Policy;
use crate::redact::Redactor;

/// How many credentials are redacted, so that a watch that runs for weeks keeps a bounded amount of memory. With one
/// of five minutes that is the last day.
const MOST_REDACTED: usize = 288;

#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// The latest is last; each is there once.
    given: VecDeque<Credential>,
    /// For the policy's secrets and every credential given.
    redactor: Redactor,
    /// The credential that the server refused last, with its answer, until a stream began.
    refused: Option<(Credential, Box<Rejection>)>,
}

impl Credentials {
    /// Returns the redactor of a watch.
    pub(super) fn redactor<'a>(this: Option<&'a Self>, policy: &'a Policy) -> &'a Redactor {
        this.map_or(policy.redactor(), |credentials| &credentials.redactor)
    }

    /// The next attempt has this credential. Returns the server's answer if it has refused that credential before.
    pub(super) fn give(&mut self, credential: &Credential, policy: &Policy) -> Option<Box<Rejection>> {
        if self.given.back() != Some(credential) {
            self.given.retain(|known| known != credential);
            self.given.push_back(credential.clone());
            if self.given.len() > MOST_REDACTED {
                self.given.pop_front();
            }
            self.redactor = policy.redactor().clone();
            self.given.iter().for_each(|known| self.redactor.add(known.expose()));
        }
        self.refused.take_if(|(refused, _)| refused == credential).map(|(_, rejection)| rejection)
    }

    /// The server refused the latest credential. Returns whether another one may be tried: after two refusals in a
    /// row none is.
    pub(super) fn refuse(&mut self, rejection: &Rejection) -> bool {
        let Some(latest) = self.given.back().filter(|_| self.refused.is_none()) else { return false };
        self.refused = Some((latest.clone(), Box::new(rejection.clone())));
        true
    }

    /// The server accepted the latest credential.
    pub(super) fn accept(&mut self) {
        self.refused = None;
    }
}
