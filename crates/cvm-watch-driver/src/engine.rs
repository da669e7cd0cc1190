//! What the loop drives: one watch, or a fleet of them.

use cvm_watch_core::{Action, AttemptId, Fleet, Input, MemberId, Timestamp, Watch};

/// The member number of a watch that is not in a fleet.
pub(crate) const ALONE: MemberId = MemberId::from_number(0);

/// The interface of the core that the loop uses.
pub(crate) trait Engine {
    /// The next action, and the member it concerns.
    fn poll_action(&mut self) -> Option<(MemberId, Action)>;

    /// Reports an input of a member's connection, or with `None` one that concerns every member:
    /// `Tick`, `Resumed` or `Abort`.
    fn handle(&mut self, now: Timestamp, member: Option<MemberId>, input: Input<'_>);

    /// Offers bytes of a member's body; returns how many were taken.
    fn receive(&mut self, now: Timestamp, member: MemberId, attempt: AttemptId, bytes: &[u8]) -> usize;

    /// When the next `Tick` is due.
    fn next_wake(&self) -> Option<Timestamp>;

    /// The watch of a member, unless it was removed.
    fn watch(&self, member: MemberId) -> Option<&Watch>;

    /// Whether no watch is left that has not ended.
    fn has_ended(&self) -> bool;
}

impl Engine for Watch {
    fn poll_action(&mut self) -> Option<(MemberId, Action)> {
        self.poll_action().map(|action| (ALONE, action))
    }

    fn handle(&mut self, now: Timestamp, _: Option<MemberId>, input: Input<'_>) {
        self.handle(now, input);
    }

    fn receive(&mut self, now: Timestamp, _: MemberId, attempt: AttemptId, bytes: &[u8]) -> usize {
        self.receive(now, attempt, bytes)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.next_wake().map(|wake| wake.at)
    }

    fn watch(&self, _: MemberId) -> Option<&Watch> {
        Some(self)
    }

    fn has_ended(&self) -> bool {
        self.phase() == cvm_watch_core::Phase::Ended
    }
}

impl Engine for Fleet {
    fn poll_action(&mut self) -> Option<(MemberId, Action)> {
        self.poll_action()
    }

    fn handle(&mut self, now: Timestamp, member: Option<MemberId>, input: Input<'_>) {
        match (member, input) {
            (Some(member), input) => self.handle(now, member, input),
            (None, Input::Tick) => self.tick(now),
            (None, Input::Resumed) => self.resumed(now),
            (None, Input::Abort) => self.abort(now),
            (None, _) => {}
        }
    }

    fn receive(&mut self, now: Timestamp, member: MemberId, attempt: AttemptId, bytes: &[u8]) -> usize {
        self.receive(now, member, attempt, bytes)
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.next_wake().map(|wake| wake.at)
    }

    fn watch(&self, member: MemberId) -> Option<&Watch> {
        self.watch(member)
    }

    fn has_ended(&self) -> bool {
        self.unfinished() == 0
    }
}
