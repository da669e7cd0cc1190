//! Connections that cannot be made, and TLS.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Script};

use crate::scenario::{Certificate, Scenario, Server};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let nothing = Script::new;
    vec![
        Scenario::new(
            "refused",
            "a refused connection is reported as one",
            nothing(),
            "retry: the connection was refused; failed: gave up after 2 attempts: the connection was refused",
        )
        .at(Server::Refused)
        .retries(1),
        Scenario::new(
            "black-hole",
            "an address that answers nothing is given up at the connect timeout",
            nothing(),
            "failed: gave up after 1 attempt: no response within the connect timeout",
        )
        // A stack that divides the time between addresses may report the failure before the core does.
        .or("failed: gave up after 1 attempt: the host could not be reached")
        .at(Server::BlackHole)
        .connect_timeout(Duration::from_millis(400)),
        Scenario::new(
            "next-address",
            "a retry starts with the next address of the name",
            nothing(),
            "retry: no response within the connect timeout, complete; resolved running; 1 request; closed",
        )
        // If the resolver returns the working address first.
        .or("complete; resolved running; 1 request; closed")
        .at(Server::FirstAddressSilent(Attempt::stream().complete("running").into()))
        .connect_timeout(Duration::from_millis(500))
        .retries(1),
        Scenario::new(
            "no-such-host",
            "a name that does not exist is reported as that",
            nothing(),
            "failed: gave up after 1 attempt: the host name could not be resolved",
        )
        // If the resolver does not answer in time.
        .or("failed: gave up after 1 attempt: no response within the connect timeout")
        .at(Server::NoSuchHost),
    ]
}

pub(crate) fn tls() -> Vec<Scenario> {
    let boot = || Attempt::stream().state("starting").complete("running");
    let at = |certificate| Server::Tls(certificate, boot().into());
    let refused = "failed: the server's certificate is not trusted; check the base URL, the machine's clock and its \
                   trusted certificates; 0 requests; closed";
    let other_host = "failed: the server's certificate is for another host; check the base URL, the machine's clock and \
                      its trusted certificates; 0 requests; closed";
    vec![
        Scenario::new(
            "tls",
            "a certificate of a trusted authority is accepted, and events arrive",
            Script::new(),
            "starting, complete; resolved running; 1 request; closed",
        )
        .at(at(Certificate::Trusted)),
        Scenario::new(
            "tls-untrusted",
            "a certificate of another authority ends the watch at once",
            Script::new(),
            refused,
        )
        .at(at(Certificate::Untrusted))
        .retries(3),
        Scenario::new("tls-expired", "an expired certificate ends the watch at once", Script::new(), refused)
            .at(at(Certificate::Expired))
            .retries(3),
        Scenario::new(
            "tls-wrong-host",
            "a certificate for another host ends the watch at once",
            Script::new(),
            other_host,
        )
        .at(at(Certificate::WrongHost))
        .retries(3),
        Scenario::new(
            "tls-broken",
            "a handshake that cannot be understood is retried",
            Script::new(),
            "retry: the TLS handshake failed; failed: gave up after 2 attempts: the TLS handshake failed; 0 requests; closed",
        )
        .at(Server::NotTls(Attempt::new().raw("HTTP/1.1 400 Bad Request\r\n\r\n").into()))
        .retries(1),
        Scenario::new(
            "tls-truncated",
            "a body that is cut off under TLS is reported as cut off",
            Script::new(),
            "starting; failed: gave up after 1 attempt: the response was cut off; 1 request; closed",
        )
        .at(Server::Tls(Certificate::Trusted, Attempt::stream().state("starting").truncate().into())),
    ]
}
