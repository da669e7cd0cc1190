//! Where each setting was found, so that a program can show it.

use core::fmt;
use std::path::PathBuf;

use cvm_watch_core::{ConfigError, printable};

use super::base_url::BaseUrl;
use super::hidden::shown;
use super::settings::Checked;

/// What errors call the profile file.
pub(super) const PROFILE_FILE_FIELD: &str = "profile file";

/// Where one setting was found. Its `Display` completes "comes from …" and never shows a secret.
///
/// ```
/// use cvm_watch_driver::Source;
///
/// let source = Source::Profile { name: "work".to_owned(), path: "credentials.json".into() };
/// assert_eq!(source.to_string(), r#"profile "work" of credentials.json"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The setting has its default value.
    Default,
    /// The program's code or a command-line flag.
    Given,
    /// An environment variable, by its name.
    Variable(&'static str),
    /// A profile of the `phala` command line.
    Profile {
        /// The profile's name.
        name: String,
        /// The file that holds the profile.
        path: PathBuf,
    },
}

impl Source {
    /// Adds the profile to an error about a value from it. The field's name is enough for a value
    /// from any other source.
    pub(super) fn blame(&self, error: ConfigError) -> ConfigError {
        match self {
            Self::Profile { name, path } => {
                let problem = format!("has in profile \"{}\" what cannot be used: {error}", shown(name, 40));
                ConfigError::new(PROFILE_FILE_FIELD, &path.to_string_lossy(), problem)
            }
            _ => error,
        }
    }

    /// Returns whether two settings belong together. A given value belongs with any other.
    fn belongs_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Default | Self::Given, _) | (_, Self::Default | Self::Given) => true,
            (Self::Variable(_), Self::Variable(_)) => true,
            _ => self == other,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::Given => f.write_str("the caller"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Profile { name, path } => {
                let path = path.to_string_lossy();
                write!(f, "profile \"{}\" of {}", shown(name, 40), printable(&path, 160))
            }
        }
    }
}

/// Where each of a client's settings was found.
///
/// ```
/// use cvm_watch_driver::{Settings, Source};
///
/// let settings = Settings::builder().api_key("phak_example").build()?;
/// assert_eq!(settings.sources().credential(), Some(&Source::Given));
/// assert_eq!(settings.sources().base_url(), &Source::Default);
/// assert!(!settings.sources().are_mixed());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    credential: Option<Source>,
    base_url: Source,
    pub(super) workspace: Option<Source>,
    pub(super) api_version: Source,
    are_mixed: bool,
    credential_doubt: Option<String>,
    pub(super) notes: Vec<String>,
}

impl Sources {
    pub(super) fn new(credential: Option<(&Checked, Source)>, base_url: Source, url: &BaseUrl) -> Self {
        let credential_doubt = credential.as_ref().and_then(|(given, _)| given.credential()?.doubt());
        let credential = credential.map(|(_, source)| source);
        // The base URL that a profile has unless it was set up for another server.
        let is_phalas = matches!(base_url, Source::Profile { .. }) && url.to_string() == BaseUrl::DEFAULT;
        let are_mixed = !is_phalas && credential.as_ref().is_some_and(|source| !source.belongs_with(&base_url));
        let (workspace, api_version, notes) = (None, Source::Default, Vec::new());
        Self { credential, base_url, workspace, api_version, are_mixed, credential_doubt, notes }
    }

    /// Where the credential was found; `None` if there is none.
    pub fn credential(&self) -> Option<&Source> {
        self.credential.as_ref()
    }

    /// Where the workspace was found; `None` if none is named.
    pub fn workspace(&self) -> Option<&Source> {
        self.workspace.as_ref()
    }

    /// Where the version of the API was found.
    pub fn api_version(&self) -> &Source {
        &self.api_version
    }

    /// What looks like a mistake made in copying the credential, for a program to show: see
    /// [`Credential::doubt`](cvm_watch_core::Credential::doubt).
    pub fn credential_doubt(&self) -> Option<&str> {
        self.credential_doubt.as_deref()
    }

    /// Where the base URL was found.
    pub fn base_url(&self) -> &Source {
        &self.base_url
    }

    /// Whether the credential and the base URL are from two places, such as a key from the environment and
    /// a base URL from a profile. This can be intended, so it is no error, but a program should show
    /// it. A given value goes with any other, and so does a profile's base URL that is Phala Cloud's
    /// own.
    pub fn are_mixed(&self) -> bool {
        self.are_mixed
    }

    /// Problems that did not prevent the settings from being used, one per line: for example a
    /// profile file that cannot be read while the key is set elsewhere.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
