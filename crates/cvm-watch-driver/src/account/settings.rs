//! The settings of a client, and how they are built and checked.

use core::fmt;
use core::future::ready;
use std::path::PathBuf;
use std::sync::Arc;

use cvm_watch_core::{ApiKey, BearerToken, ConfigError, Credential, Policy, PolicyBuilder, printable};

use super::base_url::BaseUrl;
use super::environment::{API_KEY_VARIABLE, Environment};
use super::hidden::Hidden;
use super::sources::{Source, Sources};
use crate::credential_provider::{CredentialFuture, CredentialProvider, Provider};

/// Checked settings of a client.
///
/// ```
/// use cvm_watch_driver::Settings;
///
/// let settings = Settings::builder().api_key("phak_example").build()?;
/// assert_eq!(settings.base_url().to_string(), "https://cloud-api.phala.com/api/v1");
///
/// // A key is not sent unencrypted unless that is allowed explicitly.
/// let plain = Settings::builder().api_key("phak_example").base_url("http://cloud.example");
/// assert!(plain.clone().build().is_err());
/// assert!(plain.allow_http(true).build().is_ok());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    base_url: BaseUrl,
    pub(super) credential: Option<Checked>,
    workspace: Option<String>,
    /// `Some(None)` leaves the header out.
    api_version: Option<Option<String>>,
    headers: Vec<(String, Hidden)>,
    secrets: Vec<Hidden>,
    sources: Sources,
    defaults: Defaults,
}

type Change = dyn Fn(PolicyBuilder) -> PolicyBuilder + Send + Sync;

/// Changes to the policy of each watch, in the order in which they were given.
#[derive(Clone, Default)]
struct Defaults(Vec<Arc<Change>>);

impl fmt::Debug for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Defaults").field(&self.0.len()).finish()
    }
}

impl Settings {
    /// Starts without a key and with Phala Cloud's own base URL.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// Where the endpoint is.
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// The names and values of the caller's own headers. The values are secrets.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.0.as_str()))
    }

    /// Where each setting was found.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The slug of the workspace that the requests are for, if it is named.
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// The version of the API that is asked for, if any is.
    pub fn api_version(&self) -> Option<String> {
        let policy = self.policy("running").build();
        policy.ok().and_then(|policy| policy.api_version().map(ToOwned::to_owned))
    }

    /// Asks for the credential of an attempt.
    pub(crate) fn ask_credential(&self) -> CredentialFuture {
        match &self.credential {
            Some(Checked::Provider(provider)) => provider.0.credential(),
            // Only a default or a setter of the handle can ask where there is no provider.
            _ => Box::pin(ready(Err("the client has no credential provider".into()))),
        }
    }

    /// The policy of a watch, with what the client decides: the credential and the headers.
    pub(crate) fn policy(&self, target: impl Into<String>) -> PolicyBuilder {
        let mut policy = Policy::builder(target);
        match &self.credential {
            Some(Checked::Credential(credential)) => policy = policy.credential(credential.clone()),
            Some(Checked::Provider(_)) => policy = policy.credential_per_attempt(true),
            None => {}
        }
        if let Some(workspace) = &self.workspace {
            policy = policy.workspace(workspace);
        }
        if let Some(version) = &self.api_version {
            policy = policy.api_version(version.as_deref());
        }
        for (name, value) in &self.headers {
            policy = policy.header(name, &value.0);
        }
        for secret in &self.secrets {
            policy = policy.redact(&secret.0);
        }
        self.defaults.0.iter().fold(policy, |policy, change| change(policy))
    }
}

/// Collects the settings of a client; [`build`](Self::build) checks them.
///
/// Methods called `override_from_…` replace what was set before them; `fill_from_…` sets only what
/// is still open.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SettingsBuilder {
    pub(super) base_url: Option<(String, Source)>,
    pub(super) credential: Option<(Given, Source)>,
    pub(super) workspace: Option<(String, Source)>,
    pub(super) api_version: Option<(Option<String>, Source)>,
    allow_http: bool,
    headers: Vec<(String, Hidden)>,
    secrets: Vec<Hidden>,
    defaults: Defaults,
    /// The profile that the project names.
    pub(super) project_profile: Option<String>,
    /// The profile file, if it was searched and holds no key.
    pub(super) file_without_key: Option<PathBuf>,
    /// Why the profile file could not be used; an error only if a key is needed.
    pub(super) file_error: Option<ConfigError>,
    pub(super) notes: Vec<String>,
}

/// A credential as it was given.
#[derive(Clone, Debug)]
pub(super) enum Given {
    ApiKey(Hidden),
    BearerToken(Hidden),
    Provider(Provider),
}

/// A credential, or what gives one before each attempt.
#[derive(Clone, Debug)]
pub(super) enum Checked {
    Credential(Credential),
    Provider(Provider),
}

impl Given {
    fn check(self) -> Result<Checked, ConfigError> {
        Ok(match self {
            Self::ApiKey(key) => Checked::Credential(ApiKey::new(key.0)?.into()),
            Self::BearerToken(token) => Checked::Credential(BearerToken::new(token.0)?.into()),
            Self::Provider(provider) => Checked::Provider(provider),
        })
    }
}

impl Checked {
    pub(super) fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Credential(credential) => Some(credential),
            Self::Provider(_) => None,
        }
    }
}

impl SettingsBuilder {
    /// Replaces the credential, the workspace and the base URL by those in the environment, where they
    /// are set and not blank.
    ///
    /// # Errors
    ///
    /// Fails if the value of a variable is not Unicode.
    pub fn override_from_env(self) -> Result<Self, ConfigError> {
        self.overridden_from(&Environment::of_process())
    }

    fn overridden_from(mut self, environment: &Environment<'_>) -> Result<Self, ConfigError> {
        self.credential = environment.credential()?.or(self.credential);
        self.workspace = environment.workspace()?.or(self.workspace);
        self.base_url = environment.base_url()?.or(self.base_url);
        Ok(self)
    }

    /// The base URL; Phala Cloud's own by default.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some((url.into(), Source::Given));
        self
    }

    /// The API key.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.credential = Some((Given::ApiKey(Hidden(key.into())), Source::Given));
        self
    }

    /// A bearer token, such as the OIDC token of a CI system, instead of an API key. For one that expires during the
    /// watch there is [`credential_provider`](Self::credential_provider).
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.credential = Some((Given::BearerToken(Hidden(token.into())), Source::Given));
        self
    }

    /// Asks for a credential before each attempt, for credentials that expire or are rotated.
    pub fn credential_provider(mut self, provider: impl CredentialProvider + 'static) -> Self {
        self.credential = Some((Given::Provider(Provider(Arc::new(provider))), Source::Given));
        self
    }

    /// The slug of the workspace that the requests are for; by default the account's own.
    pub fn workspace(mut self, slug: impl Into<String>) -> Self {
        self.workspace = Some((slug.into(), Source::Given));
        self
    }

    /// The version of the API to ask for: a date, by default that of
    /// [`PolicyBuilder::api_version`](cvm_watch_core::PolicyBuilder::api_version). `None` asks for none.
    pub fn api_version(mut self, version: Option<&str>) -> Self {
        self.api_version = Some((version.map(ToOwned::to_owned), Source::Given));
        self
    }

    /// The profile that the project names, as in a `phala.toml`: [`fill_from_user_setup`](Self::fill_from_user_setup)
    /// takes it rather than the current one, unless `PHALA_CLOUD_PROFILE` names another. Blank counts as none.
    pub fn project_profile(mut self, name: impl Into<String>) -> Self {
        self.project_profile = Some(name.into()).filter(|name| !name.trim().is_empty());
        self
    }

    /// Allows the credential to be sent over plain `http` to a host other than this machine.
    pub fn allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Adds a header to every request. Its value counts as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Hidden(value.into())));
        self
    }

    /// Defaults for every watch of the client. A setter of a handle overrides them.
    ///
    /// ```
    /// use core::time::Duration;
    /// use cvm_watch_driver::Settings;
    ///
    /// let hour = Duration::from_secs(3600);
    /// let settings = Settings::builder().api_key("phak_example").defaults(move |policy| policy.deadline(hour)).build()?;
    /// // Defaults that no watch could have are refused here.
    /// let refused = Settings::builder().api_key("phak_example").defaults(|policy| policy.deadline(Duration::ZERO));
    /// assert_eq!(refused.build().unwrap_err().field(), "deadline");
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    pub fn defaults(mut self, change: impl Fn(PolicyBuilder) -> PolicyBuilder + Send + Sync + 'static) -> Self {
        self.defaults.0.push(Arc::new(change));
        self
    }

    /// Adds a secret that the server could repeat, such as a proxy's password. It is redacted in everything that the
    /// server sends.
    pub fn redact(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(Hidden(secret.into()));
        self
    }

    /// Validates the settings.
    ///
    /// # Errors
    ///
    /// A base URL that [`BaseUrl`] refuses, a credential with control bytes, none for a host other than
    /// this machine, one over plain `http` that was not allowed, a header that cannot be sent.
    pub fn build(mut self) -> Result<Settings, ConfigError> {
        let (base_url, base_url_source) = match self.base_url {
            Some((url, source)) => (url.parse().map_err(|error| source.blame(error))?, source),
            None => (BaseUrl::DEFAULT.parse()?, Source::Default),
        };
        let base_url: BaseUrl = base_url;
        let (credential, credential_source) = match self.credential {
            Some((given, source)) => (Some(given.check().map_err(|error| source.blame(error))?), Some(source)),
            None if base_url.is_loopback() => {
                self.notes.extend(self.file_error.map(|error| error.to_string()));
                (None, None)
            }
            None => {
                if let Some(error) = self.file_error {
                    return Err(error);
                }
                let mut problem = format!("is missing; set {API_KEY_VARIABLE} to your Phala Cloud API key");
                if let Some(path) = self.file_without_key {
                    let path = printable(&path.to_string_lossy(), 160);
                    problem.push_str(&format!(", or log in with the phala command line (no key was found in {path})"));
                }
                return Err(ConfigError::new("api key", "", problem));
            }
        };
        if !base_url.is_https() && !base_url.is_loopback() && !self.allow_http {
            let problem = "would send the credential unencrypted; use https, or allow http by name (--allow-http)";
            return Err(ConfigError::new("base url", &base_url.to_string(), problem));
        }
        let (workspace, workspace_source) = self.workspace.unzip();
        let (api_version, api_version_source) = self.api_version.unzip();
        let mut sources = Sources::new(credential.as_ref().zip(credential_source), base_url_source, &base_url);
        sources.workspace = workspace_source;
        sources.api_version = api_version_source.unwrap_or(Source::Default);
        sources.notes = self.notes;
        let (headers, secrets, defaults) = (self.headers, self.secrets, self.defaults);
        let settings = Settings { base_url, credential, workspace, api_version, headers, secrets, sources, defaults };
        // Checks headers and defaults now rather than when the first watch begins.
        settings.policy("running").build()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BASE_URL_VARIABLE;
    use std::ffi::OsString;

    fn from(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let variable = |name: &'static str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Settings::builder().overridden_from(&Environment::new(&variable, &|| None))?.build()
    }

    fn expose(settings: &Settings) -> Option<&str> {
        settings.credential.as_ref().and_then(Checked::credential).map(Credential::expose)
    }

    #[test]
    fn the_environment_gives_key_and_base_url_and_blank_counts_as_unset() {
        let settings = from(&[(API_KEY_VARIABLE, "phak_1"), (BASE_URL_VARIABLE, "https://x.example/v9")]).unwrap();
        assert_eq!(settings.base_url().to_string(), "https://x.example/v9");
        assert_eq!(expose(&settings), Some("phak_1"));
        let settings = from(&[(API_KEY_VARIABLE, "phak_1"), (BASE_URL_VARIABLE, " \t")]).unwrap();
        assert_eq!(settings.base_url().to_string(), BaseUrl::DEFAULT);
    }

    #[test]
    fn no_key_is_refused_naming_its_variable_except_for_loopback() {
        for variables in [&[][..], &[(API_KEY_VARIABLE, "  ")]] {
            let error = from(variables).unwrap_err().to_string();
            assert!(error.contains("PHALA_CLOUD_API_KEY"), "{error}");
        }
        let settings = from(&[(BASE_URL_VARIABLE, "http://127.0.0.1:9")]).unwrap();
        assert_eq!(expose(&settings), None);
    }

    #[test]
    fn a_key_over_plain_http_is_refused_unless_loopback_or_allowed_by_name() {
        let settings = || Settings::builder().api_key("phak_1");
        let error = settings().base_url("http://10.0.0.1").build().unwrap_err().to_string();
        assert!(error.contains("unencrypted") && error.contains("10.0.0.1"), "{error}");
        for base in ["http://localhost", "http://127.0.0.2", "http://[::1]:7"] {
            settings().base_url(base).build().unwrap();
        }
        settings().base_url("http://10.0.0.1").allow_http(true).build().unwrap();
    }

    #[test]
    fn a_bad_key_or_header_is_refused_before_any_watch_and_never_shown() {
        let error = Settings::builder().api_key("hunter2\nhunter3").build().unwrap_err();
        assert_eq!(error.to_string(), "api key has the control byte 0x0a at position 7; remove it");
        let builder = Settings::builder().api_key("hunter2").header("x-a", "hunter2\n").redact("hunter3");
        assert!(!format!("{builder:?}").contains("hunter"));
        let error = builder.build().unwrap_err();
        assert_eq!(error.field(), "header x-a");
    }
}
