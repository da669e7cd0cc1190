//! Exit codes.

/// How the program ends. The numbers are documented and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The target was reached, or what was asked for is done.
    Success,
    /// A failure without a specific code.
    Failure,
    /// Bad usage or input; nothing was requested.
    Usage,
    /// The retries or the deadline are used up.
    GaveUp,
    /// The CVM says that it will not get to the target.
    Unreachable,
    /// The server gave an answer that no retry changes.
    Rejected,
    /// Ended by SIGINT.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// Returns the most important of several: a signal first, then what the user can fix soonest.
    pub(crate) fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max_by_key(|exit| exit.weight()).unwrap_or(Self::Success)
    }

    /// The word for it in outputs for programs.
    pub(crate) fn outcome(self) -> &'static str {
        if self == Self::Success { "resolved" } else { "failed" }
    }

    fn weight(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::GaveUp => 2,
            Self::Unreachable => 3,
            Self::Rejected => 4,
            Self::Usage => 5,
            Self::Interrupted | Self::Terminated => 6,
        }
    }
}

impl From<Exit> for i32 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::GaveUp => 3,
            Exit::Unreachable => 4,
            Exit::Rejected => 5,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_many_follows_the_documented_order() {
        let order = [
            Exit::Interrupted,
            Exit::Usage,
            Exit::Rejected,
            Exit::Unreachable,
            Exit::GaveUp,
            Exit::Failure,
            Exit::Success,
        ];
        for at in 0..order.len() {
            assert_eq!(Exit::worst(order[at..].iter().copied().rev()), order[at]);
        }
        assert_eq!(order.map(i32::from), [130, 2, 5, 4, 3, 1, 0]);
        assert_eq!(Exit::worst([Exit::Usage, Exit::Terminated]), Exit::Terminated);
        assert_eq!(Exit::worst([]), Exit::Success);
    }
}
