//! Streams of too much: none of it is ever held in memory here.

use std::time::Duration;

use super::{Play, Scenario, Visit, scenario};
use crate::script::{Attempt, Payload, Step};
use crate::wire;

pub(super) static SCENARIOS: &[Scenario] = &[
    scenario("too-large-", "an event of 5 MiB, then complete", Play::Stream(too_large)),
    scenario("endless-line-", "a data line of 200 MiB, then complete", Play::Stream(endless_line)),
    scenario("endless-data-", "200 MiB of data lines without a blank one, then complete", Play::Stream(endless_data)),
    scenario("endless-comments-", "200 MiB of comment lines, then complete", Play::Stream(endless_comments)),
    scenario("endless-events-", "200 MiB of state events, then complete", Play::Stream(endless_events)),
    scenario("endless-headers-", "200 MiB of response headers, on every attempt", Play::Always(endless_headers)),
    scenario("endless-header-", "one response header of 200 MiB, on every attempt", Play::Always(endless_header)),
    scenario("endless-body-", "403 with a body of 200 MiB", Play::Always(endless_body)),
    scenario("heartbeat-", "a comment each second, and nothing else, for ever", Play::Stream(heartbeat)),
];

const MIB: u64 = 1 << 20;
const FLOOD: u64 = 200 * MIB;

fn after(flood: Attempt, visit: &Visit) -> Attempt {
    flood.bytes("\n\n").state(visit.target()).complete(visit.target())
}

fn starting() -> Attempt {
    Attempt::stream().progress("starting", "booting")
}

fn too_large(visit: &Visit) -> Attempt {
    let open = starting().bytes("event: state\ndata: {\"status\":\"starting\",\"pad\":\"");
    after(open.flood("x", 5 * MIB).bytes("\"}"), visit)
}

fn endless_line(visit: &Visit) -> Attempt {
    after(starting().bytes("event: state\ndata: ").flood("x", FLOOD), visit)
}

fn endless_data(visit: &Visit) -> Attempt {
    after(starting().bytes("event: state\n").flood("data: {\"status\":\"starting\"}\n", FLOOD), visit)
}

fn endless_comments(visit: &Visit) -> Attempt {
    after(starting().flood(": nothing happens\n", FLOOD), visit)
}

fn endless_events(visit: &Visit) -> Attempt {
    let event = wire::event("state", r#"{"status":"starting","boot_progress":"booting"}"#);
    after(starting().flood(event, FLOOD), visit)
}

fn endless_headers(_: &Visit) -> Attempt {
    Attempt::new().raw("HTTP/1.1 200 OK\r\n").raw_flood("x-flood: nothing happens\r\n", FLOOD).truncate()
}

fn endless_header(_: &Visit) -> Attempt {
    Attempt::new().raw("HTTP/1.1 200 OK\r\nx-flood: ").raw_flood("x", FLOOD).truncate()
}

fn endless_body(_: &Visit) -> Attempt {
    Attempt::new().head(403, &[("content-type", "text/plain")]).flood("no ", FLOOD)
}

fn heartbeat(_: &Visit) -> Attempt {
    let payload = Payload::once(wire::comment("ping"));
    let every = Duration::from_secs(1);
    starting().step(Step::Repeat { payload, every, times: u64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Move;

    #[test]
    fn a_flood_is_as_long_as_it_says_and_no_piece_is_large() {
        for scenario in SCENARIOS.iter().filter(|known| known.description.contains("200 MiB")) {
            let visit = Visit { target: Some("running".to_owned()), ..Visit::new(scenario.prefix) };
            let attempt = scenario.attempt(&visit);
            let mut total = 0;
            for next in attempt.moves() {
                if let Move::Body(bytes) | Move::Raw(bytes) = next {
                    assert!(bytes.len() < 100_000, "{}", scenario.name);
                    total += bytes.len();
                }
            }
            assert!(total >= 200 << 20, "{}: {total}", scenario.name);
        }
    }
}
