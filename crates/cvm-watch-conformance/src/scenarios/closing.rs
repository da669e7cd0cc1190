//! The connection of a watch is closed when the watch ends.

use cvm_watch_sim::{Attempt, Script};

use super::streams::STATE;
use crate::scenario::{Certificate, Scenario, Server, Stop};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let stalls = || Attempt::stream().state("starting").stall();
    vec![
        Scenario::new(
            "drop-before-head",
            "dropped while it waits for the answer, the connection is closed",
            Attempt::new().stall(),
            "dropped; 1 request; closed",
        )
        .stop(Stop::DropOnceAsked),
        Scenario::new(
            "drop-when-idle",
            "dropped while the stream is silent, the connection is closed",
            stalls(),
            "starting; dropped; 1 request; closed",
        )
        .stop(Stop::DropAfter(1)),
        Scenario::new(
            "drop-in-flood",
            "dropped in the middle of a flood, the connection is closed",
            Attempt::stream().flood(STATE, 1 << 40),
            "starting ×1000; dropped; 1 request; closed",
        )
        .stop(Stop::DropAfter(1000)),
        Scenario::new(
            "drop-under-tls",
            "dropped under TLS, the connection is closed",
            Script::new(),
            "starting; dropped; 1 request; closed",
        )
        .at(Server::Tls(Certificate::Trusted, stalls().into()))
        .stop(Stop::DropAfter(1)),
        Scenario::new(
            "complete-then-silence",
            "once the target is reached, a stream that stays open is closed",
            Attempt::stream().complete("running").stall(),
            "complete; resolved running; 1 request; closed",
        ),
    ]
}
