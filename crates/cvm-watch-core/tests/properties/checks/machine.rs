//! The interface of a watch that the properties use, so that a faulty watch can replace it.

use std::sync::Arc;

use cvm_watch_core::{Action, AttemptId, CvmId, Input, Phase, Policy, Timestamp, Wake, Watch};

pub trait Machine {
    fn start(policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp, permits: bool) -> Self;
    fn handle(&mut self, now: Timestamp, input: Input<'_>);
    fn receive(&mut self, now: Timestamp, attempt: AttemptId, bytes: &[u8]) -> usize;
    fn poll_action(&mut self) -> Option<Action>;
    fn next_wake(&self) -> Option<Wake>;
    fn phase(&self) -> Phase;
    fn attempts(&self) -> u64;
    fn last_event_id(&self) -> &str;
}

impl Machine for Watch {
    fn start(policy: Arc<Policy>, id: CvmId, seed: u64, now: Timestamp, permits: bool) -> Self {
        if permits { Self::with_permits(policy, id, seed, now) } else { Self::new(policy, id, seed, now) }
    }

    fn handle(&mut self, now: Timestamp, input: Input<'_>) {
        self.handle(now, input);
    }

    fn receive(&mut self, now: Timestamp, attempt: AttemptId, bytes: &[u8]) -> usize {
        self.receive(now, attempt, bytes)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.poll_action()
    }

    fn next_wake(&self) -> Option<Wake> {
        self.next_wake()
    }

    fn phase(&self) -> Phase {
        self.phase()
    }

    fn attempts(&self) -> u64 {
        self.attempts()
    }

    fn last_event_id(&self) -> &str {
        self.last_event_id()
    }
}
