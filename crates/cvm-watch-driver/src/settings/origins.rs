//! Where settings come from, so that a person can be told.

use core::fmt;
use std::path::PathBuf;

use cvm_watch_core::{ConfigError, printable};

use crate::base_url::BaseUrl;

/// Where one setting comes from. Its `Display` reads on after "comes from", and never shows a
/// secret.
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
    /// Nobody set it.
    Default,
    /// The program's code gave it, or a flag of its command line.
    Given,
    /// An environment variable, by its name.
    Variable(&'static str),
    /// A profile of the `phala` command line.
    Profile {
        /// The profile's name.
        name: String,
        /// The file it stands in.
        path: PathBuf,
    },
}

impl Source {
    /// The error, with the profile that holds what was refused; any other source is known to whoever
    /// reads the field's name.
    pub(super) fn blame(&self, error: ConfigError) -> ConfigError {
        match self {
            Self::Profile { name, path } => {
                let problem = format!("has in profile \"{}\" what cannot be used: {error}", printable(name, 40));
                ConfigError::new(super::profiles::FIELD, &path.to_string_lossy(), problem)
            }
            _ => error,
        }
    }

    /// What belongs together: what is given belongs to anything.
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
                write!(f, "profile \"{}\" of {}", printable(name, 40), printable(&path, 160))
            }
        }
    }
}

/// Where a client's key and base URL come from.
///
/// ```
/// use cvm_watch_driver::{Settings, Source};
///
/// let settings = Settings::builder().api_key("phak_example").build()?;
/// assert_eq!(settings.origins().api_key(), Some(&Source::Given));
/// assert_eq!(settings.origins().base_url(), &Source::Default);
/// assert!(!settings.origins().are_mixed());
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    api_key: Option<Source>,
    base_url: Source,
    are_mixed: bool,
    notes: Vec<String>,
}

impl Origins {
    pub(super) fn new(api_key: Option<Source>, base_url: Source, url: &BaseUrl, notes: Vec<String>) -> Self {
        // Where every profile points that was not set up for another place.
        let is_own = matches!(base_url, Source::Profile { .. }) && url.to_string() == BaseUrl::DEFAULT;
        let are_mixed = !is_own && api_key.as_ref().is_some_and(|key| !key.belongs_with(&base_url));
        Self { api_key, base_url, are_mixed, notes }
    }

    /// Where the API key comes from; `None` if there is none.
    pub fn api_key(&self) -> Option<&Source> {
        self.api_key.as_ref()
    }

    /// Where the base URL comes from.
    pub fn base_url(&self) -> &Source {
        &self.base_url
    }

    /// Whether a key from one place goes to a base URL from another, such as one from the
    /// environment to that of a profile. It may be meant, so it is no error; a person should be told.
    /// What the caller gave goes with anything, and so does a profile's base URL if that is Phala
    /// Cloud's own.
    pub fn are_mixed(&self) -> bool {
        self.are_mixed
    }

    /// What was found amiss and did not matter, a line each: a profile file that cannot be read
    /// while the key is set elsewhere.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
