//! Streams that pass a proxy on their way, over a boot of some minutes.

use std::time::Duration;

use super::timeline::{Point, Timeline};
use super::{Scenario, StateRequest, proxied};
use crate::script::Attempt;

pub(super) static SCENARIOS: &[Scenario] = &[
    proxied(
        "buffering-proxy-",
        "boots in 4 minutes behind a proxy that keeps a body back until its end, and cuts it off after 60 s",
        &LONG,
        |request, target| LONG.stream(request, target).through_buffering_proxy(Duration::from_secs(60)),
    ),
    proxied(
        "edge-",
        "boots in 4 minutes behind an edge that holds a head until the first byte, and cuts after 100 s of silence",
        &LONG,
        |request, target| changes(request, target).through_edge(Duration::from_secs(100)),
    ),
];

/// Silent for longer than an edge allows, while the images are pulled.
static LONG: Timeline = Timeline {
    stream_limit: Duration::MAX,
    points: &[
        Point::at(0, "provisioning"),
        Point::at(10_000, "starting").boot("booting"),
        Point::at(20_000, "starting").boot("requesting app keys"),
        Point::at(40_000, "starting").boot("setting up docker"),
        Point::at(50_000, "starting").boot("starting containers"),
        Point::at(230_000, "starting").boot("done"),
        Point::at(240_000, "running").boot("done"),
    ],
};

/// A stream of changes only, whose first state comes after the server's first check, an interval after the head.
fn changes(request: &StateRequest, target: &str) -> Attempt {
    let later = StateRequest {
        age: request.age.saturating_add(request.interval),
        timeout: request.timeout.saturating_sub(request.interval),
        interval: Duration::MAX,
        ..request.clone()
    };
    let stream = LONG.stream(&later, target);
    let head = Attempt::stream().wait(request.interval);
    stream.steps().iter().skip(1).cloned().fold(head, Attempt::step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Ending, Move};

    /// The time of the head, of the first body bytes and of the end, in seconds, and the end.
    fn times(scenario: &str, age: u64) -> (u64, Option<u64>, u64, Ending) {
        let request = StateRequest {
            target: Some("running".to_owned()),
            age: Duration::from_secs(age),
            ..StateRequest::new(scenario)
        };
        let attempt = crate::scenario_for(scenario).attempt(&request);
        let mut now = Duration::ZERO;
        let (mut head, mut body, mut end) = (0, None, Ending::Stall);
        for next in attempt.moves() {
            match next {
                Move::Head(_) => head = now.as_secs(),
                Move::Body(_) => body = body.or(Some(now.as_secs())),
                Move::Wait(time) => now += time,
                Move::End(ending) => end = ending,
                Move::Raw(_) => panic!("raw bytes"),
            }
        }
        (head, body, now.as_secs(), end)
    }

    #[test]
    fn a_buffered_stream_brings_nothing_unless_it_ends_in_time() {
        assert_eq!(times("buffering-proxy", 0), (0, None, 60, Ending::Truncate));
        assert_eq!(times("buffering-proxy", 120), (0, None, 60, Ending::Truncate));
        assert_eq!(times("buffering-proxy", 185), (0, Some(55), 55, Ending::Close));
    }

    #[test]
    fn the_edge_sends_the_head_with_the_first_state_and_cuts_where_nothing_changes() {
        assert_eq!(times("edge", 0), (5, Some(5), 150, Ending::Truncate));
        assert_eq!(times("edge", 155), (5, Some(5), 85, Ending::Close));
    }
}
