//! A CVM whose state changes with time, and the streams that report it.

use std::time::Duration;

use serde_json::{Value, json};

use super::StateRequest;
use crate::script::Attempt;
use crate::wire;

/// From reaching the target to the `complete` event.
const COMPLETE_DELAY: Duration = Duration::from_millis(400);

/// The states of a CVM over time, counted from the first request for it.
#[derive(Debug)]
pub(super) struct Timeline {
    /// In order of time; the first at 0.
    pub(super) points: &'static [Point],
    /// Ends each stream by a `timeout` event after this, if that is sooner than the timeout asked for.
    pub(super) stream_limit: Duration,
}

/// The state of a CVM from some time on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    at: Duration,
    status: &'static str,
    boot_progress: Option<&'static str>,
    boot_error: Option<&'static str>,
    shutdown_progress: Option<&'static str>,
}

impl Point {
    /// A status with nothing else, this many milliseconds after the first request.
    pub(super) const fn at(millis: u64, status: &'static str) -> Point {
        Point {
            at: Duration::from_millis(millis),
            status,
            boot_progress: None,
            boot_error: None,
            shutdown_progress: None,
        }
    }

    pub(super) const fn boot(mut self, progress: &'static str) -> Point {
        self.boot_progress = Some(progress);
        self
    }

    pub(super) const fn boot_error(mut self, error: &'static str) -> Point {
        self.boot_error = Some(error);
        self
    }

    pub(super) const fn shutdown(mut self, progress: &'static str) -> Point {
        self.shutdown_progress = Some(progress);
        self
    }

    fn json(&self, id: &str, age: Duration) -> Value {
        let uptime = (self.status == "running").then(|| format!("{}s", age.saturating_sub(self.at).as_secs()));
        json!({
            "id": id,
            "instance_id": null,
            "name": id,
            "status": self.status,
            "uptime": uptime,
            "exited_at": null,
            "boot_progress": self.boot_progress,
            "boot_error": self.boot_error,
            "shutdown_progress": self.shutdown_progress,
        })
    }
}

impl Timeline {
    /// One JSON object: the state now.
    pub(super) fn immediate(&self, request: &StateRequest) -> Attempt {
        Attempt::json(200, self.state(request, request.age))
    }

    /// The `data` of a `state` event: the state at `age`.
    pub(super) fn state(&self, request: &StateRequest, age: Duration) -> Value {
        self.point(age).json(&request.id, age)
    }

    /// An event stream: the state now, each change, the state again after an interval without one; then `complete`
    /// at the target, or `timeout`.
    pub(super) fn stream(&self, request: &StateRequest, target: &str) -> Attempt {
        let limit = request.timeout.min(self.stream_limit);
        let mut attempt = Attempt::stream();
        let mut now = Duration::ZERO;
        loop {
            let age = request.age.saturating_add(now);
            let status = self.point(age).status;
            let state = self.state(request, age);
            attempt = attempt.event("state", &state);
            if status.eq_ignore_ascii_case(target) {
                return complete(attempt, status, target, now);
            }
            let change = self.points.iter().map(|point| point.at).find(|at| *at > age);
            let change = change.map_or(Duration::MAX, |at| at.saturating_sub(request.age));
            let until = change.min(limit);
            attempt = quiet(attempt, &state, until.saturating_sub(now), request.interval);
            now = until;
            if change >= limit {
                return attempt.timeout(target, limit.as_secs_f64());
            }
        }
    }

    fn point(&self, age: Duration) -> Point {
        let past = self.points.iter().rev().find(|point| point.at <= age);
        past.copied().unwrap_or(Point::at(0, "provisioning"))
    }
}

fn complete(attempt: Attempt, status: &str, target: &str, now: Duration) -> Attempt {
    let elapsed = now.saturating_add(COMPLETE_DELAY).as_secs_f64();
    let data = json!({ "status": status, "target": target, "elapsed": elapsed });
    attempt.wait(COMPLETE_DELAY).event("complete", data)
}

/// `time` without a change: the same state after every full `interval`, except one that ends with the time.
fn quiet(attempt: Attempt, state: &Value, time: Duration, interval: Duration) -> Attempt {
    let before_end = time.saturating_sub(Duration::from_nanos(1)).as_nanos();
    let times = before_end.checked_div(interval.as_nanos()).unwrap_or_default();
    let times = u32::try_from(times).unwrap_or(u32::MAX);
    if times == 0 {
        return attempt.wait(time);
    }
    let text = wire::event("state", &state.to_string());
    let rest = time.saturating_sub(interval.saturating_mul(times));
    attempt.repeat(text, interval, times.into()).wait(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Move;

    static LINE: Timeline = Timeline {
        points: &[Point::at(0, "starting").boot("booting"), Point::at(12_000, "running").boot("done")],
        stream_limit: Duration::MAX,
    };

    fn request(age: u64) -> StateRequest {
        let timeout = Duration::from_secs(20);
        StateRequest { age: Duration::from_secs(age), timeout, ..StateRequest::new("a") }
    }

    /// One line per event: time, name, and status or elapsed.
    fn trace(attempt: &Attempt) -> String {
        let mut now = Duration::ZERO;
        let mut lines = Vec::new();
        for next in attempt.moves() {
            match next {
                Move::Wait(time) => now += time,
                Move::Body(bytes) => {
                    let text = std::str::from_utf8(bytes).unwrap();
                    let (name, data) = text.trim().split_once("\ndata: ").unwrap();
                    let data: Value = serde_json::from_str(data).unwrap();
                    let value = data["status"].as_str().map_or(data["elapsed"].to_string(), str::to_owned);
                    lines.push(format!("{} {} {value}", now.as_millis(), name.replace("event: ", "")));
                }
                Move::Head(_) => {}
                Move::End(ending) => lines.push(format!("{} {ending:?}", now.as_millis())),
                Move::Raw(_) => panic!("a timeline sends no raw bytes"),
            }
        }
        lines.join("\n")
    }

    #[test]
    fn changes_come_at_once_and_a_state_is_repeated_each_interval() {
        assert_eq!(
            trace(&LINE.stream(&request(0), "Running")),
            "0 state starting\n5000 state starting\n10000 state starting\n12000 state running\n\
             12400 complete running\n12400 Close"
        );
    }

    #[test]
    fn a_later_stream_goes_on_where_the_cvm_is() {
        assert_eq!(
            trace(&LINE.stream(&request(10), "running")),
            "0 state starting\n2000 state running\n2400 complete running\n2400 Close"
        );
        assert_eq!(trace(&LINE.stream(&request(100), "running")), "0 state running\n400 complete running\n400 Close");
    }

    #[test]
    fn a_target_that_is_never_reached_ends_in_a_timeout() {
        assert_eq!(
            trace(&LINE.stream(&request(11), "stopped")),
            "0 state starting\n1000 state running\n6000 state running\n11000 state running\n\
             16000 state running\n20000 timeout 20.0\n20000 Close"
        );
    }

    #[test]
    fn the_immediate_answer_is_the_state_now() {
        let state = LINE.state(&request(0), Duration::from_secs(15));
        assert_eq!(state["status"], "running");
        assert_eq!(state["uptime"], "3s");
        assert_eq!(state["boot_progress"], "done");
        assert_eq!(state["boot_error"], Value::Null);
        assert_eq!(LINE.immediate(&request(15)), Attempt::json(200, LINE.state(&request(15), Duration::from_secs(15))));
    }
}
