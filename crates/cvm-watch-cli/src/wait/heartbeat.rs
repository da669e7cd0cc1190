//! News as it comes, and a sign of life where none does.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, sleep_until};

/// Without a terminal something is printed at least this often.
const PERIOD: Duration = Duration::from_secs(30);

/// When silence is to be broken.
pub(super) struct Heartbeat {
    due: Instant,
}

/// What there is to tell.
pub(super) enum Heard<T> {
    /// The next of the stream.
    News(T),
    /// A change that was held back is to be printed.
    Due,
    /// Nothing was printed for a while.
    Silence,
}

impl Heartbeat {
    pub(super) fn new() -> Self {
        Self { due: Instant::now() + PERIOD }
    }

    /// The next of the stream, or silence; `None` at its end. `due` is when a change that was held back is to be
    /// printed.
    pub(super) async fn next<S: Stream + Unpin>(
        &mut self,
        stream: &mut S,
        due: Option<Instant>,
    ) -> Option<Heard<S::Item>> {
        tokio::select! {
            // A stream that always has more must not keep what is due from being printed.
            biased;
            () = sleep_until(due.unwrap_or(self.due)), if due.is_some() => Some(Heard::Due),
            news = next(stream) => news.map(Heard::News),
            () = sleep_until(self.due) => Some(Heard::Silence),
        }
    }

    /// Something was printed: it may wait.
    pub(super) fn put_off(&mut self) {
        self.due = Instant::now() + PERIOD;
    }
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}
