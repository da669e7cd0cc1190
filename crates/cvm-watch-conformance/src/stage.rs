//! The servers and settings for one scenario.

use std::error::Error;
use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use cvm_watch_driver::{BaseUrl, ConnectOptions, NetworkTransport, Timer};
use cvm_watch_sim::{Attempt, RefusedPort, Script, Sim};

use crate::black_hole::BlackHole;
use crate::identity::Identity;
use crate::scenario::{Certificate, Server};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The key that the suite's clients send.
pub(crate) const KEY: &str = "phak_of_the_suite";
/// The CVM that is watched; the space has to be percent-encoded.
pub(crate) const ID: &str = "my cvm";
/// How long after the end of a watch its connection may stay open.
pub(crate) const CLOSING: Duration = Duration::from_secs(3);

/// The settings of a transport for one scenario.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Setup {
    /// The base URL of the client.
    pub base_url: String,
    /// The certificate authority to trust, in PEM; only for scenarios over https.
    pub authority_pem: Option<String>,
}

impl Setup {
    /// Makes a transport for this scenario that connects without a proxy, and its timer.
    ///
    /// # Errors
    ///
    /// As [`NetworkTransport::new`].
    pub fn transport<T: NetworkTransport>(&self) -> Result<(T, T::Timer), BoxError> {
        let options =
            self.authority_pem.iter().fold(ConnectOptions::new().no_proxy(), ConnectOptions::root_certificates);
        let (transport, _) = T::new(&BaseUrl::parse(&self.base_url)?, &options)?;
        Ok((transport, T::Timer::default()))
    }
}

/// The servers of a scenario, which run until it ends.
pub(crate) struct Stage {
    pub(crate) setup: Setup,
    pub(crate) sim: Option<Sim>,
    elsewhere: Option<Sim>,
    _silent: Option<TcpListener>,
    _refused: Option<RefusedPort>,
    _black_hole: Option<BlackHole>,
}

impl Stage {
    pub(crate) fn new(server: &Server) -> Result<Self, BoxError> {
        let mut stage = Self {
            setup: Setup::default(),
            sim: None,
            elsewhere: None,
            _silent: None,
            _refused: None,
            _black_hole: None,
        };
        match server {
            Server::Plain(script) => stage.serve(Sim::start()?, script.clone(), None),
            Server::Tls(kind, script) => stage.serve_tls(*kind, script)?,
            Server::NotTls(script) => {
                stage.setup.authority_pem = Some(Identity::new(Certificate::Trusted)?.authority);
                let sim = Sim::start()?;
                let base = sim.base_url_for("localhost").replace("http:", "https:");
                stage.serve(sim, script.clone(), Some(base));
            }
            Server::RedirectElsewhere => {
                let elsewhere = Sim::start()?;
                elsewhere.script(ID, Attempt::stream().complete("running"));
                let target = format!("{}/cvms/my%20cvm/state?target=running", elsewhere.base_url());
                stage.elsewhere = Some(elsewhere);
                stage.serve(Sim::start()?, Attempt::new().head(302, &[("location", &target)]).close().into(), None);
            }
            Server::FirstAddressSilent(script) => {
                let sim = Sim::start()?;
                // The listener's queue accepts connections, whose bytes are never read.
                stage._silent = Some(TcpListener::bind((Ipv6Addr::LOCALHOST, sim.addr().port()))?);
                let base = sim.base_url_for("localhost");
                stage.serve(sim, script.clone(), Some(base));
            }
            Server::Refused => {
                let port = RefusedPort::new()?;
                stage.setup.base_url = format!("http://{}/api/v1", port.addr());
                stage._refused = Some(port);
            }
            Server::BlackHole => {
                let hole = BlackHole::new()?;
                stage.setup.base_url = format!("http://{}/api/v1", hole.addr());
                stage._black_hole = Some(hole);
            }
            Server::NoSuchHost => "http://cvm-watch-conformance.invalid/api/v1".clone_into(&mut stage.setup.base_url),
        }
        Ok(stage)
    }

    fn serve(&mut self, sim: Sim, script: Script, base_url: Option<String>) {
        sim.script(ID, script);
        self.setup.base_url = base_url.unwrap_or_else(|| sim.base_url());
        self.sim = Some(sim);
    }

    fn serve_tls(&mut self, kind: Certificate, script: &Script) -> Result<(), BoxError> {
        let identity = Identity::new(kind)?;
        let sim = Sim::builder().tls(&identity.chain, &identity.key).start()?;
        let base = sim.base_url_for("localhost");
        self.setup.authority_pem = Some(identity.authority);
        self.serve(sim, script.clone(), Some(base));
        Ok(())
    }

    pub(crate) fn requests(&self) -> usize {
        self.sim.as_ref().map_or(0, |sim| sim.log().requests().len())
    }

    /// Returns how many requests there were, and whether every connection was closed in time.
    pub(crate) async fn aftermath<C: Timer>(&self, timer: &C) -> Vec<String> {
        let Some(sim) = &self.sim else { return Vec::new() };
        let start = timer.now();
        while sim.log().open_connections() > 0 && timer.now().since(start) < CLOSING {
            timer.sleep_until(timer.now() + Duration::from_millis(2)).await;
        }
        let requests = match sim.log().requests().len() {
            1 => "1 request".to_owned(),
            many => format!("{many} requests"),
        };
        let open = if sim.log().open_connections() == 0 { "closed" } else { "a connection is still open" };
        let mut found = vec![requests, open.to_owned()];
        if self
            .elsewhere
            .as_ref()
            .is_some_and(|other| other.log().connections().len() + other.log().requests().len() > 0)
        {
            found.push("the other server was asked too".to_owned());
        }
        found
    }

    /// Replaces addresses in failures, which differ from run to run.
    pub(crate) fn without_addresses(&self, text: &str) -> String {
        match &self.elsewhere {
            Some(elsewhere) => {
                text.replace(&format!("{}/cvms/my%20cvm/state?target=running", elsewhere.base_url()), "elsewhere")
            }
            None => text.to_owned(),
        }
    }
}
