//! Streams told apart by what the connection and HTTP do.

use std::time::Duration;

use super::boots::BOOT;
use super::{Play, Scenario, Visit, scenario};
use crate::script::{Attempt, Framing};

pub(super) static SCENARIOS: &[Scenario] = &[
    scenario("refuse-", "closes each connection without an answer", Play::Always(refuse)),
    scenario("silent-", "takes the request and never answers", Play::Always(silent)),
    scenario("stall-", "one state, then silence on the open connection", Play::Stream(stall)),
    scenario("reset-", "one state, then a reset, on every attempt", Play::Stream(reset)),
    scenario("cut-", "ends the connection in the middle of an event, on every attempt", Play::Stream(cut)),
    scenario("cut-length-", "the same with a Content-Length, on every attempt", Play::Stream(cut_length)),
    scenario("bad-chunk-", "a chunk whose length is not a number, on every attempt", Play::Stream(bad_chunk)),
    scenario("not-http-", "answers in another protocol", Play::Always(not_http)),
    scenario("http10-", "boots over HTTP/1.0, where the body ends with the connection", Play::Stream(http10)),
    scenario("until-close-", "boots with neither chunks nor a length", Play::Stream(until_close)),
    scenario("interim-", "103 Early Hints first, then boots", Play::Stream(interim)),
];

const MOMENT: Duration = Duration::from_millis(300);

fn starting() -> Attempt {
    Attempt::stream().progress("starting", "booting").wait(MOMENT)
}

fn refuse(_: &Visit) -> Attempt {
    Attempt::new().refuse()
}

fn silent(_: &Visit) -> Attempt {
    Attempt::new().stall()
}

fn stall(_: &Visit) -> Attempt {
    starting().stall()
}

fn reset(_: &Visit) -> Attempt {
    starting().reset()
}

fn cut(_: &Visit) -> Attempt {
    starting().bytes("event: state\ndata: {\"sta").truncate()
}

fn cut_length(visit: &Visit) -> Attempt {
    cut(visit).framing(Framing::ContentLength)
}

fn bad_chunk(_: &Visit) -> Attempt {
    starting().raw("zz\r\nevent: state\r\n").truncate()
}

fn not_http(_: &Visit) -> Attempt {
    Attempt::new().raw("SSH-2.0-OpenSSH_9.2p1\r\n").truncate()
}

fn http10(visit: &Visit) -> Attempt {
    let raw = Attempt::new().raw("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
    let boot = BOOT.stream(visit, visit.target());
    // The head is the raw one; the rest of the boot follows it unframed.
    boot.steps().iter().skip(1).cloned().fold(raw, Attempt::step)
}

fn until_close(visit: &Visit) -> Attempt {
    BOOT.stream(visit, visit.target()).framing(Framing::UntilClose)
}

fn interim(visit: &Visit) -> Attempt {
    let raw = Attempt::new().raw("HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
    let boot = BOOT.stream(visit, visit.target());
    boot.steps().iter().cloned().fold(raw, Attempt::step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Step;

    #[test]
    fn an_old_head_takes_the_place_of_the_new_one() {
        let visit = Visit::new("a");
        let heads = |attempt: &Attempt| attempt.steps().iter().filter(|step| matches!(step, Step::Head(_))).count();
        assert_eq!(heads(&http10(&visit)), 0);
        assert_eq!(heads(&interim(&visit)), 1);
        assert_eq!(http10(&visit).steps().len(), BOOT.stream(&visit, "running").steps().len());
    }
}
