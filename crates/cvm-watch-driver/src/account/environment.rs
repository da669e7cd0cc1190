//! The environment variables and the home directory that settings are read from.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use cvm_watch_core::ConfigError;

use super::hidden::Hidden;
use super::sources::Source;

/// The environment variable that holds the API key (source: Phala's public SDKs).
pub const API_KEY_VARIABLE: &str = "PHALA_CLOUD_API_KEY";
/// The environment variable that holds the base URL (source: Phala's public SDKs).
pub const BASE_URL_VARIABLE: &str = "PHALA_CLOUD_API_PREFIX";
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

    pub(super) fn api_key(&self) -> Result<Option<(Hidden, Source)>, ConfigError> {
        let key = self.text(API_KEY_VARIABLE)?;
        Ok(key.map(|key| (Hidden(key), Source::Variable(API_KEY_VARIABLE))))
    }

    pub(super) fn base_url(&self) -> Result<Option<(String, Source)>, ConfigError> {
        let url = self.text(BASE_URL_VARIABLE)?;
        Ok(url.map(|url| (url, Source::Variable(BASE_URL_VARIABLE))))
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
