//! The client over any transport and timer, and its builder.

use core::fmt;
use core::marker::PhantomData;
use std::sync::Arc;

use cvm_watch_core::{ConfigError, PolicyBuilder};

use crate::account::{BaseUrl, Settings, SettingsBuilder};
use crate::connect_options::ConnectOptions;
use crate::credential_provider::CredentialProvider;
use crate::fleet_handle::FleetHandle;
use crate::handle::Place;
use crate::pool::{Pool, PoolDriver};
use crate::shared::Shared;
use crate::transport::{Timer, Transport};
use crate::watch_handle::WatchHandle;

/// Starts watches over one transport and timer. Cheap to clone; one is enough for a program.
///
/// `cvm-watch-hyper` and `cvm-watch-surf` export this type as `Client` with their transport filled
/// in. For another HTTP stack, implement [`Transport`] and call [`Client::new`].
pub struct Client<T, C> {
    shared: Arc<Shared<T, C>>,
}

/// A transport that [`ClientBuilder`] can set up: one that opens its own connections.
pub trait NetworkTransport: Transport + Sized {
    /// The timer of the transport's runtime.
    type Timer: Timer + Default;

    /// Returns a transport to this base URL, and its secrets, such as a proxy's password, for redaction.
    ///
    /// # Errors
    ///
    /// Fails if an option cannot be used, such as a certificate file that cannot be read.
    fn new(base: &BaseUrl, options: &ConnectOptions) -> Result<(Self, Vec<String>), ConfigError>;
}

impl<T: NetworkTransport> Client<T, T::Timer> {
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

    /// Starts without a key, with Phala Cloud's base URL, the machine's trusted certificates and the
    /// environment's proxy.
    pub fn builder() -> ClientBuilder<T> {
        ClientBuilder::default()
    }
}

impl<T: Transport, C: Timer> Client<T, C> {
    /// A client with these settings.
    pub fn new(settings: Settings, transport: T, timer: C) -> Self {
        Self { shared: Arc::new(Shared::new(settings, transport, timer)) }
    }

    /// Watches `id` until its status is `target`. Nothing is checked and no request is made before
    /// the handle is awaited or polled.
    pub fn watch(&self, id: impl Into<String>, target: impl Into<String>) -> WatchHandle<T, C> {
        WatchHandle::new(Arc::clone(&self.shared), Place::Alone, id.into(), target.into())
    }

    /// Watches each of `ids` until its status is `target`, over at most 4 streams at once unless
    /// [`max_streams`](FleetHandle::max_streams) says otherwise: the endpoint allows a user 5. As
    /// with [`watch`](Self::watch), nothing is checked or requested before the handle is awaited or
    /// polled; an id that is refused has that as its own outcome.
    ///
    /// ```
    /// use cvm_watch_driver::{Client, NetworkTransport};
    ///
    /// async fn watch<T: NetworkTransport>(client: Client<T, T::Timer>) {
    ///     for (id, outcome) in client.watch_all(["web", "worker", "db"], "running").await {
    ///         match outcome {
    ///             Ok(state) => println!("{id} is {}", state.status),
    ///             Err(error) => println!("{id}: {error}"),
    ///         }
    ///     }
    /// }
    /// ```
    pub fn watch_all<I>(&self, ids: I, target: impl Into<String>) -> FleetHandle<T, C>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let ids = ids.into_iter().map(Into::into).collect();
        FleetHandle::new(Arc::clone(&self.shared), ids, target.into())
    }

    /// Checks the state of `id` once, in immediate mode: the handle ends with the state that the server returns.
    /// A failed attempt is not retried unless [`max_retries`](WatchHandle::max_retries) says so.
    ///
    /// ```
    /// use cvm_watch_driver::{Client, NetworkTransport, WatchError};
    ///
    /// async fn is_running<T: NetworkTransport>(client: &Client<T, T::Timer>) -> Result<bool, WatchError> {
    ///     Ok(client.state("my-cvm").await?.is("running"))
    /// }
    /// ```
    pub fn state(&self, id: impl Into<String>) -> WatchHandle<T, C> {
        // Without a target in the request, its name is of no importance.
        self.watch(id, "running").single_check()
    }

    /// A pool for watches that join and leave while they share a few streams, and the driver that runs
    /// them: see [`Pool`].
    pub fn pool(&self) -> (Pool<T, C>, PoolDriver<T, C>) {
        Pool::new(Arc::clone(&self.shared))
    }

    /// The timer that its watches sleep by.
    pub fn timer(&self) -> &C {
        &self.shared.timer
    }

    /// The settings that the client was made with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }
}

impl<T, C> Clone for Client<T, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T, C> fmt::Debug for Client<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

/// Collects what a [`Client`] is made with; [`build`](Self::build) checks it.
#[must_use]
pub struct ClientBuilder<T> {
    settings: SettingsBuilder,
    options: ConnectOptions,
    transport: PhantomData<fn() -> T>,
}

impl<T: NetworkTransport> ClientBuilder<T> {
    /// Replaces the key and the base URL by those of the environment, where they are set and not blank.
    ///
    /// # Errors
    ///
    /// Fails if the value of a variable is not Unicode.
    pub fn override_from_env(mut self) -> Result<Self, ConfigError> {
        self.settings = self.settings.override_from_env()?;
        Ok(self)
    }

    /// Replaces the key and the base URL by those of this profile of the `phala` command line.
    ///
    /// # Errors
    ///
    /// As [`SettingsBuilder::override_from_profile`].
    pub fn override_from_profile(mut self, name: impl AsRef<str>) -> Result<Self, ConfigError> {
        self.settings = self.settings.override_from_profile(name)?;
        Ok(self)
    }

    /// Takes the key and the base URL, if they are missing so far, from the environment, or else from
    /// the current profile of the `phala` command line.
    ///
    /// # Errors
    ///
    /// As [`SettingsBuilder::fill_from_user_setup`].
    pub fn fill_from_user_setup(mut self) -> Result<Self, ConfigError> {
        self.settings = self.settings.fill_from_user_setup()?;
        Ok(self)
    }

    /// The profile that the project names, as [`SettingsBuilder::project_profile`].
    pub fn project_profile(mut self, name: impl Into<String>) -> Self {
        self.settings = self.settings.project_profile(name);
        self
    }

    /// The base URL; `https://cloud-api.phala.com/api/v1` by default.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.settings = self.settings.base_url(url);
        self
    }

    /// The API key.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.settings = self.settings.api_key(key);
        self
    }

    /// A bearer token, such as the OIDC token of a CI system, instead of an API key.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.settings = self.settings.bearer_token(token);
        self
    }

    /// Asks for a credential before each attempt, for credentials that expire or are rotated.
    pub fn credential_provider(mut self, provider: impl CredentialProvider + 'static) -> Self {
        self.settings = self.settings.credential_provider(provider);
        self
    }

    /// The slug of the workspace that the requests are for; by default the account's own.
    pub fn workspace(mut self, slug: impl Into<String>) -> Self {
        self.settings = self.settings.workspace(slug);
        self
    }

    /// The version of the API to ask for, as [`SettingsBuilder::api_version`].
    pub fn api_version(mut self, version: Option<&str>) -> Self {
        self.settings = self.settings.api_version(version);
        self
    }

    /// Allows the credential to be sent over plain `http` to another machine; not allowed by default.
    pub fn allow_http(mut self, allow: bool) -> Self {
        self.settings = self.settings.allow_http(allow);
        self
    }

    /// Adds a header to every request; its value counts as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings = self.settings.header(name, value);
        self
    }

    /// Defaults for every watch of the client, as [`SettingsBuilder::defaults`]. A setter of a handle
    /// overrides them.
    pub fn defaults(mut self, change: impl Fn(PolicyBuilder) -> PolicyBuilder + Send + Sync + 'static) -> Self {
        self.settings = self.settings.defaults(change);
        self
    }

    /// Trusts these certificate authorities (PEM) in addition to those of the machine. Can be called
    /// several times.
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.options = self.options.root_certificates(pem);
        self
    }

    /// Connects through this proxy, `http://[user:password@]host:port` or `socks5://…`, and ignores
    /// the environment. A base URL on this machine is always reached directly.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.options = self.options.proxy(url);
        self
    }

    /// Connects without a proxy and ignores the environment.
    pub fn no_proxy(mut self) -> Self {
        self.options = self.options.no_proxy();
        self
    }

    /// Validates the settings, and loads the trusted certificates for an `https` base URL.
    ///
    /// # Errors
    ///
    /// As [`SettingsBuilder::build`]. Also fails if certificates cannot be read or there are none, or if the proxy
    /// cannot be used.
    pub fn build(self) -> Result<Client<T, T::Timer>, ConfigError> {
        let settings = self.settings.clone().build()?;
        let (transport, secrets) = T::new(settings.base_url(), &self.options)?;
        // The transport knows the proxy's password only now.
        let settings = secrets.into_iter().fold(self.settings, SettingsBuilder::redact).build()?;
        Ok(Client::new(settings, transport, T::Timer::default()))
    }
}

impl<T> Default for ClientBuilder<T> {
    fn default() -> Self {
        Self { settings: SettingsBuilder::default(), options: ConnectOptions::default(), transport: PhantomData }
    }
}

impl<T> Clone for ClientBuilder<T> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), options: self.options.clone(), transport: PhantomData }
    }
}

impl<T> fmt::Debug for ClientBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, options, transport: _ } = self;
        f.debug_struct("ClientBuilder").field("settings", settings).field("options", options).finish()
    }
}
