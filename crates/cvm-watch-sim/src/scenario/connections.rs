//! Streams that differ in what the connection and HTTP do.

use super::boots::BOOT;
use super::{Scenario, StateRequest, always, starting, stream};
use crate::head::Framing;
use crate::script::Attempt;

pub(super) static SCENARIOS: &[Scenario] = &[
    always("refuse-", "closes each connection without an answer", |_| Attempt::new().refuse()),
    always("silent-", "takes the request and never answers", |_| Attempt::new().stall()),
    stream("stall-", "one state, then silence on the open connection", |_| starting().stall()),
    stream("reset-", "one state, then a reset, on every attempt", |_| starting().reset()),
    stream("cut-", "ends the connection in the middle of an event, on every attempt", cut),
    stream("cut-length-", "the same with a Content-Length, on every attempt", |request| {
        cut(request).framing(Framing::ContentLength)
    }),
    stream("bad-chunk-", "a chunk whose length is not a number, on every attempt", |_| {
        starting().raw("zz\r\nevent: state\r\n").truncate()
    }),
    always("not-http-", "answers in another protocol", |_| Attempt::new().raw("SSH-2.0-OpenSSH_9.2p1\r\n").truncate()),
    stream("http10-", "boots over HTTP/1.0, where the body ends with the connection", |request| {
        boot_after("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", request, 1)
    }),
    stream("until-close-", "boots with neither chunks nor a length", |request| {
        BOOT.stream(request, request.target()).framing(Framing::UntilClose)
    }),
    stream("interim-", "103 Early Hints first, then boots", |request| {
        boot_after("HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n", request, 0)
    }),
];

fn cut(_: &StateRequest) -> Attempt {
    starting().bytes("event: state\ndata: {\"sta").truncate()
}

/// A boot behind a raw head, which takes the place of the first `replaced` steps.
pub(super) fn boot_after(raw: &str, request: &StateRequest, replaced: usize) -> Attempt {
    let boot = BOOT.stream(request, request.target());
    boot.steps().iter().skip(replaced).cloned().fold(Attempt::new().raw(raw), Attempt::step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario_for;
    use crate::script::Step;

    #[test]
    fn an_old_head_takes_the_place_of_the_new_one() {
        let request = StateRequest { target: Some("running".to_owned()), ..StateRequest::new("a") };
        let steps = |name: &str| scenario_for(name).attempt(&request).steps().to_vec();
        let heads = |name: &str| steps(name).iter().filter(|step| matches!(step, Step::Head(_))).count();
        assert_eq!((heads("http10"), heads("interim")), (0, 1));
        assert_eq!(steps("http10").len(), BOOT.stream(&request, "running").steps().len());
    }
}
