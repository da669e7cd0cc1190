use core::error::Error;
use core::fmt;

/// Why a `Reader` or an `EventStream` yields no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The source of the bytes failed.
    Source(E),
    /// An event outgrew [`Limits::max_event_bytes`](crate::Limits::max_event_bytes()) and was dropped. The
    /// events after it can still be read.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl<E: fmt::Display> fmt::Display for ReadError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(_) => formatter.write_str("cannot read the event stream"),
            Self::TooLarge { limit } => {
                write!(formatter, "an event is larger than {limit} bytes; raise Limits::max_event_bytes to read it")
            }
        }
    }
}

impl<E: Error + 'static> Error for ReadError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            Self::TooLarge { .. } => None,
        }
    }
}
