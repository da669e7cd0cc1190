//! The phases of a watch, and a table of the transitions between them.
//!
//! The table is not executed. Debug builds assert that each transition is in it, and tests compare it with the code
//! and with the diagram in `docs/state-machine.md`.

/// The phase of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It waits for a permit to connect. A watch outside a fleet is never in this phase.
    Queued,
    /// The request was sent; no response head has arrived.
    Connecting,
    /// The event stream is being read.
    Streaming,
    /// The server answered with an error status, and its body is being read.
    ReadingError,
    /// The server answered a single request, and its body, one state, is being read.
    ReadingState,
    /// An attempt failed; the retry delay runs.
    Waiting,
    /// It has ended.
    Ended,
}

/// What causes a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Trigger {
    Permit,
    EventStream,
    ErrorStatus,
    AttemptFailed,
    ImmediateAnswer,
    Polled,
    RetryDue,
    Yield,
    Suspended,
    AskAgain,
    Completed,
    TargetSeen,
    TargetUnreachable,
    Stalled,
    Rejected,
    CertificateRefused,
    CredentialsRefused,
    RetriesUsedUp,
    DeadlinePassed,
    Abort,
}

/// Every transition.
pub(crate) const TRANSITIONS: &[(Phase, Trigger, Phase)] = {
    use Phase::{Connecting, Ended, Queued, ReadingError, ReadingState, Streaming, Waiting};
    use Trigger as On;
    &[
        (Queued, On::Permit, Connecting),
        (Queued, On::DeadlinePassed, Ended),
        (Queued, On::Abort, Ended),
        (Connecting, On::EventStream, Streaming),
        (Connecting, On::ErrorStatus, ReadingError),
        (Connecting, On::ImmediateAnswer, ReadingState),
        (Connecting, On::AttemptFailed, Waiting),
        (Connecting, On::Suspended, Queued),
        (Connecting, On::Rejected, Ended),
        (Connecting, On::CertificateRefused, Ended),
        (Connecting, On::CredentialsRefused, Ended),
        (Connecting, On::RetriesUsedUp, Ended),
        (Connecting, On::DeadlinePassed, Ended),
        (Connecting, On::Abort, Ended),
        (Streaming, On::Completed, Ended),
        (Streaming, On::TargetSeen, Ended),
        (Streaming, On::AttemptFailed, Waiting),
        (Streaming, On::TargetUnreachable, Ended),
        (Streaming, On::Stalled, Ended),
        (Streaming, On::Yield, Queued),
        (Streaming, On::Suspended, Queued),
        (Streaming, On::RetriesUsedUp, Ended),
        (Streaming, On::DeadlinePassed, Ended),
        (Streaming, On::Abort, Ended),
        (ReadingError, On::Rejected, Ended),
        (ReadingError, On::AskAgain, Queued),
        (ReadingError, On::AttemptFailed, Waiting),
        (ReadingError, On::RetriesUsedUp, Ended),
        (ReadingError, On::DeadlinePassed, Ended),
        (ReadingError, On::Abort, Ended),
        (ReadingState, On::Polled, Waiting),
        (ReadingState, On::TargetSeen, Ended),
        (ReadingState, On::TargetUnreachable, Ended),
        (ReadingState, On::Stalled, Ended),
        (ReadingState, On::AttemptFailed, Waiting),
        (ReadingState, On::Suspended, Queued),
        (ReadingState, On::RetriesUsedUp, Ended),
        (ReadingState, On::DeadlinePassed, Ended),
        (ReadingState, On::Abort, Ended),
        (Waiting, On::RetryDue, Queued),
        (Waiting, On::DeadlinePassed, Ended),
        (Waiting, On::Abort, Ended),
    ]
};

pub(crate) fn allowed(from: Phase, trigger: Trigger, to: Phase) -> bool {
    TRANSITIONS.contains(&(from, trigger, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_is_not_allowed() {
        assert!(allowed(Phase::Queued, Trigger::Permit, Phase::Connecting));
        assert!(!allowed(Phase::Queued, Trigger::Permit, Phase::Streaming));
        assert!(!allowed(Phase::Ended, Trigger::Permit, Phase::Connecting));
        assert!(TRANSITIONS.iter().all(|(from, ..)| *from != Phase::Ended), "the end is left");
    }
}
