//! Deliberate defects between the driver and the simulation, each of which the oracle must detect.

/// A defect at that boundary. A run has at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// The transport loses one chunk in eight.
    LosesChunks,
    /// The transport hands over one chunk in eight twice.
    RepeatsChunks,
    /// The transport swaps a byte of the body.
    GarblesBytes,
    /// The transport replaces `starting` by `running`.
    ReportsTheTargetTooSoon,
    /// A body that broke off ends cleanly.
    EndsBrokenBodiesCleanly,
    /// A body never ends.
    HidesEnds,
    /// A new attempt first reads bytes of the previous one.
    FeedsStaleBytes,
    /// A dropped connection stays open for a second.
    ClosesLate,
    /// The transport retries a refused connection by itself.
    RetriesByItself,
    /// The transport follows redirects.
    HidesRedirects,
    /// A status that is retried is replaced by a final one.
    MistakesStatuses,
    /// The transport leaves out `Last-Event-ID`.
    ForgetsTheLastEventId,
    /// Arriving bytes do not wake the task.
    ForgetsToWake,
    /// The transport holds back each chunk until the next one arrives.
    CollectsChunks,
    /// Sleeps end 50 ms late.
    TimersAreLate,
    /// Sleeps end at once.
    SleepsEndAtOnce,
    /// The clock gains two thousandths.
    ClockRunsFast,
    /// The handle loses one update in sixteen.
    LosesUpdates,
    /// The signal to abort does not wake the task.
    LosesAborts,
}

pub(crate) const ALL: [Defect; 19] = [
    Defect::LosesChunks,
    Defect::RepeatsChunks,
    Defect::GarblesBytes,
    Defect::ReportsTheTargetTooSoon,
    Defect::EndsBrokenBodiesCleanly,
    Defect::HidesEnds,
    Defect::FeedsStaleBytes,
    Defect::ClosesLate,
    Defect::RetriesByItself,
    Defect::HidesRedirects,
    Defect::MistakesStatuses,
    Defect::ForgetsTheLastEventId,
    Defect::ForgetsToWake,
    Defect::CollectsChunks,
    Defect::TimersAreLate,
    Defect::SleepsEndAtOnce,
    Defect::ClockRunsFast,
    Defect::LosesUpdates,
    Defect::LosesAborts,
];
