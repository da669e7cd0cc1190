//! A scenario as data: what the server does, what the watch is told, and what must come of it.

use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use cvm_watch_sim::{Request, Script};

use crate::rogue::Fault;

/// Something that can happen to a transport, and what the watch over it must make of that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scenario {
    /// Its name, for reports and to skip it by.
    pub name: &'static str,
    /// What a transport must do, in one line.
    pub claim: &'static str,
    /// The outcomes that are right, as [`Report`](crate::Report) writes them; most have one.
    pub expected: Vec<&'static str>,
    pub(crate) server: Server,
    pub(crate) rules: Rules,
    pub(crate) stop: Stop,
    /// What is done to the transport, to try the driver.
    pub(crate) fault: Fault,
    pub(crate) inspect: fn(&[Request]) -> Result<(), String>,
}

impl Scenario {
    /// A scenario over plain http in which the watch runs to its end.
    pub(crate) fn new(
        name: &'static str,
        claim: &'static str,
        script: impl Into<Script>,
        expected: &'static str,
    ) -> Self {
        Self {
            name,
            claim,
            expected: vec![expected],
            server: Server::Plain(script.into()),
            rules: Rules::default(),
            stop: Stop::AtTheEnd,
            fault: Fault::None,
            inspect: |_| Ok(()),
        }
    }

    pub(crate) fn or(mut self, expected: &'static str) -> Self {
        self.expected.push(expected);
        self
    }

    pub(crate) fn at(mut self, server: Server) -> Self {
        self.server = server;
        self
    }

    pub(crate) fn retries(mut self, retries: u64) -> Self {
        self.rules.max_retries = retries;
        self
    }

    pub(crate) fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.rules.connect_timeout = timeout;
        self
    }

    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.rules.deadline = deadline;
        self
    }

    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    pub(crate) fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    pub(crate) fn inspect(mut self, inspect: fn(&[Request]) -> Result<(), String>) -> Self {
        self.inspect = inspect;
        self
    }
}

/// Where the client is sent.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// The simulator over plain http.
    Plain(Script),
    /// The simulator over https, as `localhost`, with a certificate of this kind.
    Tls(Certificate, Script),
    /// A plain http server that is spoken to as https.
    NotTls(Script),
    /// Answers with a redirect to another simulator, which must see nothing.
    RedirectElsewhere,
    /// `localhost`, whose first address, `::1`, accepts connections and never answers; the simulator is at the other.
    FirstAddressSilent(Script),
    /// A port at which nobody listens.
    Refused,
    /// An address that answers nothing at all.
    BlackHole,
    /// A name that does not exist.
    NoSuchHost,
}

impl Server {
    /// Why this machine cannot play the server, if it cannot.
    pub(crate) fn unavailable(&self) -> Option<&'static str> {
        let needs_ipv6 = matches!(self, Self::FirstAddressSilent(_));
        let lacks_it = needs_ipv6 && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err();
        lacks_it.then_some("this machine has no IPv6 loopback address")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Certificate {
    /// Issued by the authority that the transport is told to trust.
    Trusted,
    /// Issued by another.
    Untrusted,
    /// Out of date.
    Expired,
    /// For another name.
    WrongHost,
}

/// What the watch is told.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) max_retries: u64,
    pub(crate) connect_timeout: Duration,
    /// Keeps a wrong transport from holding up the suite.
    pub(crate) deadline: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_retries: 0, connect_timeout: Duration::from_secs(8), deadline: Duration::from_secs(10) }
    }
}

/// When the caller loses interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Not before the watch has ended.
    AtTheEnd,
    /// Drops the handle once so many events have come.
    DropAfter(usize),
    /// Drops the handle once the server has the request.
    DropOnceAsked,
}
