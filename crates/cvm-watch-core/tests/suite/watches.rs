//! What the tests of a watch share.

use std::sync::Arc;
use std::time::Duration;

use cvm_watch_core::{Action, AttemptId, Input, Policy, PolicyBuilder, ResponseHead, Timestamp, Watch};
use cvm_watch_sim::Attempt;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A stream that reports the target at once.
pub(crate) fn done() -> Attempt {
    Attempt::stream().complete("running")
}

/// An answer with this body, after which the server closes the connection.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Attempt {
    Attempt::new().head(status, headers).bytes(body).close()
}

pub(crate) fn watch(policy: PolicyBuilder) -> Watch {
    Watch::new(Arc::new(policy.build().unwrap()), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO)
}

pub(crate) fn drain(watch: &mut Watch) -> Vec<Action> {
    std::iter::from_fn(|| watch.poll_action()).collect()
}

/// A watch whose first attempt received this head.
pub(crate) fn answered(head: ResponseHead<'_>) -> (Watch, AttemptId) {
    connected(watch(Policy::builder("running")), head)
}

/// A watch whose first stream is open.
pub(crate) fn streaming(policy: PolicyBuilder) -> (Watch, AttemptId) {
    connected(watch(policy), ResponseHead::new(200))
}

fn connected(mut watch: Watch, head: ResponseHead<'_>) -> (Watch, AttemptId) {
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    watch.handle(Timestamp::ZERO, Input::Head { attempt, head, wall: None });
    (watch, attempt)
}
