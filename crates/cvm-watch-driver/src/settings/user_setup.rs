//! The set-up that a user of the `phala` command line has: environment and profiles.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use cvm_watch_core::{ConfigError, printable};

use super::profiles::{FIELD, Found, Profile};
use super::{SettingsBuilder, Source, Variable, base_url_from, key_from};

/// The environment variable that names the directory of the `phala` command line's files
/// (source: the `phala` command line); `~/.phala-cloud` unless set.
pub const PROFILES_VARIABLE: &str = "PHALA_CLOUD_DIR";

/// The profiles' file in that directory.
const FILE_NAME: &str = "credentials.json";

impl SettingsBuilder {
    /// Takes the key and the base URL from this profile of the `phala` command line, whatever the
    /// environment says. A profile without a base URL leaves that open.
    ///
    /// The file is `credentials.json` in the directory that `PHALA_CLOUD_DIR` names, or in
    /// `~/.phala-cloud`; 1 MiB at most.
    ///
    /// # Errors
    ///
    /// No such file or profile (the error lists the names there are), a profile without a token, a
    /// file that cannot be read. No error shows a token.
    pub fn from_profile(self, name: impl AsRef<str>) -> Result<Self, ConfigError> {
        self.with_profile(name.as_ref(), &Surroundings::real())
    }

    /// Takes what was not given so far, key and base URL, from the environment, and what that does
    /// not have from the current profile of the `phala` command line. The profile file is only read
    /// if something is still open then, and not for the sake of a profile that was named.
    ///
    /// ```no_run
    /// let settings = cvm_watch_driver::Settings::builder().from_user_setup()?.build()?;
    /// if settings.origins().are_mixed() {
    ///     eprintln!("the key is from one place and the base URL from another");
    /// }
    /// # Ok::<(), cvm_watch_driver::core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A variable whose value is not Unicode; without a key, a profile file that is there but
    /// cannot be used. With one, that is a [note](super::Origins::notes).
    pub fn from_user_setup(self) -> Result<Self, ConfigError> {
        self.with_user_setup(&Surroundings::real())
    }

    fn with_profile(mut self, name: &str, surroundings: &Surroundings<'_>) -> Result<Self, ConfigError> {
        let refused = |problem: String| ConfigError::new("profile", name, problem);
        if name.is_empty() {
            return Err(refused("must not be empty".to_owned()));
        }
        let Some(path) = surroundings.profile_file() else {
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
        self.api_key = None;
        if profile.api_prefix.is_some() {
            self.base_url = None;
        }
        self.fill_in(profile);
        Ok(self)
    }

    fn with_user_setup(mut self, surroundings: &Surroundings<'_>) -> Result<Self, ConfigError> {
        // With a profile that was named, the current one has no say.
        let named = matches!(self.api_key, Some((_, Source::Profile { .. })));
        if self.api_key.is_none() {
            self.api_key = key_from(surroundings.variable)?;
        }
        if self.base_url.is_none() {
            self.base_url = base_url_from(surroundings.variable)?;
        }
        if named || (self.api_key.is_some() && self.base_url.is_some()) {
            return Ok(self);
        }
        let Some(path) = surroundings.profile_file() else { return Ok(self) };
        let current = Found::read(&path).and_then(|found| match found {
            Found::Nothing => Ok(None),
            Found::OtherSchema => {
                let path = printable(&path.to_string_lossy(), 160);
                self.notes.push(format!("{FIELD} \"{path}\" has an unknown schema_version, and is not used"));
                Ok(None)
            }
            Found::Profiles(file) => file.current(),
        });
        match current {
            Ok(Some(profile)) => self.fill_in(profile),
            Ok(None) => {}
            Err(error) if self.api_key.is_none() => return Err(error),
            Err(error) => self.notes.push(error.to_string()),
        }
        if self.api_key.is_none() {
            self.without_key = Some(path);
        }
        Ok(self)
    }

    /// Takes from the profile what is still open.
    fn fill_in(&mut self, profile: Profile) {
        let Profile { token, api_prefix, source } = profile;
        if self.api_key.is_none() {
            self.api_key = token.map(|token| (token, source.clone()));
        }
        if self.base_url.is_none() {
            self.base_url = api_prefix.map(|url| (url, source));
        }
    }
}

/// What surrounds the program, as far as settings are looked for in it.
struct Surroundings<'a> {
    variable: Variable<'a>,
    home: &'a dyn Fn() -> Option<PathBuf>,
}

impl Surroundings<'_> {
    fn real() -> Self {
        Self { variable: &|name| env::var_os(name), home: &env::home_dir }
    }

    fn profile_file(&self) -> Option<PathBuf> {
        let is_set = |directory: &OsString| !directory.to_string_lossy().trim().is_empty();
        let directory = match (self.variable)(PROFILES_VARIABLE).filter(is_set) {
            Some(directory) => directory.into(),
            None => (self.home)().filter(|home| !home.as_os_str().is_empty())?.join(".phala-cloud"),
        };
        Some(directory.join(FILE_NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{API_KEY_VARIABLE, BASE_URL_VARIABLE, BaseUrl, Origins, Settings};
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;

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
            let surroundings = Surroundings { variable: &variable, home: &|| Some(self.0.clone()) };
            if let Some(name) = profile {
                builder = builder.with_profile(name, &surroundings)?;
            }
            builder.with_user_setup(&surroundings)?.build()
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
            "cut": { "token": "phak_cut\n", "api_prefix": "https://cut.example" },
            "lost": { "token": "phak_lost", "api_prefix": "nowhere" }
        }
    }"#;

    const KEY: (&str, &str) = (API_KEY_VARIABLE, "phak_env");
    const URL: (&str, &str) = (BASE_URL_VARIABLE, "https://env.example");

    fn key(settings: &Settings) -> &str {
        settings.api_key.as_ref().map_or("", |key| key.expose())
    }

    /// Key, base URL, and whether a person should be told that they are from two places.
    fn found(settings: &Settings) -> (&str, String, bool) {
        (key(settings), settings.base_url().to_string(), settings.origins().are_mixed())
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
        assert_eq!(settings.origins().api_key(), Some(&home.source("work")));
        assert_eq!(settings.origins().base_url(), &Source::Given);
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
        assert_eq!(settings.origins().base_url(), &home.source("home"));
    }

    #[test]
    fn the_file_is_not_read_when_nothing_is_open() {
        let looked = Cell::new(0);
        let home = || {
            looked.set(looked.get() + 1);
            None
        };
        let variable = |name: &'static str| Some(OsString::from(if name == API_KEY_VARIABLE { "phak" } else { "x" }));
        let surroundings = Surroundings { variable: &variable, home: &home };
        let _ = Settings::builder().with_user_setup(&surroundings).unwrap();
        let given = Settings::builder().base_url("x");
        let key_only = |name: &'static str| (name == API_KEY_VARIABLE).then(|| OsString::from("phak"));
        let _ = given.with_user_setup(&Surroundings { variable: &key_only, home: &home }).unwrap();
        assert_eq!(looked.get(), 0);
        let _ = Settings::builder().with_user_setup(&Surroundings { variable: &key_only, home: &home }).unwrap();
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
        let homeless = Surroundings { variable: &|_| None, home: &|| Some(PathBuf::new()) };
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
            refused("wrk\n"),
            format!(r#"profile "wrk\n" is not known; {path} has the profiles bare, cut, empty, home, lost, work"#)
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
        assert_eq!(settings.origins().notes(), [error]);
        assert_eq!(home.build(None, &[KEY, URL]).unwrap().origins().notes(), [""; 0]);
        let home = home.with(r#"{ "schema_version": 9 }"#);
        let settings = home.build(None, &[KEY]).unwrap();
        assert_eq!(
            settings.origins().notes(),
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
        assert_eq!(settings.origins().api_key(), None);
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
            r#"profile file "FILE" has in profile "cut" what cannot be used: api key has the control byte 0x0a at position 8; remove it"#
        );
        let lost = refused("lost");
        let expected = r#"profile file "FILE" has in profile "lost" what cannot be used: base url "nowhere" is not"#;
        assert!(lost.starts_with(expected), "{lost}");
    }

    #[test]
    fn origins_and_builders_show_no_token() {
        let home = Home::new("debug").with(PROFILES);
        let settings = home.build(None, &[]).unwrap();
        let origins: &Origins = settings.origins();
        let shown = format!("{settings:?} {origins:?} {}", origins.base_url());
        assert!(!shown.contains("phak"), "{shown}");
    }
}
