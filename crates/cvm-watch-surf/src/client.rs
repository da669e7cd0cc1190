//! The client.

use cvm_watch_driver::core::ConfigError;
use cvm_watch_driver::{Settings, SettingsBuilder};

use crate::timer::AsyncStdTimer;
use crate::transport::{SurfTransport, TransportBuilder};

/// A watch over surf: await it for the state, or read it as a `Stream` of updates.
pub type Watching = cvm_watch_driver::Watching<SurfTransport, AsyncStdTimer>;

/// Many watches over surf that share a few connections: await it for the outcome of each, or read
/// it as a `Stream` of updates.
pub type WatchingAll = cvm_watch_driver::WatchingAll<SurfTransport, AsyncStdTimer>;

/// Starts watches. Cheap to clone; one is enough for a program.
#[derive(Clone, Debug)]
pub struct Client(cvm_watch_driver::Client<SurfTransport, AsyncStdTimer>);

impl Client {
    /// A client with the key and the base URL from `PHALA_CLOUD_API_KEY` and
    /// `PHALA_CLOUD_API_PREFIX`.
    ///
    /// # Errors
    ///
    /// As [`ClientBuilder::build`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::builder().override_from_env()?.build()
    }

    /// A client with the key and the base URL from the environment, or else from the current profile
    /// of the `phala` command line.
    ///
    /// # Errors
    ///
    /// As [`SettingsBuilder::fill_from_user_setup`] and [`ClientBuilder::build`].
    pub fn from_user_setup() -> Result<Self, ConfigError> {
        Self::builder().fill_from_user_setup()?.build()
    }

    /// Starts from nothing: no key, Phala Cloud's own base URL, the machine's trusted certificates,
    /// the environment's proxy.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Watches `id` until its status is `target`. Nothing happens before the handle is awaited or
    /// polled. Any executor will do.
    pub fn watch(&self, id: impl Into<String>, target: impl Into<String>) -> Watching {
        self.0.watch(id, target)
    }

    /// Watches each of `ids` until its status is `target`, over 4 connections at once unless
    /// [`max_streams`](WatchingAll::max_streams) says otherwise: the endpoint allows a user 5.
    ///
    /// ```no_run
    /// # async fn watch() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = cvm_watch_surf::Client::from_env()?;
    /// for (id, outcome) in client.watch_all(["web", "worker", "db"], "running").await {
    ///     match outcome {
    ///         Ok(state) => println!("{id} is {}", state.status),
    ///         Err(error) => println!("{id}: {error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch_all<I>(&self, ids: I, target: impl AsRef<str>) -> WatchingAll
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.0.watch_all(ids, target)
    }

    /// What the client was made with.
    pub fn settings(&self) -> &Settings {
        self.0.settings()
    }
}

/// Collects what a [`Client`] is made with; [`build`](Self::build) checks it.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    settings: SettingsBuilder,
    transport: TransportBuilder,
    /// The name of a header that no back end but the bridge can send.
    beyond_ascii: Option<String>,
    own_client: bool,
}

impl ClientBuilder {
    /// Takes the key and the base URL from the environment, where they are set and not blank.
    ///
    /// # Errors
    ///
    /// A variable whose value is not Unicode.
    pub fn override_from_env(mut self) -> Result<Self, ConfigError> {
        self.settings = self.settings.override_from_env()?;
        Ok(self)
    }

    /// Takes the key and the base URL from this profile of the `phala` command line, whatever the
    /// environment says.
    ///
    /// # Errors
    ///
    /// As [`SettingsBuilder::override_from_profile`].
    pub fn override_from_profile(mut self, name: impl AsRef<str>) -> Result<Self, ConfigError> {
        self.settings = self.settings.override_from_profile(name)?;
        Ok(self)
    }

    /// Takes what was not given so far, key and base URL, from the environment, or else from the
    /// current profile of the `phala` command line.
    ///
    /// # Errors
    ///
    /// As [`SettingsBuilder::fill_from_user_setup`].
    pub fn fill_from_user_setup(mut self) -> Result<Self, ConfigError> {
        self.settings = self.settings.fill_from_user_setup()?;
        Ok(self)
    }

    /// The base URL; `https://cloud-api.phala.com/api/v1` by default.
    pub fn base_url(self, url: impl Into<String>) -> Self {
        self.settings(|settings| settings.base_url(url))
    }

    /// The API key.
    pub fn api_key(self, key: impl Into<String>) -> Self {
        self.settings(|settings| settings.api_key(key))
    }

    /// Allows the key to travel over plain `http` to a host that is not this machine.
    pub fn allow_http(self, allow: bool) -> Self {
        self.settings(|settings| settings.allow_http(allow))
    }

    /// One more header for every request; its value counts as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        if !value.is_ascii() {
            self.beyond_ascii = Some(name.clone());
        }
        self.settings(|settings| settings.header(name, value))
    }

    /// Trusts these certificate authorities (PEM) beside those of the machine.
    pub fn root_certificates(self, pem: impl Into<String>) -> Self {
        self.transport(|transport| transport.root_certificates(pem))
    }

    /// Goes through this proxy, `http://[user:password@]host:port` or `socks5://…`, whatever the
    /// environment says; never for a base URL on this machine.
    pub fn proxy(self, url: impl Into<String>) -> Self {
        self.transport(|transport| transport.proxy(url))
    }

    /// Goes through no proxy, whatever the environment says.
    pub fn no_proxy(self) -> Self {
        self.transport(TransportBuilder::no_proxy)
    }

    /// Takes a surf client of yours, on the terms of [`TransportBuilder::surf_client`].
    pub fn surf_client(mut self, client: surf::Client) -> Self {
        self.own_client = true;
        self.transport(|transport| transport.surf_client(client))
    }

    /// Checks everything, and for an `https` base URL loads the trusted certificates.
    ///
    /// # Errors
    ///
    /// As [`SettingsBuilder::build`] and [`TransportBuilder::build`]; a header outside ASCII beside
    /// a surf client, whose back end could not send it.
    pub fn build(self) -> Result<Client, ConfigError> {
        let settings = self.settings.clone().build()?;
        if let (Some(name), true) = (self.beyond_ascii, self.own_client) {
            let problem =
                "has a value outside ASCII, which a surf client cannot send; change it, or leave out the client";
            return Err(ConfigError::new(format!("header {name}"), "", problem));
        }
        let (transport, secrets) = self.transport.build(settings.base_url())?;
        // What the proxy must keep to itself is known only now.
        let settings = secrets.into_iter().fold(self.settings, SettingsBuilder::mask).build()?;
        Ok(Client(cvm_watch_driver::Client::new(settings, transport, AsyncStdTimer::new())))
    }

    fn settings(mut self, change: impl FnOnce(SettingsBuilder) -> SettingsBuilder) -> Self {
        self.settings = change(self.settings);
        self
    }

    fn transport(mut self, change: impl FnOnce(TransportBuilder) -> TransportBuilder) -> Self {
        self.transport = change(self.transport);
        self
    }
}
