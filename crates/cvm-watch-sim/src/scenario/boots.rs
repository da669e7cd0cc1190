//! CVMs whose state changes with time: boots, failures, a stop; and the flaky network.

use std::time::Duration;

use serde_json::json;

use super::timeline::{Point, Timeline};
use super::{MOMENT, Scenario, StateRequest, stream, timeline};
use crate::script::Attempt;

pub(super) static DEFAULT: Scenario =
    timeline("boot-", "boots step by step to running in 12 s; so does any id not listed here", &BOOT);

pub(super) static SCENARIOS: &[Scenario] = &[
    timeline("boot-", DEFAULT.description, &BOOT),
    timeline("slow-", "boots in 25 s, while each stream ends by a timeout event after 8 s", &SLOW),
    timeline("fail-", "fails to boot: error with a boot_error, then exited for good", &FAIL),
    timeline("stop-", "running, stopping, then stopped after 6 s: wait for target stopped", &STOP),
    timeline("restart-", "restarting after a while of running, then boots again", &RESTART),
    stream("flaky-", "503, a reset and a cut-off stream on the first three attempts, then boots", flaky),
];

/// Long enough for every timeout that can be asked for.
const NEVER: Duration = Duration::MAX;

pub(super) static BOOT: Timeline = Timeline {
    stream_limit: NEVER,
    points: &[
        Point::at(0, "starting").boot("booting"),
        Point::at(1_200, "starting").boot("init-script"),
        Point::at(2_800, "starting").boot("requesting app keys"),
        Point::at(4_400, "starting").boot("mounting data disk"),
        Point::at(5_800, "starting").boot("setting up docker"),
        Point::at(7_600, "starting").boot("pre-launch"),
        Point::at(8_800, "starting").boot("starting containers"),
        Point::at(11_000, "starting").boot("done"),
        Point::at(11_600, "running").boot("done"),
    ],
};

static SLOW: Timeline = Timeline {
    stream_limit: Duration::from_secs(8),
    points: &[
        Point::at(0, "provisioning"),
        Point::at(4_000, "starting").boot("booting"),
        Point::at(9_000, "starting").boot("requesting app keys"),
        Point::at(14_000, "starting").boot("setting up docker"),
        Point::at(20_000, "starting").boot("starting containers"),
        Point::at(24_000, "starting").boot("done"),
        Point::at(25_000, "running").boot("done"),
    ],
};

static FAIL: Timeline = Timeline {
    stream_limit: NEVER,
    points: &[
        Point::at(0, "starting").boot("booting"),
        Point::at(1_200, "starting").boot("init-script"),
        Point::at(2_400, "starting").boot("requesting app keys"),
        Point::at(4_000, "error").boot("requesting app keys").boot_error(KEY_ERROR),
        Point::at(6_000, "exited").boot("requesting app keys").boot_error(KEY_ERROR),
    ],
};

const KEY_ERROR: &str = "failed to get app keys: no key provider answered";

static STOP: Timeline = Timeline {
    stream_limit: NEVER,
    points: &[
        Point::at(0, "running").boot("done"),
        Point::at(1_500, "stopping").shutdown("stopping containers"),
        Point::at(4_000, "stopping").shutdown("unmounting data disk"),
        Point::at(6_000, "stopped"),
    ],
};

static RESTART: Timeline = Timeline {
    stream_limit: NEVER,
    points: &[
        Point::at(0, "restarting").shutdown("stopping containers"),
        Point::at(2_000, "starting").boot("booting"),
        Point::at(4_000, "starting").boot("starting containers"),
        Point::at(6_000, "running").boot("done"),
    ],
};

fn flaky(request: &StateRequest) -> Attempt {
    let stream = || Attempt::stream().event("state", BOOT.state(request, request.age));
    match request.attempt {
        1 => {
            let body = json!({ "message": "no backend available", "code": "unavailable" });
            Attempt::json(503, body).header("retry-after", "1")
        }
        2 => stream().wait(MOMENT).reset(),
        3 => stream().wait(MOMENT).bytes("event: state\ndata: {\"sta").truncate(),
        _ => BOOT.stream(request, request.target()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Ending, Move};

    /// The time that the moves take, and their last.
    fn end(attempt: &Attempt) -> (Duration, String) {
        let mut time = Duration::ZERO;
        let mut last = String::new();
        for next in attempt.moves() {
            match next {
                Move::Wait(pause) => time += pause,
                Move::Body(bytes) => last = String::from_utf8_lossy(bytes).lines().next().unwrap().to_owned(),
                Move::End(Ending::Reset | Ending::Truncate) => last = format!("{next:?}"),
                _ => {}
            }
        }
        (time, last)
    }

    fn request(attempt: u32, age: u64) -> StateRequest {
        StateRequest { attempt, age: Duration::from_secs(age), ..StateRequest::new("a") }
    }

    #[test]
    fn a_boot_completes_in_under_15_seconds() {
        let (time, last) = end(&BOOT.stream(&request(1, 0), "running"));
        assert_eq!(time, Duration::from_secs(12));
        assert_eq!(last, "event: complete");
    }

    #[test]
    fn a_slow_boot_needs_reconnects() {
        let timeout = (Duration::from_secs(8), "event: timeout".to_owned());
        assert_eq!(end(&SLOW.stream(&request(1, 0), "running")), timeout);
        assert_eq!(end(&SLOW.stream(&request(2, 13), "running")), timeout);
        let (time, last) = end(&SLOW.stream(&request(3, 24), "running"));
        assert!(time < Duration::from_secs(2));
        assert_eq!(last, "event: complete");
    }

    #[test]
    fn a_failed_boot_never_completes() {
        let last = FAIL.state(&request(1, 0), Duration::from_secs(600));
        assert_eq!((last["status"].as_str(), last["boot_error"].as_str()), (Some("exited"), Some(KEY_ERROR)));
        assert_eq!(end(&FAIL.stream(&request(1, 0), "running")).1, "event: timeout");
    }

    #[test]
    fn a_stop_completes_for_the_target_stopped() {
        let (time, last) = end(&STOP.stream(&request(1, 0), "stopped"));
        assert_eq!((time.as_millis(), last.as_str()), (6_400, "event: complete"));
    }

    #[test]
    fn the_flaky_network_recovers_on_the_fourth_attempt() {
        assert_eq!(flaky(&request(2, 1)).moves().last(), Some(Move::End(Ending::Reset)));
        assert_eq!(flaky(&request(3, 2)).moves().last(), Some(Move::End(Ending::Truncate)));
        assert_eq!(end(&flaky(&request(4, 3))).1, "event: complete");
    }
}
