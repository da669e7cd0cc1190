//! Settings from what a user of the `phala` command line has set up: environment and profiles.

use cvm_watch_core::{ConfigError, printable};

use super::environment::{Environment, PROFILE_VARIABLE, PROFILES_VARIABLE};
use super::hidden::shown;
use super::profiles::{Found, Profile};
use super::settings::{Given, SettingsBuilder};
use super::sources::{PROFILE_FILE_FIELD, Source};

/// The names of the profiles of the `phala` command line, in alphabetical order; none if there is no
/// profile file.
///
/// ```no_run
/// for name in cvm_watch_driver::profile_names()? {
///     println!("{name}");
/// }
/// # Ok::<(), cvm_watch_core::ConfigError>(())
/// ```
///
/// # Errors
///
/// A profile file that exists but cannot be used. The error shows none of its contents.
pub fn profile_names() -> Result<Vec<String>, ConfigError> {
    names_of(&Environment::of_process())
}

fn names_of(environment: &Environment<'_>) -> Result<Vec<String>, ConfigError> {
    let Some(path) = environment.profile_file() else { return Ok(Vec::new()) };
    Ok(match Found::read(&path)? {
        Found::Profiles(file) => file.names(),
        Found::Nothing | Found::OtherSchema => Vec::new(),
    })
}

impl SettingsBuilder {
    /// Replaces the key and the base URL by those of this profile of the `phala` command line. A
    /// profile without a base URL leaves the base URL as it was.
    ///
    /// The file is `credentials.json` in the directory that `PHALA_CLOUD_DIR` names, by default
    /// `~/.phala-cloud`; it may have at most 1 MiB.
    ///
    /// # Errors
    ///
    /// No such file or profile (the error lists the existing names), a profile without a token, a
    /// file that cannot be read. No error shows a token.
    pub fn override_from_profile(self, name: impl AsRef<str>) -> Result<Self, ConfigError> {
        self.overridden_from_profile(name.as_ref(), &Environment::of_process())
    }

    /// Sets the credential and the base URL if they are still open: from the environment, or else from a profile of
    /// the `phala` command line. That is the one that `PHALA_CLOUD_PROFILE` names, or else the
    /// [project](Self::project_profile), or else the current one, or else `default`. The token of
    /// `PHALA_OIDC_TOKEN` is used only where there is no key. The workspace is that of `PHALA_CLOUD_WORKSPACE`. The profile file is read only if a setting is
    /// still open then, and never after [`override_from_profile`](Self::override_from_profile).
    ///
    /// ```no_run
    /// let settings = cvm_watch_driver::Settings::builder().fill_from_user_setup()?.build()?;
    /// if settings.sources().are_mixed() {
    ///     eprintln!("the key is from one place and the base URL from another");
    /// }
    /// # Ok::<(), cvm_watch_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A variable whose value is not Unicode. A profile file that exists but cannot be used is an error of
    /// [`build`](Self::build) where a key is needed, and elsewhere a [note](super::Sources::notes).
    pub fn fill_from_user_setup(self) -> Result<Self, ConfigError> {
        self.filled_from(&Environment::of_process())
    }

    fn overridden_from_profile(mut self, name: &str, environment: &Environment<'_>) -> Result<Self, ConfigError> {
        let name = name.trim();
        let refused = |problem: String| ConfigError::new("profile", &shown(name, 160), problem);
        if name.is_empty() {
            return Err(refused("must not be empty".to_owned()));
        }
        let Some(path) = environment.profile_file() else {
            return Err(refused(format!("cannot be looked for: there is no home directory; set {PROFILES_VARIABLE}")));
        };
        let shown = printable(&path.to_string_lossy(), 160);
        let file = match Found::read(&path)? {
            Found::Profiles(file) => file,
            Found::Nothing => {
                return Err(refused(format!("is not known: there is no {shown}; log in with the phala command line")));
            }
            Found::OtherSchema => {
                return Err(refused(format!("is not known: {shown} has an unknown schema_version")));
            }
        };
        let Some(profile) = file.named(name)? else {
            return Err(refused(format!("is not known; {shown} has {}", file.known())));
        };
        if profile.token.is_none() {
            return Err(refused(format!("has no token in {shown}; log in again with the phala command line")));
        }
        self.credential = None;
        if profile.api_prefix.is_some() {
            self.base_url = None;
        }
        self.fill_from(profile);
        Ok(self)
    }

    fn filled_from(mut self, environment: &Environment<'_>) -> Result<Self, ConfigError> {
        // After a named profile the current one is not used.
        let is_profile_named = matches!(self.credential, Some((_, Source::Profile { .. })));
        if self.credential.is_none() {
            self.credential = environment.api_key()?;
        }
        if self.workspace.is_none() {
            self.workspace = environment.workspace()?;
        }
        if self.base_url.is_none() {
            self.base_url = environment.base_url()?;
        }
        if is_profile_named || (self.credential.is_some() && self.base_url.is_some()) {
            return Ok(self);
        }
        let token = environment.token()?;
        let Some(path) = environment.profile_file() else {
            self.credential = self.credential.or(token);
            return Ok(self);
        };
        let named = match environment.profile()? {
            Some(name) => Some((name, PROFILE_VARIABLE)),
            None => self.project_profile.take().map(|name| (name, "phala.toml")),
        };
        let unknown = |(name, from): &(String, &str), problem: String| {
            Err(ConfigError::new("profile", &shown(name.trim(), 160), format!("of {from} is not known{problem}")))
        };
        let shown_path = printable(&path.to_string_lossy(), 160);
        let current = Found::read(&path).and_then(|found| match found {
            Found::Nothing => match &named {
                Some(named) => unknown(named, format!(": there is no {shown_path}")),
                None => Ok(None),
            },
            Found::OtherSchema => {
                let note =
                    format!("{PROFILE_FILE_FIELD} \"{shown_path}\" has an unknown schema_version, and is not used");
                self.notes.push(note);
                Ok(None)
            }
            Found::Profiles(file) => match &named {
                Some(named) => match file.named(&named.0)? {
                    Some(profile) => Ok(Some(profile)),
                    None => unknown(named, format!("; {shown_path} has {}", file.known())),
                },
                None => file.current(),
            },
        });
        match current {
            Ok(Some(profile)) => self.fill_from(profile),
            Ok(None) => {}
            Err(error) if token.is_some() => self.notes.push(error.to_string()),
            Err(error) if self.credential.is_none() => self.file_error = Some(error),
            Err(error) => self.notes.push(error.to_string()),
        }
        // A token is used only where there is no key.
        self.credential = self.credential.or(token);
        if self.credential.is_none() {
            self.file_without_key = Some(path);
        }
        Ok(self)
    }

    /// Sets what is still open.
    fn fill_from(&mut self, profile: Profile) {
        let Profile { token, api_prefix, source } = profile;
        if self.credential.is_none() {
            self.credential = token.map(|token| (Given::ApiKey(token), source.clone()));
        }
        if self.base_url.is_none() {
            self.base_url = api_prefix.map(|url| (url, source));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{API_KEY_VARIABLE, BASE_URL_VARIABLE, BaseUrl, Settings, Sources, TOKEN_VARIABLE, WORKSPACE_VARIABLE};
    use std::cell::Cell;
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};
    use std::{env, fs};

    /// A home directory that is removed at the end.
    struct Home(PathBuf);

    impl Home {
        /// `name` must be the test's own.
        fn new(name: &str) -> Self {
            let home = env::temp_dir().join(format!("cvm-watch-{}-{name}", std::process::id()));
            fs::create_dir_all(home.join(".phala-cloud")).unwrap();
            Self(home)
        }

        fn with(self, contents: impl AsRef<[u8]>) -> Self {
            fs::write(self.file(), contents).unwrap();
            self
        }

        fn file(&self) -> PathBuf {
            self.0.join(".phala-cloud/credentials.json")
        }

        fn build(&self, profile: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
            self.finish(Settings::builder(), profile, variables)
        }

        fn finish(
            &self,
            mut builder: SettingsBuilder,
            profile: Option<&str>,
            variables: &[(&str, &str)],
        ) -> Result<Settings, ConfigError> {
            let variable = |name: &'static str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
            };
            let home = || Some(self.0.clone());
            let environment = Environment::new(&variable, &home);
            if let Some(name) = profile {
                builder = builder.overridden_from_profile(name, &environment)?;
            }
            builder.filled_from(&environment)?.build()
        }

        fn source(&self, name: &str) -> Source {
            Source::Profile { name: name.to_owned(), path: self.file() }
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const PROFILES: &str = r#"{
        "schema_version": 1,
        "current_profile": "work",
        "profiles": {
            "work": { "token": "phak_work", "api_prefix": "https://work.example/api" },
            "home": { "token": "phak_home", "api_prefix": "https://cloud-api.phala.com/api/v1" },
            "bare": { "token": "phak_bare" },
            "empty": { "api_prefix": "https://empty.example" },
            "cut": { "token": "phak_\ncut", "api_prefix": "https://cut.example" },
            "lost": { "token": "phak_lost", "api_prefix": "nowhere" }
        }
    }"#;

    #[test]
    fn the_profiles_are_named_in_order() {
        let home = Home::new("names").with(PROFILES);
        let no_variable = |_| None;
        let directory = || Some(home.0.clone());
        let environment = Environment::new(&no_variable, &directory);
        assert_eq!(names_of(&environment).unwrap(), ["bare", "cut", "empty", "home", "lost", "work"]);
        fs::write(home.file(), "{").unwrap();
        assert!(names_of(&environment).unwrap_err().to_string().contains("is not valid JSON"));
        fs::remove_file(home.file()).unwrap();
        assert_eq!(names_of(&environment).unwrap(), [""; 0]);
        assert_eq!(names_of(&Environment::new(&no_variable, &|| None)).unwrap(), [""; 0]);
    }

    const KEY: (&str, &str) = (API_KEY_VARIABLE, "phak_env");
    const URL: (&str, &str) = (BASE_URL_VARIABLE, "https://env.example");

    fn key(settings: &Settings) -> &str {
        settings.credential.as_ref().and_then(|given| given.credential()).map_or("", |key| key.expose())
    }

    /// The key, the base URL, and whether the program should warn that they are from two places.
    fn found(settings: &Settings) -> (&str, String, bool) {
        (key(settings), settings.base_url().to_string(), settings.sources().are_mixed())
    }

    #[test]
    fn each_setting_comes_from_the_first_source_that_has_it() {
        let home = Home::new("order").with(PROFILES);
        for (profile, variables, expected) in [
            (None, &[][..], ("phak_work", "https://work.example/api", false)),
            (None, &[KEY], ("phak_env", "https://work.example/api", true)),
            (None, &[URL], ("phak_work", "https://env.example", true)),
            (None, &[KEY, URL], ("phak_env", "https://env.example", false)),
            (
                None,
                &[(API_KEY_VARIABLE, " "), (BASE_URL_VARIABLE, "")],
                ("phak_work", "https://work.example/api", false),
            ),
            (Some("work"), &[KEY, URL], ("phak_work", "https://work.example/api", false)),
            (Some("home"), &[KEY, URL], ("phak_home", BaseUrl::DEFAULT, false)),
            (Some("bare"), &[KEY, URL], ("phak_bare", "https://env.example", true)),
            // The current profile's base URL is not for the key of another one.
            (Some("bare"), &[], ("phak_bare", BaseUrl::DEFAULT, false)),
        ] {
            let settings = home.build(profile, variables).unwrap();
            assert_eq!(found(&settings), (expected.0, expected.1.to_owned(), expected.2), "{profile:?} {variables:?}");
        }
    }

    #[test]
    fn what_the_caller_gave_comes_first_and_goes_with_any_key() {
        let home = Home::new("given").with(PROFILES);
        let given = || Settings::builder().base_url("https://given.example");
        let settings = home.finish(given(), None, &[KEY, URL]).unwrap();
        assert_eq!(found(&settings), ("phak_env", "https://given.example".to_owned(), false));
        let settings = home.finish(given(), None, &[]).unwrap();
        assert_eq!(found(&settings), ("phak_work", "https://given.example".to_owned(), false));
        assert_eq!(settings.sources().credential(), Some(&home.source("work")));
        assert_eq!(settings.sources().base_url(), &Source::Given);
        // A profile that is named later is the later word.
        let settings = home.finish(given().api_key("phak_given"), Some("home"), &[KEY, URL]).unwrap();
        assert_eq!(found(&settings), ("phak_home", BaseUrl::DEFAULT.to_owned(), false));
        let settings = home.finish(given(), Some("bare"), &[KEY, URL]).unwrap();
        assert_eq!(found(&settings), ("phak_bare", "https://given.example".to_owned(), false));
    }

    #[test]
    fn phala_clouds_own_base_url_in_a_profile_goes_with_any_key() {
        let home = Home::new("own").with(PROFILES.replace(r#"file": "work"#, r#"file": "home"#));
        let settings = home.build(None, &[KEY]).unwrap();
        assert_eq!(found(&settings), ("phak_env", BaseUrl::DEFAULT.to_owned(), false));
        assert_eq!(settings.sources().base_url(), &home.source("home"));
    }

    #[test]
    fn the_profile_is_that_of_the_environment_then_the_project_then_the_current_one() {
        let home = Home::new("named-by").with(PROFILES);
        let project = || Settings::builder().project_profile("home\n");
        let named = (PROFILE_VARIABLE, " bare ");
        assert_eq!(key(&home.finish(project(), None, &[named]).unwrap()), "phak_bare");
        assert_eq!(key(&home.finish(project(), None, &[(PROFILE_VARIABLE, " ")]).unwrap()), "phak_home");
        assert_eq!(key(&home.finish(project(), Some("work"), &[named]).unwrap()), "phak_work");
        assert_eq!(key(&home.finish(project(), None, &[named, KEY]).unwrap()), "phak_env");
        let blank = Settings::builder().project_profile(" ");
        assert_eq!(key(&home.finish(blank, None, &[]).unwrap()), "phak_work");
        let error = home.build(None, &[(PROFILE_VARIABLE, "lots")]).unwrap_err().to_string();
        assert!(error.starts_with(r#"profile "lots" of PHALA_CLOUD_PROFILE is not known; "#), "{error}");
        let missing = Settings::builder().project_profile("lots");
        let error = home.finish(missing.clone(), None, &[]).unwrap_err().to_string();
        assert!(error.starts_with(r#"profile "lots" of phala.toml is not known; "#), "{error}");
        // Where the key is set, it is only a note.
        assert_eq!(home.finish(missing, None, &[KEY]).unwrap().sources().notes().len(), 1);
    }

    #[test]
    fn an_oidc_token_is_used_only_where_there_is_no_key() {
        let token = (TOKEN_VARIABLE, "eyJ_token");
        let home = Home::new("token").with(PROFILES);
        assert_eq!(key(&home.build(None, &[token]).unwrap()), "phak_work");
        assert_eq!(key(&home.build(None, &[token, KEY]).unwrap()), "phak_env");
        let home = Home::new("token-alone");
        for variables in [&[token][..], &[token, URL], &[token, (API_KEY_VARIABLE, " ")]] {
            let settings = home.build(None, variables).unwrap();
            assert_eq!(key(&settings), "eyJ_token");
            assert_eq!(settings.sources().credential(), Some(&Source::Variable(TOKEN_VARIABLE)));
        }
        let home = home.with("{");
        let settings = home.build(None, &[token]).unwrap();
        assert_eq!((key(&settings), settings.sources().notes().len()), ("eyJ_token", 1));
    }

    #[test]
    fn a_workspace_comes_from_the_environment_unless_it_is_given() {
        let home = Home::new("workspace").with(PROFILES);
        let variable = (WORKSPACE_VARIABLE, " my-team ");
        assert_eq!(home.build(None, &[variable]).unwrap().workspace(), Some("my-team"));
        let given = Settings::builder().workspace("other");
        assert_eq!(home.finish(given, None, &[variable]).unwrap().workspace(), Some("other"));
        assert_eq!(home.build(None, &[(WORKSPACE_VARIABLE, "")]).unwrap().workspace(), None);
    }

    #[test]
    fn the_file_is_not_read_when_nothing_is_open() {
        let looked = Cell::new(0);
        let home = || {
            looked.set(looked.get() + 1);
            None
        };
        let variable = |name: &'static str| Some(OsString::from(if name == API_KEY_VARIABLE { "phak" } else { "x" }));
        let environment = Environment::new(&variable, &home);
        let _ = Settings::builder().filled_from(&environment).unwrap();
        let given = Settings::builder().base_url("x");
        let key_only = |name: &'static str| (name == API_KEY_VARIABLE).then(|| OsString::from("phak"));
        let _ = given.filled_from(&Environment::new(&key_only, &home)).unwrap();
        assert_eq!(looked.get(), 0);
        let _ = Settings::builder().filled_from(&Environment::new(&key_only, &home)).unwrap();
        assert_eq!(looked.get(), 1);
    }

    #[test]
    fn the_directory_is_the_one_that_is_set_and_blank_counts_as_unset() {
        let (here, there) = (Home::new("here").with(PROFILES), Home::new("there"));
        let elsewhere = |directory: &Path| here.build(None, &[(PROFILES_VARIABLE, directory.to_str().unwrap())]);
        let error = elsewhere(&there.0).unwrap_err().to_string();
        assert!(error.contains(there.0.join("credentials.json").to_str().unwrap()), "{error}");
        let there = there.with(PROFILES.replace("phak_work", "phak_there"));
        assert_eq!(key(&elsewhere(&there.0.join(".phala-cloud")).unwrap()), "phak_there");
        assert_eq!(key(&elsewhere(Path::new(" ")).unwrap()), "phak_work");
        let homeless = Environment::new(&|_| None, &|| Some(PathBuf::new()));
        assert_eq!(homeless.profile_file(), None);
    }

    #[test]
    fn a_profile_that_was_named_must_be_there_and_have_a_token() {
        let home = Home::new("named");
        let refused = |name: &str| home.build(Some(name), &[KEY, URL]).unwrap_err().to_string();
        let path = home.file();
        let path = path.to_str().unwrap();
        assert_eq!(
            refused("work"),
            format!(r#"profile "work" is not known: there is no {path}; log in with the phala command line"#)
        );
        fs::write(home.file(), r#"{ "schema_version": 2, "profiles": {} }"#).unwrap();
        assert_eq!(refused("work"), format!(r#"profile "work" is not known: {path} has an unknown schema_version"#));
        fs::write(home.file(), PROFILES).unwrap();
        assert_eq!(
            refused("w\nrk\n"),
            format!(r#"profile "w\nrk" is not known; {path} has the profiles bare, cut, empty, home, lost, work"#)
        );
        assert!(refused("empty").starts_with(&format!(r#"profile "empty" has no token in {path}; "#)));
        assert_eq!(refused(""), "profile must not be empty");
    }

    #[test]
    fn a_broken_file_matters_only_where_it_is_needed() {
        let home = Home::new("broken").with(r#"{ "profiles": phak_1"#);
        let path = home.file();
        let path = path.to_str().unwrap();
        let error = home.build(None, &[URL]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(r#"profile file "{path}" is not valid JSON (line 1, column 15); "#)),
            "{error}"
        );
        assert_eq!(home.build(Some("work"), &[KEY, URL]).unwrap_err().to_string(), error);
        let settings = home.build(None, &[KEY]).unwrap();
        assert_eq!(found(&settings), ("phak_env", BaseUrl::DEFAULT.to_owned(), false));
        assert_eq!(settings.sources().notes(), [error]);
        assert_eq!(home.build(None, &[KEY, URL]).unwrap().sources().notes(), [""; 0]);
        let home = home.with(r#"{ "schema_version": 9 }"#);
        let settings = home.build(None, &[KEY]).unwrap();
        assert_eq!(
            settings.sources().notes(),
            [format!(r#"profile file "{path}" has an unknown schema_version, and is not used"#)]
        );
    }

    #[test]
    fn what_is_no_file_or_too_large_is_refused_without_waiting_for_its_end() {
        let home = Home::new("large").with(format!("{}{PROFILES}", " ".repeat((1 << 20) - PROFILES.len())));
        assert_eq!(key(&home.build(None, &[]).unwrap()), "phak_work");
        let home = home.with(format!("{}{PROFILES}", " ".repeat((1 << 20) - PROFILES.len() + 1)));
        let error = home.build(None, &[]).unwrap_err().to_string();
        assert!(error.contains("cannot be read: it is larger than 1048576 bytes; "), "{error}");
        fs::remove_file(home.file()).unwrap();
        fs::create_dir(home.file()).unwrap();
        let error = home.build(None, &[]).unwrap_err().to_string();
        assert!(error.contains("cannot be read: it is not a file; "), "{error}");
    }

    #[test]
    fn without_a_key_anywhere_the_error_says_where_one_was_looked_for() {
        let home = Home::new("nowhere");
        let expected = format!(
            "api key is missing; set PHALA_CLOUD_API_KEY to your Phala Cloud API key, or log in with the phala command \
             line (no key was found in {})",
            home.file().display()
        );
        assert_eq!(home.build(None, &[URL]).unwrap_err().to_string(), expected);
        let home =
            home.with(r#"{ "schema_version": 1, "current_profile": "a", "profiles": { "a": { "token": "" } } }"#);
        assert_eq!(home.build(None, &[]).unwrap_err().to_string(), expected);
        // This machine needs none.
        let settings = home.build(None, &[(BASE_URL_VARIABLE, "http://127.0.0.1:1")]).unwrap();
        assert_eq!(settings.sources().credential(), None);
    }

    /// Contract row 25.
    #[test]
    fn what_a_profile_holds_is_refused_by_its_place_and_a_token_never_shown() {
        let home = Home::new("held").with(PROFILES);
        let refused = |name: &str| {
            let error = home.build(Some(name), &[]).unwrap_err().to_string();
            assert!(!error.contains("phak"), "{error}");
            error.replace(home.file().to_str().unwrap(), "FILE")
        };
        assert_eq!(
            refused("cut"),
            r#"profile file "FILE" has in profile "cut" what cannot be used: api key has the control byte 0x0a at position 5; remove it"#
        );
        let lost = refused("lost");
        let expected = r#"profile file "FILE" has in profile "lost" what cannot be used: base url "nowhere" is not"#;
        assert!(lost.starts_with(expected), "{lost}");
    }

    #[test]
    fn sources_and_builders_show_no_token() {
        let home = Home::new("debug").with(PROFILES);
        let settings = home.build(None, &[]).unwrap();
        let sources: &Sources = settings.sources();
        let shown = format!("{settings:?} {sources:?} {}", sources.base_url());
        assert!(!shown.contains("phak"), "{shown}");
    }
}
