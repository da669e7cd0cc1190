//! The simulator's handle and its builder.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::access::{Access, TOKEN_PATH};
use crate::endpoint::{Endpoint, Options};
use crate::error::SimError;
use crate::log::{Log, RefusedRequest, Request};
use crate::request::BASE_PATH;
use crate::script::Script;
use crate::server::Server;

/// Streams one key may have open at a time, unless set.
const STREAM_LIMIT: usize = 5;

/// Finished connections and requests kept in the log, unless set.
const KEEP_RECORDS: usize = 10_000;

/// A running simulator, on its own thread, until it is dropped.
///
/// It needs no async runtime and works beside any. Each connection serves one request and is then closed.
///
/// ```
/// use std::io::{Read, Write};
/// use cvm_watch_sim::{Attempt, Sim};
///
/// let sim = Sim::start()?;
/// sim.script("my-cvm", Attempt::stream().complete("running"));
///
/// let mut client = std::net::TcpStream::connect(sim.addr())?;
/// client.write_all(b"GET /api/v1/cvms/my-cvm/state?target=running HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.contains("event: complete"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sim {
    endpoint: Arc<Endpoint>,
    server: Server,
}

impl Sim {
    /// Starts a simulator with every setting at its default.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn start() -> Result<Sim, SimError> {
        Sim::builder().start()
    }

    /// Settings to start a simulator with.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Plays this script for the CVM `id`, from its first attempt, in place of a scenario. `id` is as decoded from the
    /// path: without the dashes, where a client takes them out of a UUID.
    ///
    /// Each request for `id` is an attempt, with a `target` or without. The endpoint's own checks (method, key, query,
    /// stream limit) still come first.
    pub fn script(&self, id: &str, script: impl Into<Script>) {
        self.endpoint.set_script(id, script.into());
    }

    /// Runs this script, from its first attempt, for each CVM without its own script.
    pub fn script_others(&self, script: impl Into<Script>) {
        self.endpoint.set_other_script(script.into());
    }

    /// The address listened on.
    pub const fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The base URL to give to a client: `http://127.0.0.1:PORT/api/v1`, or `https:` with TLS.
    pub fn base_url(&self) -> String {
        self.base_url_for(&self.addr().ip().to_string())
    }

    /// The base URL with another host name for the same port, `localhost` for one.
    pub fn base_url_for(&self, host: &str) -> String {
        let scheme = if self.server.is_tls() { "https" } else { "http" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{scheme}://{host}:{}{BASE_PATH}", self.addr().port())
    }

    /// Mints the next bearer token that [`Builder::require_token`] asks for, valid from now on.
    pub fn mint_token(&self) -> String {
        self.endpoint.mint_token(Instant::now())
    }

    /// The URL at which a `GET` mints the next token: `{"value": token}`, as GitHub's OIDC provider answers. Without
    /// [`Builder::require_token`] it answers 404.
    pub fn token_url(&self) -> String {
        let base = self.base_url();
        format!("{}{TOKEN_PATH}", base.strip_suffix(BASE_PATH).unwrap_or(&base))
    }

    /// The requests and connections so far. A clone can go to another thread and outlives the simulator.
    pub fn log(&self) -> &Log {
        self.endpoint.log()
    }

    /// The most event streams one key had open at the same time.
    pub fn peak_streams(&self) -> usize {
        self.endpoint.peak_streams()
    }
}

/// Settings of a [`Sim`].
///
/// ```
/// use cvm_watch_sim::Sim;
///
/// let sim = Sim::builder().speed(50.0).stream_limit(0).require_key("test-key").start()?;
/// assert!(sim.base_url().starts_with("http://127.0.0.1:"));
/// # Ok::<(), cvm_watch_sim::SimError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Builder {
    addr: SocketAddr,
    options: Options,
    keep_records: usize,
    scripts: Vec<(String, Script)>,
    #[cfg(feature = "tls")]
    identity: Option<crate::tls::Identity>,
}

impl Builder {
    fn new() -> Builder {
        Builder {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            options: Options {
                speed: 1.0,
                stream_limit: STREAM_LIMIT,
                access: Access::default(),
                hosts: Vec::new(),
                cors: None,
                on_request: None,
                on_refused: None,
            },
            keep_records: KEEP_RECORDS,
            scripts: Vec::new(),
            #[cfg(feature = "tls")]
            identity: None,
        }
    }

    /// Where to listen; `127.0.0.1:0`, any free port of this machine, unless set.
    pub fn addr(mut self, addr: impl Into<SocketAddr>) -> Builder {
        self.addr = addr.into();
        self
    }

    /// Divides every wait by this; 1 unless set. The CVMs' own clock and the `timeout` asked for go faster too.
    pub fn speed(mut self, speed: f64) -> Builder {
        self.options.speed = speed;
        self
    }

    /// How many event streams one key may have open at a time; 5 unless set, 0 for no limit. The next one gets 429.
    pub fn stream_limit(mut self, limit: usize) -> Builder {
        self.options.stream_limit = limit;
        self
    }

    /// Answers 401 to every request whose `X-API-Key`, or else bearer token, is not this one. Unless set, any key is
    /// accepted, and a request without one.
    pub fn require_key(mut self, key: &str) -> Builder {
        self.options.access.key = Some(key.to_owned());
        self
    }

    /// Answers 401 to every request whose bearer token was not minted by this simulator, or longer than `lifetime` ago.
    /// [`Sim::mint_token`] mints the next one, and so does a `GET` of [`Sim::token_url`]. With
    /// [`require_key`](Self::require_key) too, either will do. An open stream outlives its token.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cvm_watch_sim::Sim;
    ///
    /// let sim = Sim::builder().require_token(Duration::from_secs(300)).start()?;
    /// assert_ne!(sim.mint_token(), sim.mint_token());
    /// assert!(sim.token_url().ends_with("/token"));
    /// # Ok::<(), cvm_watch_sim::SimError>(())
    /// ```
    pub fn require_token(mut self, lifetime: Duration) -> Builder {
        self.options.access.token_lifetime = Some(lifetime);
        self
    }

    /// Answers 403 to every request whose `X-Phala-Workspace` is not this. Unless set, the header is not read.
    pub fn require_workspace(mut self, slug: &str) -> Builder {
        self.options.access.workspace = Some(slug.to_owned());
        self
    }

    /// Answers 400 to every request whose `X-Phala-Version` is not this. Unless set, the header is not read.
    pub fn require_version(mut self, version: &str) -> Builder {
        self.options.access.version = Some(version.to_owned());
        self
    }

    /// Serves requests for this host name too. Addresses, `localhost` and names below it are always served; other names
    /// get 421, so that no web page can reach the simulator through a name that resolves to it.
    pub fn allow_host(mut self, name: &str) -> Builder {
        self.options.hosts.push(name.to_owned());
        self
    }

    /// Lets web pages of this origin, such as `http://localhost:8000`, read the answers; `*` lets any. Unless set, the
    /// answers carry no CORS headers, and browsers keep them from pages of other origins.
    pub fn cors(mut self, origin: &str) -> Builder {
        self.options.cors = Some(origin.to_owned());
        self
    }

    /// Calls this for each request, refused ones included, on the simulator's own thread, before the answer is sent.
    ///
    /// ```
    /// use cvm_watch_sim::Sim;
    ///
    /// let sim = Sim::builder().on_request(|request| println!("{} {}", request.method, request.uri)).start()?;
    /// # drop(sim);
    /// # Ok::<(), cvm_watch_sim::SimError>(())
    /// ```
    pub fn on_request(mut self, report: impl Fn(&Request) + Send + Sync + 'static) -> Builder {
        self.options.on_request = Some(Box::new(report));
        self
    }

    /// Calls this for each request that the simulator refuses, on its own thread, before the answer is sent.
    pub fn on_refused(mut self, report: impl Fn(&RefusedRequest) + Send + Sync + 'static) -> Builder {
        self.options.on_refused = Some(Box::new(report));
        self
    }

    /// How many finished connections, requests and refused requests the log keeps; 10 000 of each unless set. The oldest go
    /// first.
    pub fn keep_records(mut self, count: usize) -> Builder {
        self.keep_records = count;
        self
    }

    /// As [`Sim::script`], from the start.
    pub fn script(mut self, id: &str, script: impl Into<Script>) -> Builder {
        self.scripts.push((id.to_owned(), script.into()));
        self
    }

    /// Serves https with this certificate chain (leaf first) and private key, both PEM.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, chain_pem: &str, key_pem: &str) -> Builder {
        self.identity = Some(crate::tls::Identity::new(chain_pem, key_pem));
        self
    }

    /// Starts listening; when this returns, connections are accepted.
    ///
    /// # Errors
    ///
    /// When the speed, the CORS origin or the certificate is unusable, or the system gives no thread or address.
    pub fn start(self) -> Result<Sim, SimError> {
        let speed = self.options.speed;
        if !(speed.is_finite() && speed > 0.0) {
            return Err(SimError::Speed(speed));
        }
        if let Some(origin) =
            self.options.cors.as_ref().filter(|origin| !origin.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(SimError::Origin(origin.clone()));
        }
        #[cfg(feature = "tls")]
        let tls = self.identity.as_ref().map(crate::tls::Identity::acceptor).transpose()?;
        #[cfg(not(feature = "tls"))]
        let tls = None;
        let addr = self.addr;
        let endpoint = self.endpoint();
        let server = Server::start(addr, tls, Arc::clone(&endpoint))?;
        Ok(Sim { endpoint, server })
    }

    /// What answers the requests, whether they come over sockets or not.
    pub(crate) fn endpoint(self) -> Arc<Endpoint> {
        let endpoint = Arc::new(Endpoint::new(self.options, Log::new(self.keep_records)));
        for (id, script) in self.scripts {
            endpoint.set_script(&id, script);
        }
        endpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulator_and_its_log_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Sim>();
        shared::<Log>();
    }

    #[test]
    fn debug_shows_no_required_key() {
        let builder = Sim::builder().require_key("hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"));
        let sim = builder.start().unwrap();
        assert!(!format!("{sim:?}").contains("hunter2"));
    }
}
