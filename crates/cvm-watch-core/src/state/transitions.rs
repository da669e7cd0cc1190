//! The phases of a watch, and the table of every transition between them.

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// It wants to connect and has no permit yet; a lone watch is never seen here.
    Queued,
    /// The request is on its way; no response head has come.
    Connecting,
    /// The event stream is being read.
    Streaming,
    /// The server answered with an error status, and its body is being read.
    ReadingError,
    /// An attempt was lost; the retry delay runs.
    Waiting,
    /// It has ended, and does nothing any more.
    Ended,
}

/// What makes a watch go from one phase to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Trigger {
    Permit,
    EventStream,
    ErrorStatus,
    Lost,
    RetryDue,
    Yield,
    Suspended,
    Completed,
    TargetSeen,
    Hopeless,
    Rejected,
    CertificateRefused,
    RetriesUsedUp,
    DeadlinePassed,
    Abort,
}

/// Every transition there is; `docs/state-machine.md` draws this table.
pub(crate) const TRANSITIONS: &[(Phase, Trigger, Phase)] = {
    use Phase::{Connecting, Ended, Queued, ReadingError, Streaming, Waiting};
    use Trigger as On;
    &[
        (Queued, On::Permit, Connecting),
        (Queued, On::DeadlinePassed, Ended),
        (Queued, On::Abort, Ended),
        (Connecting, On::EventStream, Streaming),
        (Connecting, On::ErrorStatus, ReadingError),
        (Connecting, On::Lost, Waiting),
        (Connecting, On::Suspended, Queued),
        (Connecting, On::Rejected, Ended),
        (Connecting, On::CertificateRefused, Ended),
        (Connecting, On::RetriesUsedUp, Ended),
        (Connecting, On::DeadlinePassed, Ended),
        (Connecting, On::Abort, Ended),
        (Streaming, On::Completed, Ended),
        (Streaming, On::TargetSeen, Ended),
        (Streaming, On::Lost, Waiting),
        (Streaming, On::Hopeless, Ended),
        (Streaming, On::Yield, Queued),
        (Streaming, On::Suspended, Queued),
        (Streaming, On::RetriesUsedUp, Ended),
        (Streaming, On::DeadlinePassed, Ended),
        (Streaming, On::Abort, Ended),
        (ReadingError, On::Rejected, Ended),
        (ReadingError, On::Lost, Waiting),
        (ReadingError, On::RetriesUsedUp, Ended),
        (ReadingError, On::DeadlinePassed, Ended),
        (ReadingError, On::Abort, Ended),
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
