//! Exit codes.

/// How the program ends. The numbers are documented and stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The target was reached, or what was asked for is done.
    Success,
    /// A failure that has no code of its own.
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
