//! Faults between the driver and the world, each of which the oracle must notice.

/// What is wrong at the boundary. A world has none, or one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The transport loses one chunk in eight.
    LosesChunks,
    /// The transport hands over one chunk in eight twice.
    RepeatsChunks,
    /// The transport swaps a byte of the body.
    GarblesBytes,
    /// The transport says that the server said `running` when it said `starting`.
    ReportsTheTargetTooSoon,
    /// A body that broke ends as if it had been whole.
    EndsBrokenBodiesCleanly,
    /// A body never ends.
    HidesEnds,
    /// A new attempt reads on in the body of the one before.
    FeedsStaleBytes,
    /// A dropped connection stays open for a second.
    ClosesLate,
    /// The transport asks again by itself when a connection is refused.
    RetriesByItself,
    /// The transport follows redirects.
    HidesRedirects,
    /// A retried status comes as a final one.
    MistakesStatuses,
    /// The transport leaves out `Last-Event-ID`.
    ForgetsTheLastEventId,
    /// Nobody is woken when bytes come.
    ForgetsToWake,
    /// The transport holds chunks back until there are two.
    CollectsChunks,
    /// Sleeps end 50 ms late.
    TimersAreLate,
    /// Sleeps end at once.
    SleepsEndAtOnce,
    /// The clock gains two thousandths.
    ClockRunsFast,
    /// The handle loses one update in sixteen.
    LosesUpdates,
    /// The signal to abort wakes nobody.
    AbortsUnheard,
}

pub(crate) const ALL: [Fault; 19] = [
    Fault::LosesChunks,
    Fault::RepeatsChunks,
    Fault::GarblesBytes,
    Fault::ReportsTheTargetTooSoon,
    Fault::EndsBrokenBodiesCleanly,
    Fault::HidesEnds,
    Fault::FeedsStaleBytes,
    Fault::ClosesLate,
    Fault::RetriesByItself,
    Fault::HidesRedirects,
    Fault::MistakesStatuses,
    Fault::ForgetsTheLastEventId,
    Fault::ForgetsToWake,
    Fault::CollectsChunks,
    Fault::TimersAreLate,
    Fault::SleepsEndAtOnce,
    Fault::ClockRunsFast,
    Fault::LosesUpdates,
    Fault::AbortsUnheard,
];
