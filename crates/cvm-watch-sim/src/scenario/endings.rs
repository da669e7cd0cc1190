//! Streams that differ in how they end: with or without `complete`, `timeout` or `error` events.

use serde_json::json;

use super::{MOMENT, SECOND, Scenario, StateRequest, starting, stream};
use crate::script::Attempt;

pub(super) static SCENARIOS: &[Scenario] = &[
    stream("complete-only-", "complete with no state before it", |request| {
        Attempt::stream().complete(request.target())
    }),
    stream("complete-upper-", "complete with its status in capitals", |request| {
        at_target(request).event("complete", complete(&request.target().to_ascii_uppercase(), request))
    }),
    stream("wrong-complete-", "complete with a status that is not the target", wrong_complete),
    stream("after-complete-", "complete, then more events on the open stream without end", |request| {
        let more = crate::wire::event("state", r#"{"status":"starting"}"#);
        at_target(request).complete(request.target()).repeat(more, MOMENT, u64::MAX)
    }),
    stream("no-complete-", "the target as a state, then silence: complete never comes", |request| {
        at_target(request).stall()
    }),
    stream("no-complete-end-", "the target as a state, then a clean end", |request| at_target(request).close()),
    stream("no-complete-reset-", "the target as a state, then a reset", |request| at_target(request).reset()),
    stream("no-complete-cut-", "the target as a state, then a cut-off body", |request| at_target(request).truncate()),
    stream("no-complete-timeout-", "the target as a state, then a timeout event", |request| {
        at_target(request).timeout(request.target(), 0.6)
    }),
    stream("flap-", "the target, starting again a second later, the target again, complete", |request| {
        let away = starting().state(request.target()).wait(SECOND).progress("starting", "booting");
        away.wait(3 * SECOND).state(request.target()).wait(MOMENT).complete(request.target())
    }),
    stream("end-", "starting, then a clean end, on every attempt", |_| starting().close()),
    stream("empty-", "a clean end without an event, on every attempt", |_| Attempt::stream().close()),
    stream("timeout-", "a timeout event after a second, on every attempt", |request| {
        starting().wait(SECOND - MOMENT).timeout(request.target(), 1.0)
    }),
    stream("timeout-odd-", "a timeout event whose data is not JSON, on every attempt", |_| {
        starting().wait(SECOND - MOMENT).event("timeout", "out of time")
    }),
    stream("error-event-", "an error event in passing, then complete", |request| {
        let failed = starting().error("could not reach the host for its state").wait(SECOND);
        failed.state(request.target()).wait(MOMENT).complete(request.target())
    }),
    stream("error-end-", "an error event, then a clean end, on every attempt", |_| {
        starting().error("could not reach the host for its state").close()
    }),
    stream("retry-", "sets retry: 1500 and ends; complete on the second attempt", |request| match request.attempt {
        1 => Attempt::stream().bytes("retry: 1500\n\n").progress("starting", "booting").close(),
        _ => at_target(request).complete(request.target()),
    }),
    stream("resume-", "ends after id: 7; complete when Last-Event-ID is 7, else 400", resume),
];

fn at_target(request: &StateRequest) -> Attempt {
    starting().state(request.target()).wait(MOMENT)
}

fn complete(status: &str, request: &StateRequest) -> serde_json::Value {
    json!({ "status": status, "target": request.target(), "elapsed": 0.6 })
}

fn wrong_complete(request: &StateRequest) -> Attempt {
    let other = if request.target().eq_ignore_ascii_case("exited") { "running" } else { "exited" };
    starting().event("complete", complete(other, request))
}

fn resume(request: &StateRequest) -> Attempt {
    match request.last_event_id.as_deref() {
        Some("7") => at_target(request).complete(request.target()),
        None if request.attempt == 1 => {
            Attempt::stream().bytes("id: 7\nevent: state\ndata: {\"status\":\"starting\"}\n\n").close()
        }
        _ => Attempt::json(400, json!({ "detail": "Last-Event-ID should be 7" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Ending, Move, Step};

    #[test]
    fn a_wrong_complete_is_wrong_for_every_target() {
        for (target, completed) in [("running", "exited"), ("exited", "running"), ("EXITED", "running")] {
            let request = StateRequest { target: Some(target.to_owned()), ..StateRequest::new("a") };
            let data = json!({ "status": completed, "target": target, "elapsed": 0.6 });
            assert_eq!(wrong_complete(&request), starting().event("complete", data));
        }
    }

    #[test]
    fn a_resumed_stream_completes_and_a_forgotten_id_is_refused() {
        let mut request = StateRequest::new("a");
        assert_eq!(resume(&request).moves().last(), Some(Move::End(Ending::Close)));
        request.attempt = 2;
        let forgotten = resume(&request);
        assert!(matches!(forgotten.steps().first(), Some(Step::Head(head)) if head.status == 400));
        request.last_event_id = Some("7".to_owned());
        assert_eq!(resume(&request), at_target(&request).complete("running"));
    }
}
