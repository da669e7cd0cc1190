//! The environment variables and the home directory that settings are read from.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use cvm_watch_core::ConfigError;

use super::hidden::Hidden;
use super::settings::Given;
use super::sources::Source;

/// The environment variable that holds the API key (source: Phala's public SDKs).
pub const API_KEY_VARIABLE: &str = "PHALA_CLOUD_API_KEY";
/// The environment variable that holds the base URL (source: Phala's public SDKs).
pub const BASE_URL_VARIABLE: &str = "PHALA_CLOUD_API_PREFIX";
/// The environment variable that holds an OIDC token, used only without an API key (source: Phala's public
/// SDKs).
pub const TOKEN_VARIABLE: &str = "PHALA_OIDC_TOKEN";
/// The environment variable that holds the slug of the workspace (source: Phala's public SDKs).
pub const WORKSPACE_VARIABLE: &str = "PHALA_CLOUD_WORKSPACE";
/// The environment variable that names the profile (source: the `phala` command line).
pub const PROFILE_VARIABLE: &str = "PHALA_CLOUD_PROFILE";
/// The environment variable that names the directory of the `phala` command line's files
/// (source: the `phala` command line); `~/.phala-cloud` by default.
pub const PROFILES_VARIABLE: &str = "PHALA_CLOUD_DIR";

/// The file in that directory that holds the profiles.
const PROFILE_FILE: &str = "credentials.json";

/// The environment of the process, or a fake one in tests. A blank variable counts as unset.
pub(super) struct Environment<'a> {
    variable: &'a dyn Fn(&'static str) -> Option<OsString>,
    home: &'a dyn Fn() -> Option<PathBuf>,
}

impl<'a> Environment<'a> {
    pub(super) fn of_process() -> Environment<'static> {
        Environment { variable: &|name| env::var_os(name), home: &env::home_dir }
    }

    #[cfg(test)]
    pub(super) fn new(
        variable: &'a dyn Fn(&'static str) -> Option<OsString>,
        home: &'a dyn Fn() -> Option<PathBuf>,
    ) -> Self {
        Self { variable, home }
    }

    /// The API key, or else the OIDC token.
    pub(super) fn credential(&self) -> Result<Option<(Given, Source)>, ConfigError> {
        match self.api_key()? {
            Some(key) => Ok(Some(key)),
            None => self.token(),
        }
    }

    pub(super) fn api_key(&self) -> Result<Option<(Given, Source)>, ConfigError> {
        let key = self.text(API_KEY_VARIABLE)?;
        Ok(key.map(|key| (Given::ApiKey(Hidden(key)), Source::Variable(API_KEY_VARIABLE))))
    }

    pub(super) fn token(&self) -> Result<Option<(Given, Source)>, ConfigError> {
        let token = self.text(TOKEN_VARIABLE)?;
        Ok(token.map(|token| (Given::BearerToken(Hidden(token)), Source::Variable(TOKEN_VARIABLE))))
    }

    pub(super) fn workspace(&self) -> Result<Option<(String, Source)>, ConfigError> {
        let workspace = self.text(WORKSPACE_VARIABLE)?;
        Ok(workspace.map(|slug| (slug.trim().to_owned(), Source::Variable(WORKSPACE_VARIABLE))))
    }

    pub(super) fn base_url(&self) -> Result<Option<(String, Source)>, ConfigError> {
        let url = self.text(BASE_URL_VARIABLE)?;
        Ok(url.map(|url| (url, Source::Variable(BASE_URL_VARIABLE))))
    }

    pub(super) fn profile(&self) -> Result<Option<String>, ConfigError> {
        self.text(PROFILE_VARIABLE)
    }

    /// The path of the profile file, which need not exist; `None` without a home directory.
    pub(super) fn profile_file(&self) -> Option<PathBuf> {
        let is_set = |directory: &OsString| !directory.to_string_lossy().trim().is_empty();
        let directory = match (self.variable)(PROFILES_VARIABLE).filter(is_set) {
            Some(directory) => directory.into(),
            None => (self.home)().filter(|home| !home.as_os_str().is_empty())?.join(".phala-cloud"),
        };
        Some(directory.join(PROFILE_FILE))
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        match (self.variable)(name).map(OsString::into_string) {
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
            Some(Err(_)) => Err(ConfigError::new(name, "", "is not valid UTF-8; set it again")),
            None => Ok(None),
        }
    }
}
