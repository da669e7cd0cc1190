//! A scenario as data: what the server does, the parameters of the watch, and the expected outcome.

use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use cvm_watch_sim::{Request, Script};

use crate::misbehaving::Fault;

/// A situation of a transport, and the outcome that the watch over it must have.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scenario {
    /// Its name, for reports and to skip it.
    pub name: &'static str,
    /// The requirement for a transport, in one line.
    pub claim: &'static str,
    /// The outcomes that pass, as [`Report`](crate::Report) writes them; usually one.
    pub expected: Vec<&'static str>,
    pub(crate) server: Server,
    pub(crate) rules: Rules,
    pub(crate) stop: Stop,
    /// The fault that is added to the transport, to test the driver.
    pub(crate) fault: Fault,
    pub(crate) inspect: fn(&[Request]) -> Result<(), String>,
}

impl Scenario {
    /// Makes a scenario over plain http in which the watch runs to its end.
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

/// The server that the client connects to.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// The simulator over plain http.
    Plain(Script),
    /// The simulator over https, as `localhost`, with a certificate of this kind.
    Tls(Certificate, Script),
    /// A plain http server with an https URL.
    NotTls(Script),
    /// Answers with a redirect to another simulator, which must see nothing.
    RedirectElsewhere,
    /// `localhost`, whose first address, `::1`, accepts connections and never answers; the simulator is at the other.
    FirstAddressSilent(Script),
    /// A port on which no server listens.
    Refused,
    /// An address that never answers.
    BlackHole,
    /// A name that does not exist.
    NoSuchHost,
}

impl Server {
    /// Returns why this machine cannot run the server, if it cannot.
    pub(crate) fn unavailable(&self) -> Option<&'static str> {
        let needs_ipv6 = matches!(self, Self::FirstAddressSilent(_));
        let lacks_it = needs_ipv6 && TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err();
        lacks_it.then_some("this machine has no IPv6 loopback address")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Certificate {
    /// Issued by the authority that the transport trusts.
    Trusted,
    /// Issued by another authority.
    Untrusted,
    /// Out of date.
    Expired,
    /// For another name.
    WrongHost,
}

/// The parameters of the watch.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) max_retries: u64,
    pub(crate) connect_timeout: Duration,
    /// The deadline, so that a wrong transport cannot block the suite.
    pub(crate) deadline: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_retries: 0, connect_timeout: Duration::from_secs(8), deadline: Duration::from_secs(10) }
    }
}

/// When the caller drops the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// After the watch has ended.
    AtTheEnd,
    /// After this many events.
    DropAfter(usize),
    /// Once the server has received the request.
    DropOnceAsked,
}
