//! A watch whose stream is open, without a connection.

use std::sync::Arc;

use cvm_watch_core::{Action, AttemptId, Event, Input, Policy, ResponseHead, Timestamp, Watch};

/// A watch, the attempt that it streams from, and its clock.
pub struct Streaming {
    watch: Watch,
    attempt: AttemptId,
    now: Timestamp,
}

impl Streaming {
    /// Takes a new watch to the point where its stream's first byte may come.
    pub fn new(policy: Arc<Policy>) -> Self {
        let now = Timestamp::ZERO;
        let mut watch = Watch::new(policy, "my-cvm".parse().expect("a valid id"), 1, now);
        let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("a watch begins by connecting") };
        let mut head = ResponseHead::new(200);
        head.header("content-type", b"text/event-stream");
        watch.handle(now, Input::Head { attempt, head, wall: None });
        Self { watch, attempt, now }
    }

    /// Gives it a chunk, as a driver would, and each event to `see`.
    pub fn receive(&mut self, mut chunk: &[u8], mut see: impl FnMut(Event)) {
        while !chunk.is_empty() {
            let taken = self.watch.receive(self.now, self.attempt, chunk);
            chunk = &chunk[taken..];
            while let Some(action) = self.watch.poll_action() {
                match action {
                    Action::Emit { event, .. } => see(event),
                    other => panic!("a stream of states ends nothing: {other:?}"),
                }
            }
        }
    }
}
