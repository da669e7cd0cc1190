//! What every client has in common: where the endpoint is and how to be let in.

mod origins;
mod profiles;
mod user_setup;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use cvm_watch_core::{ApiKey, Config, ConfigBuilder, ConfigError, printable};

use crate::base_url::BaseUrl;
pub use origins::{Origins, Source};
pub use user_setup::PROFILES_VARIABLE;

/// The environment variable that holds the API key (source: Phala's public SDKs).
pub const API_KEY_VARIABLE: &str = "PHALA_CLOUD_API_KEY";
/// The environment variable that holds the base URL (source: Phala's public SDKs).
pub const BASE_URL_VARIABLE: &str = "PHALA_CLOUD_API_PREFIX";

/// Checked settings of a client.
///
/// ```
/// use cvm_watch_driver::Settings;
///
/// let settings = Settings::builder().api_key("phak_example").build()?;
/// assert_eq!(settings.base_url().to_string(), "https://cloud-api.phala.com/api/v1");
///
/// // A key does not travel unencrypted unless that is allowed by name.
/// let plain = Settings::builder().api_key("phak_example").base_url("http://cloud.example");
/// assert!(plain.clone().build().is_err());
/// assert!(plain.allow_http(true).build().is_ok());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    base_url: BaseUrl,
    api_key: Option<ApiKey>,
    headers: Vec<(String, Hidden)>,
    secrets: Vec<Hidden>,
    origins: Origins,
}

impl Settings {
    /// Starts from nothing: no key, Phala Cloud's own base URL.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// Where the endpoint is.
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Where the key and the base URL come from.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The configuration of one watch, as far as the client decides it.
    pub(crate) fn watch(&self, id: String, target: String) -> ConfigBuilder {
        let mut config = Config::builder(id, target);
        if let Some(key) = &self.api_key {
            config = config.api_key(key.clone());
        }
        for (name, value) in &self.headers {
            config = config.header(name, &value.0);
        }
        for secret in &self.secrets {
            config = config.mask(&secret.0);
        }
        config
    }
}

/// Collects the settings of a client; [`build`](Self::build) checks them.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SettingsBuilder {
    base_url: Option<(String, Source)>,
    api_key: Option<(Hidden, Source)>,
    allow_http: bool,
    headers: Vec<(String, Hidden)>,
    secrets: Vec<Hidden>,
    /// The profile file that was looked for a key and has none.
    without_key: Option<PathBuf>,
    notes: Vec<String>,
}

impl SettingsBuilder {
    /// Takes the key and the base URL from the environment, where they are set and not blank.
    ///
    /// # Errors
    ///
    /// A variable whose value is not Unicode.
    pub fn from_env(self) -> Result<Self, ConfigError> {
        self.with_variables(env::var_os::<&str>)
    }

    fn with_variables(mut self, variable: impl Fn(&'static str) -> Option<OsString>) -> Result<Self, ConfigError> {
        self.api_key = key_from(&variable)?.or(self.api_key);
        self.base_url = base_url_from(&variable)?.or(self.base_url);
        Ok(self)
    }

    /// The base URL; Phala Cloud's own by default.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some((url.into(), Source::Given));
        self
    }

    /// The API key.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some((Hidden(key.into()), Source::Given));
        self
    }

    /// Allows the key to travel over plain `http` to a host that is not this machine.
    pub fn allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// One more header for every request; its value counts as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Hidden(value.into())));
        self
    }

    /// Something that the server could echo and nobody should see, such as a proxy's password.
    pub fn mask(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(Hidden(secret.into()));
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// A base URL that [`BaseUrl::parse`] refuses, a key with control bytes, no key for a host
    /// that is not this machine, a key over plain `http` that was not allowed, a header that
    /// cannot be sent.
    pub fn build(self) -> Result<Settings, ConfigError> {
        let (base_url, base_url_source) = match self.base_url {
            Some((url, source)) => (BaseUrl::parse(&url).map_err(|error| source.blame(error))?, source),
            None => (BaseUrl::parse(BaseUrl::DEFAULT)?, Source::Default),
        };
        let (api_key, api_key_source) = match self.api_key {
            Some((key, source)) => (Some(ApiKey::new(key.0).map_err(|error| source.blame(error))?), Some(source)),
            None if base_url.is_loopback() => (None, None),
            None => {
                let mut problem = format!("is missing; set {API_KEY_VARIABLE} to your Phala Cloud API key");
                if let Some(path) = self.without_key {
                    let path = printable(&path.to_string_lossy(), 160);
                    problem.push_str(&format!(", or log in with the phala command line (no key was found in {path})"));
                }
                return Err(ConfigError::new("api key", "", problem));
            }
        };
        if !base_url.is_https() && !base_url.is_loopback() && !self.allow_http {
            let problem = "would send the API key unencrypted; use https, or allow http by name (--allow-http)";
            return Err(ConfigError::new("base url", &base_url.to_string(), problem));
        }
        let origins = Origins::new(api_key_source, base_url_source, &base_url, self.notes);
        let settings = Settings { base_url, api_key, headers: self.headers, secrets: self.secrets, origins };
        // The headers are checked here already, not only when the first watch begins.
        settings.watch("any".to_owned(), "any".to_owned()).build()?;
        Ok(settings)
    }
}

type Variable<'a> = &'a dyn Fn(&'static str) -> Option<OsString>;

fn key_from(variable: Variable<'_>) -> Result<Option<(Hidden, Source)>, ConfigError> {
    let key = text(variable, API_KEY_VARIABLE)?;
    Ok(key.map(|key| (Hidden(key), Source::Variable(API_KEY_VARIABLE))))
}

fn base_url_from(variable: Variable<'_>) -> Result<Option<(String, Source)>, ConfigError> {
    let url = text(variable, BASE_URL_VARIABLE)?;
    Ok(url.map(|url| (url, Source::Variable(BASE_URL_VARIABLE))))
}

/// The variable's text, unless that is blank.
fn text(variable: Variable<'_>, name: &'static str) -> Result<Option<String>, ConfigError> {
    match variable(name).map(OsString::into_string) {
        Some(Ok(text)) => Ok((!text.trim().is_empty()).then_some(text)),
        Some(Err(_)) => Err(ConfigError::new(name, "", "is not valid UTF-8; set it again")),
        None => Ok(None),
    }
}

/// Text that stays out of `Debug`.
#[derive(Clone)]
struct Hidden(String);

impl core::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let variable = |name: &'static str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Settings::builder().with_variables(variable)?.build()
    }

    #[test]
    fn the_environment_gives_key_and_base_url_and_blank_counts_as_unset() {
        let settings = from(&[(API_KEY_VARIABLE, "phak_1"), (BASE_URL_VARIABLE, "https://x.example/v9")]).unwrap();
        assert_eq!(settings.base_url().to_string(), "https://x.example/v9");
        assert_eq!(settings.api_key.as_ref().map(ApiKey::expose), Some("phak_1"));
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
        assert_eq!(settings.api_key, None);
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
        let error = Settings::builder().api_key("hunter2\n").build().unwrap_err();
        assert_eq!(error.to_string(), "api key has the control byte 0x0a at position 7; remove it");
        let builder = Settings::builder().api_key("hunter2").header("x-a", "hunter2\n").mask("hunter3");
        assert!(!format!("{builder:?}").contains("hunter"));
        let error = builder.build().unwrap_err();
        assert_eq!(error.field(), "header x-a");
    }
}
