//! Streams told apart by how they end: with or without `complete`, `timeout` or `error` events.

use std::time::Duration;

use serde_json::json;

use super::{Play, Scenario, Visit, scenario};
use crate::script::Attempt;

pub(super) static SCENARIOS: &[Scenario] = &[
    scenario("complete-only-", "complete with no state before it", Play::Stream(complete_only)),
    scenario("complete-upper-", "complete with its status in capitals", Play::Stream(complete_upper)),
    scenario("wrong-complete-", "complete with a status that is not the target", Play::Stream(wrong_complete)),
    scenario("after-complete-", "complete, then ever more events on the open stream", Play::Stream(after_complete)),
    scenario("no-complete-", "the target as a state, then silence: complete never comes", Play::Stream(no_complete)),
    scenario("no-complete-end-", "the target as a state, then a clean end", Play::Stream(no_complete_end)),
    scenario("no-complete-reset-", "the target as a state, then a reset", Play::Stream(no_complete_reset)),
    scenario("no-complete-cut-", "the target as a state, then a cut-off body", Play::Stream(no_complete_cut)),
    scenario("no-complete-timeout-", "the target as a state, then a timeout event", Play::Stream(no_complete_timeout)),
    scenario("flap-", "the target, starting again a second later, the target again, complete", Play::Stream(flap)),
    scenario("end-", "starting, then a clean end, on every attempt", Play::Stream(end)),
    scenario("empty-", "a clean end without an event, on every attempt", Play::Stream(empty)),
    scenario("timeout-", "a timeout event after a second, on every attempt", Play::Stream(timeout)),
    scenario("timeout-odd-", "a timeout event whose data is not JSON, on every attempt", Play::Stream(timeout_odd)),
    scenario("error-event-", "an error event in passing, then complete", Play::Stream(error_event)),
    scenario("error-end-", "an error event, then a clean end, on every attempt", Play::Stream(error_end)),
    scenario("retry-", "sets retry: 1500 and ends; complete on the second attempt", Play::Stream(retry)),
    scenario("resume-", "ends after id: 7; complete when Last-Event-ID is 7, else 400", Play::Stream(resume)),
];

const MOMENT: Duration = Duration::from_millis(300);
const SECOND: Duration = Duration::from_secs(1);

fn starting() -> Attempt {
    Attempt::stream().progress("starting", "booting").wait(MOMENT)
}

fn at_target(visit: &Visit) -> Attempt {
    starting().state(visit.target()).wait(MOMENT)
}

fn complete_only(visit: &Visit) -> Attempt {
    Attempt::stream().complete(visit.target())
}

fn complete_upper(visit: &Visit) -> Attempt {
    let status = visit.target().to_ascii_uppercase();
    at_target(visit).event("complete", json!({ "status": status, "target": visit.target(), "elapsed": 0.6 }))
}

fn wrong_complete(visit: &Visit) -> Attempt {
    let other = if visit.target().eq_ignore_ascii_case("exited") { "running" } else { "exited" };
    starting().event("complete", json!({ "status": other, "target": visit.target(), "elapsed": 0.3 }))
}

fn after_complete(visit: &Visit) -> Attempt {
    let more = crate::wire::event("state", r#"{"status":"starting"}"#);
    at_target(visit).complete(visit.target()).repeat(more, MOMENT, u64::MAX)
}

fn no_complete(visit: &Visit) -> Attempt {
    at_target(visit).stall()
}

fn no_complete_end(visit: &Visit) -> Attempt {
    at_target(visit).close()
}

fn no_complete_reset(visit: &Visit) -> Attempt {
    at_target(visit).reset()
}

fn no_complete_cut(visit: &Visit) -> Attempt {
    at_target(visit).truncate()
}

fn no_complete_timeout(visit: &Visit) -> Attempt {
    at_target(visit).timeout(visit.target(), 0.6)
}

fn flap(visit: &Visit) -> Attempt {
    let target = visit.target();
    let away = starting().state(target).wait(SECOND).progress("starting", "booting");
    away.wait(3 * SECOND).state(target).wait(MOMENT).complete(target)
}

fn end(_: &Visit) -> Attempt {
    starting().close()
}

fn empty(_: &Visit) -> Attempt {
    Attempt::stream().close()
}

fn timeout(visit: &Visit) -> Attempt {
    starting().wait(SECOND - MOMENT).timeout(visit.target(), 1.0)
}

fn timeout_odd(_: &Visit) -> Attempt {
    starting().wait(SECOND - MOMENT).event("timeout", "out of time")
}

fn error_event(visit: &Visit) -> Attempt {
    let failed = starting().error("could not reach the host for its state");
    failed.wait(SECOND).state(visit.target()).wait(MOMENT).complete(visit.target())
}

fn error_end(_: &Visit) -> Attempt {
    starting().error("could not reach the host for its state").close()
}

fn retry(visit: &Visit) -> Attempt {
    if visit.attempt == 1 {
        return Attempt::stream().bytes("retry: 1500\n\n").progress("starting", "booting").close();
    }
    at_target(visit).complete(visit.target())
}

fn resume(visit: &Visit) -> Attempt {
    match visit.last_event_id.as_deref() {
        Some("7") => at_target(visit).complete(visit.target()),
        None if visit.attempt == 1 => {
            Attempt::stream().bytes("id: 7\nevent: state\ndata: {\"status\":\"starting\"}\n\n").close()
        }
        _ => Attempt::json(400, json!({ "detail": "Last-Event-ID should be 7" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Move, Step};

    #[test]
    fn a_wrong_complete_is_wrong_for_every_target() {
        for (target, told) in [("running", "exited"), ("exited", "running"), ("EXITED", "running")] {
            let visit = Visit { target: Some(target.to_owned()), ..Visit::new("a") };
            let data = json!({ "status": told, "target": target, "elapsed": 0.3 });
            assert_eq!(wrong_complete(&visit), starting().event("complete", data));
        }
    }

    #[test]
    fn a_resumed_stream_completes_and_a_forgotten_id_is_refused() {
        let mut visit = Visit::new("a");
        assert_eq!(resume(&visit).moves().last(), Some(Move::Close));
        visit.attempt = 2;
        let forgotten = resume(&visit);
        assert!(matches!(forgotten.steps().first(), Some(Step::Head(head)) if head.status == 400));
        visit.last_event_id = Some("7".to_owned());
        assert_eq!(resume(&visit), at_target(&visit).complete("running"));
    }
}
