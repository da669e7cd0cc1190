//! Streams of too many bytes; none of them is held in memory here.

use super::{SECOND, Scenario, StateRequest, always, done, stream};
use crate::script::Attempt;
use crate::wire;

pub(super) static SCENARIOS: &[Scenario] = &[
    stream("too-large-", "an event of 5 MiB, then complete", |request| {
        let open = first_state().bytes("event: state\ndata: {\"status\":\"starting\",\"pad\":\"");
        then_done(open.flood("x", 5 * MIB).bytes("\"}"), request)
    }),
    stream("endless-line-", "a data line of 200 MiB, then complete", |request| {
        then_done(first_state().bytes("event: state\ndata: ").flood("x", FLOOD), request)
    }),
    stream("endless-data-", "200 MiB of data lines without a blank one, then complete", |request| {
        let flood = first_state().bytes("event: state\n").flood("data: {\"status\":\"starting\"}\n", FLOOD);
        then_done(flood, request)
    }),
    stream("endless-comments-", "200 MiB of comment lines, then complete", |request| {
        then_done(first_state().flood(": nothing happens\n", FLOOD), request)
    }),
    stream("endless-events-", "200 MiB of state events, then complete", |request| {
        let event = wire::event("state", r#"{"status":"starting","boot_progress":"booting"}"#);
        then_done(first_state().flood(event, FLOOD), request)
    }),
    always("endless-headers-", "200 MiB of response headers, on every attempt", |_| {
        Attempt::new().raw("HTTP/1.1 200 OK\r\n").raw_flood("x-flood: nothing happens\r\n", FLOOD).truncate()
    }),
    always("endless-header-", "one response header of 200 MiB, on every attempt", |_| {
        Attempt::new().raw("HTTP/1.1 200 OK\r\nx-flood: ").raw_flood("x", FLOOD).truncate()
    }),
    always("endless-body-", "403 with a body of 200 MiB", |_| {
        Attempt::new().head(403, &[("content-type", "text/plain")]).flood("no ", FLOOD)
    }),
    stream("heartbeat-", "a comment each second, and nothing else, without end", |_| {
        first_state().repeat(wire::comment("ping"), SECOND, u64::MAX)
    }),
];

const MIB: u64 = 1 << 20;
const FLOOD: u64 = 200 * MIB;

fn first_state() -> Attempt {
    Attempt::stream().progress("starting", "booting")
}

fn then_done(flood: Attempt, request: &StateRequest) -> Attempt {
    done(flood.bytes("\n\n"), request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Move;

    #[test]
    fn a_flood_is_as_long_as_it_says_and_no_piece_is_large() {
        for scenario in SCENARIOS.iter().filter(|known| known.description.contains("200 MiB")) {
            let request = StateRequest { target: Some("running".to_owned()), ..StateRequest::new(scenario.prefix) };
            let attempt = scenario.attempt(&request);
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
