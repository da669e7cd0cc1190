//! The profile file of the `phala` command line: its contents and how it is read. It is never
//! written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use cvm_watch_core::ConfigError;
use serde_json::{Map, Value};

use super::environment::API_KEY_VARIABLE;
use super::hidden::{Hidden, shown};
use super::sources::{PROFILE_FILE_FIELD, Source};

/// The most bytes of a profile file, enough for thousands of profiles.
const LIMIT: u64 = 1 << 20;
/// The supported version of the file's schema; a file of another version counts as absent.
const SCHEMA_VERSION: u64 = 1;
/// The profile that is used where none is current.
const DEFAULT_PROFILE: &str = "default";
/// The most names that an error lists.
const LISTED: usize = 10;

/// What was found at the path of the profile file. Neither this nor [`ProfileFile`] implements
/// `Debug`, since they hold tokens.
pub(super) enum Found {
    Nothing,
    /// A file of another schema version.
    OtherSchema,
    Profiles(ProfileFile),
}

pub(super) struct ProfileFile {
    path: PathBuf,
    current: Option<String>,
    profiles: Map<String, Value>,
}

/// One profile. A blank field counts as unset.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) token: Option<Hidden>,
    pub(super) api_prefix: Option<String>,
    pub(super) source: Source,
}

impl Found {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// Fails if the file exists but cannot be read, is larger than 1 MiB, or is not a profile file. The error names
    /// the path and what to do, and shows none of the contents.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        match contents(path) {
            Ok(contents) => Self::parse(&contents, path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::Nothing),
            Err(error) => Err(broken(path, &format!("cannot be read: {error}"))),
        }
    }

    fn parse(contents: &[u8], path: &Path) -> Result<Self, ConfigError> {
        // Some editors put a byte order mark first.
        let contents = contents.strip_prefix("\u{feff}".as_bytes()).unwrap_or(contents);
        // Untyped, because the errors of typed deserialization show the offending value.
        let mut file = match serde_json::from_slice(contents) {
            Ok(Value::Object(file)) => file,
            Ok(_) => return Err(broken(path, "does not hold a JSON object")),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                return Err(broken(path, &format!("is not valid JSON (line {line}, column {column})")));
            }
        };
        if file.get("schema_version").and_then(Value::as_u64) != Some(SCHEMA_VERSION) {
            return Ok(Self::OtherSchema);
        }
        let Some(Value::Object(profiles)) = file.remove("profiles") else {
            return Err(broken(path, "has no object \"profiles\""));
        };
        let current = text(&file, "current_profile").map_err(|problem| broken(path, &format!("has {problem}")))?;
        Ok(Self::Profiles(ProfileFile { path: path.to_owned(), current, profiles }))
    }
}

impl ProfileFile {
    /// The current profile, or else the one called `default`; `None` if there is neither.
    ///
    /// # Errors
    ///
    /// Fails if the profile does not exist or has a field that is not text.
    pub(super) fn current(&self) -> Result<Option<Profile>, ConfigError> {
        let Some(name) = &self.current else { return self.named(DEFAULT_PROFILE) };
        match self.named(name)? {
            Some(profile) => Ok(Some(profile)),
            None => {
                let (name, known) = (shown(name, 40), self.known());
                Err(broken(&self.path, &format!("has no profile \"{name}\", its current one, but {known}")))
            }
        }
    }

    /// The profile of this name, or of a workspace of this slug or name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the profile has a field that is not text.
    pub(super) fn named(&self, name: &str) -> Result<Option<Profile>, ConfigError> {
        let Some((name, profile)) = self.find(name.trim()) else { return Ok(None) };
        let wrong = |problem: &str| broken(&self.path, &format!("has in profile \"{}\" {problem}", shown(name, 40)));
        let Value::Object(profile) = profile else { return Err(wrong("no JSON object")) };
        let text = |field| text(profile, field).map_err(|problem| wrong(&problem));
        let source = Source::Profile { name: name.clone(), path: self.path.clone() };
        Ok(Some(Profile { token: text("token")?.map(Hidden), api_prefix: text("api_prefix")?, source }))
    }

    /// The profile of this name, or else of the workspace with this slug, or else name.
    fn find(&self, name: &str) -> Option<(&String, &Value)> {
        let of_workspace = |field: &str| {
            self.profiles.iter().find(|(_, profile)| {
                let found = profile.get("workspace").and_then(|workspace| workspace.get(field)).and_then(Value::as_str);
                found.is_some_and(|found| found.trim() == name)
            })
        };
        let named = self.profiles.iter().find(|(known, _)| known.trim() == name);
        named.or_else(|| of_workspace("slug")).or_else(|| of_workspace("name"))
    }

    pub(super) fn names(self) -> Vec<String> {
        self.profiles.into_iter().map(|(name, _)| name).collect()
    }

    /// The names of its profiles, for an error message.
    pub(super) fn known(&self) -> String {
        let names: Vec<_> = self.profiles.keys().map(|name| shown(name, 40)).collect();
        match names.len() {
            0 => "no profile at all".to_owned(),
            count @ ..=LISTED => {
                format!("the {} {}", if count == 1 { "profile" } else { "profiles" }, names.join(", "))
            }
            count => format!("{count} others, such as {}", names.get(..LISTED).unwrap_or_default().join(", ")),
        }
    }
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would block until another process writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut contents = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("it is larger than {LIMIT} bytes")));
    }
    Ok(contents)
}

/// The text of a field; `None` if it is blank, `null` or missing.
fn text(object: &Map<String, Value>, field: &str) -> Result<Option<String>, String> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.trim().is_empty())),
        Some(_) => Err(format!("something else than text as \"{field}\"")),
    }
}

fn broken(path: &Path, problem: &str) -> ConfigError {
    let problem = format!("{problem}; log in again with the phala command line, or set {} instead", API_KEY_VARIABLE);
    ConfigError::new(PROFILE_FILE_FIELD, &path.to_string_lossy(), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "schema_version": 1,
        "current_profile": "work",
        "profiles": {
            "work": { "token": "phak_work", "api_prefix": "https://work.example/api", "user": { "id": 1 } },
            "bare": { "token": "phak_bare", "api_prefix": null },
            "blank": { "token": " \t", "api_prefix": "" },
            "odd": { "token": ["phak_odd"] },
            "text": "phak_text"
        }
    }"#;

    fn parse(contents: &[u8]) -> Result<Found, ConfigError> {
        Found::parse(contents, Path::new("/home/me/credentials.json"))
    }

    fn file(contents: &str) -> ProfileFile {
        match parse(contents.as_bytes()) {
            Ok(Found::Profiles(file)) => file,
            Ok(_) => panic!("{contents} counts as no file"),
            Err(error) => panic!("{error}"),
        }
    }

    fn refused(contents: &[u8]) -> String {
        let error = match parse(contents) {
            Ok(Found::Profiles(file)) => file.current().unwrap_err(),
            Ok(_) => panic!("counts as no file"),
            Err(error) => error,
        };
        let error = error.to_string();
        assert!(error.starts_with(r#"profile file "/home/me/credentials.json" "#), "{error}");
        assert!(error.contains("set PHALA_CLOUD_API_KEY instead") && !error.contains("phak"), "{error}");
        error
    }

    fn values(profile: Option<Profile>) -> Option<(Option<String>, Option<String>)> {
        profile.map(|profile| (profile.token.map(|token| token.0), profile.api_prefix))
    }

    #[test]
    fn the_current_profile_and_each_by_its_name_are_found() {
        let file = file(FILE);
        let text = |text: &str| Some(text.to_owned());
        let work = Some((text("phak_work"), text("https://work.example/api")));
        assert_eq!(values(file.current().unwrap()), work);
        assert_eq!(values(file.named("work").unwrap()), work);
        assert_eq!(values(file.named("bare").unwrap()), Some((text("phak_bare"), None)));
        assert_eq!(values(file.named("blank").unwrap()), Some((None, None)), "blank counts as unset");
        assert_eq!(values(file.named("Work").unwrap()), None);
        assert_eq!(file.known(), "the profiles bare, blank, odd, text, work");
    }

    #[test]
    fn a_name_that_is_no_profile_is_that_of_a_workspace() {
        let file = file(
            r#"{ "schema_version": 1, "profiles": {
                "a": { "token": "phak_a", "workspace": { "slug": "team", "name": "b" } },
                "b": { "token": "phak_b", "workspace": { "slug": "other", "name": "My Team" } },
                "c": { "token": "phak_c", "workspace": { "name": "team" } },
                "default": { "token": "phak_default", "workspace": null }
            } }"#,
        );
        for (name, token) in
            [("a", "phak_a"), (" b\n", "phak_b"), ("team", "phak_a"), ("My Team ", "phak_b"), ("other", "phak_b")]
        {
            let found = file.named(name).unwrap().unwrap();
            assert_eq!(found.token.map(|token| token.0).as_deref(), Some(token), "{name}");
        }
        assert_eq!(values(file.named("Team").unwrap()), None);
        // No profile is current.
        assert_eq!(values(file.current().unwrap()), Some((Some("phak_default".to_owned()), None)));
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_are_skipped() {
        for contents in [format!("\u{feff}{FILE}"), format!("\u{feff}{}", FILE.replace('\n', "\r\n"))] {
            assert_eq!(file(&contents).known(), "the profiles bare, blank, odd, text, work");
        }
        assert!(refused("\u{feff}\u{feff}{}".as_bytes()).contains("is not valid JSON"));
    }

    #[test]
    fn no_current_profile_is_none() {
        for current in ["", r#""current_profile": null,"#, r#""current_profile": "  ","#] {
            let contents = format!(r#"{{ {current} "profiles": {{ "a": {{}} }}, "schema_version": 1 }}"#);
            assert_eq!(values(file(&contents).current().unwrap()), None);
        }
    }

    #[test]
    fn a_file_of_another_schema_counts_as_none() {
        for version in [r#""schema_version": 2,"#, r#""schema_version": "1","#, r#""schema_version": null,"#, ""] {
            let contents = format!(r#"{{ {version} "profiles": [] }}"#);
            assert!(matches!(parse(contents.as_bytes()), Ok(Found::OtherSchema)), "{contents}");
        }
    }

    #[test]
    fn an_error_names_the_position_and_shows_nothing_of_the_content() {
        let deep = format!("{{\"phak\":{}", "[".repeat(100_000));
        for (contents, expected) in [
            (&b""[..], "is not valid JSON (line 1, column 0)"),
            (b"{\n\"token\": phak_1", "is not valid JSON (line 2, column 10)"),
            (b"{\"token\": \"phak_\xff\"}", "is not valid JSON"),
            (deep.as_bytes(), "is not valid JSON"),
            (b"\"phak_1\"", "does not hold a JSON object"),
            (b"{\"schema_version\": 1}", r#"has no object "profiles""#),
            (b"{\"schema_version\": 1, \"profiles\": \"phak_1\"}", r#"has no object "profiles""#),
            (
                br#"{"schema_version": 1, "profiles": {}, "current_profile": {"phak": 1}}"#,
                r#"has something else than text as "current_profile""#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {}, "current_profile": "a\nb"}"#,
                r#"has no profile "a\nb", its current one, but no profile at all"#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {"b": {}}, "current_profile": "a"}"#,
                r#"has no profile "a", its current one, but the profile b"#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {"a": {}}, "current_profile": "phak_1"}"#,
                r#"has no profile "***", its current one, but the profile a"#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {"phak_1": {}}, "current_profile": "a"}"#,
                r#"has no profile "a", its current one, but the profile ***"#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {"phak_1": 1}, "current_profile": "phak_1"}"#,
                r#"has in profile "***" no JSON object"#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {"a": "phak_1"}, "current_profile": "a"}"#,
                r#"has in profile "a" no JSON object"#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {"a": {"token": ["phak_1"]}}, "current_profile": "a"}"#,
                r#"has in profile "a" something else than text as "token""#,
            ),
            (
                br#"{"schema_version": 1, "profiles": {"a": {"api_prefix": 1}}, "current_profile": "a"}"#,
                r#"has in profile "a" something else than text as "api_prefix""#,
            ),
        ] {
            let error = refused(contents);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn many_profiles_are_not_all_listed() {
        let profiles: Vec<_> = (10..99).map(|number| format!(r#""p{number}": {{}}"#)).collect();
        let file = file(&format!(r#"{{ "schema_version": 1, "profiles": {{ {} }} }}"#, profiles.join(",")));
        assert_eq!(file.known(), "89 others, such as p10, p11, p12, p13, p14, p15, p16, p17, p18, p19");
    }
}
