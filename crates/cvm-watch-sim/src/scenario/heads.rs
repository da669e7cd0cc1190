//! Response heads and error bodies as old servers, gateways and CDNs send them.

use std::fmt::Write;

use serde_json::json;

use super::connections::boot_after;
use super::{Scenario, StateRequest, always, done, stream};
use crate::script::Attempt;

pub(super) static SCENARIOS: &[Scenario] = &[
    stream("folded-header-", "boots; the values of two headers go on in a second line", |request| {
        let folded = "content-type: text/event-stream;\r\n charset=utf-8\r\nx-folded: a\r\n\tb\r\n";
        boot_behind(folded, request)
    }),
    stream(
        "odd-lines-",
        "boots; header lines with a control byte, a blank before the colon, no name and no colon",
        |request| {
            let odd =
                "x-control: a\x01b\r\nx-blank : 1\r\n: no name\r\nno colon\r\ncontent-type: text/event-stream\r\n";
            boot_behind(odd, request)
        },
    ),
    stream("many-lines-", "boots; a head of 1,000 lines", |request| boot_behind(&lines(999), request)),
    stream("too-many-lines-", "a head of 2,000 lines, on every attempt", |request| boot_behind(&lines(1999), request)),
    stream("encoding-none-", "complete; Content-Encoding: none", |request| {
        done(Attempt::new().head(200, &[("content-encoding", "none")]), request)
    }),
    stream("encoding-empty-", "complete; an empty Content-Encoding", |request| {
        done(Attempt::new().head(200, &[("content-encoding", "")]), request)
    }),
    stream("two-types-", "complete; the Content-Type twice", |request| {
        done(Attempt::stream().header("content-type", "text/event-stream; charset=utf-8"), request)
    }),
    stream("other-type-", "an event stream with a second Content-Type of text/html", |request| {
        done(Attempt::stream().header("content-type", "text/html"), request)
    }),
    stream("transfer-gzip-", "an event stream with Transfer-Encoding: gzip, chunked", |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: gzip, chunked\r\n\r\n";
        Attempt::new().raw(head).raw("3\r\n\x1f\r\n").truncate()
    }),
    always("bad-length-", "a Content-Length that is no number, on every attempt", |_| {
        Attempt::new()
            .raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 12x\r\n\r\n")
            .truncate()
    }),
    always("bom-body-", "403 with JSON behind a byte order mark", |_| {
        Attempt::respond(403, "application/json", "\u{feff}{\"error\":{\"message\":\"no quota is left\"}}")
    }),
    always("gzip-body-", "403 with a body of 3 KiB in gzip", |_| {
        let body = [&[0x1f, 0x8b, 8][..], &[0; 3069]].concat();
        Attempt::respond(403, "application/json", body).header("content-encoding", "gzip")
    }),
    always("cdn-403-", "403 with a CDN's line and request id", |_| {
        Attempt::respond(403, "text/plain", "error code: 1010").header("cf-ray", "sim-ray-0001")
    }),
    always("cdn-429-", "429 with a CDN's page", |_| page(429, "Too many requests from your network")),
    always("cdn-522-", "522 with a CDN's page", |_| page(522, "Connection timed out")),
    always("bare-404-", "404 without an error_code, as of a wrong base URL", |_| {
        Attempt::json(404, json!({ "detail": "Not Found" }))
    }),
];

/// A boot whose head has these lines.
fn boot_behind(lines: &str, request: &StateRequest) -> Attempt {
    boot_after(&format!("HTTP/1.1 200 OK\r\n{lines}connection: close\r\n\r\n"), request, 1)
}

/// So many header lines, the content type among them.
fn lines(count: usize) -> String {
    let mut lines = String::from("content-type: text/event-stream\r\n");
    for number in 1..count {
        // Writing to a String cannot fail.
        let _ = write!(lines, "x-line-{number}: y\r\n");
    }
    lines
}

fn page(status: u16, title: &str) -> Attempt {
    let page = format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
    Attempt::respond(status, "text/html; charset=UTF-8", page).header("cf-ray", "sim-ray-0001")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario_for;
    use crate::script::Step;

    #[test]
    fn the_heads_have_as_many_lines_as_they_say() {
        let request = StateRequest { target: Some("running".to_owned()), ..StateRequest::new("a") };
        for (scenario, expected) in [("many-lines", 1000), ("too-many-lines", 2000)] {
            let attempt = scenario_for(scenario).attempt(&request);
            let Some(Step::Raw(head)) = attempt.steps().first() else { panic!("{attempt:?}") };
            let bytes: Vec<u8> = head.pieces().flatten().copied().collect();
            // The status line and the blank one are no header lines.
            assert_eq!(String::from_utf8(bytes).unwrap().lines().count() - 2, expected);
        }
    }
}
