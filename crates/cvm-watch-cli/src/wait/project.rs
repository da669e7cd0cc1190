//! The project's `phala.toml`: the CVM, the profile and the version of the API that it names. It is read in the
//! working directory only, and never written.

use std::io::ErrorKind;
use std::path::Path;

use toml::{Table, Value};

use crate::input;

/// The file's name.
pub(super) const FILE: &str = "phala.toml";
/// The most bytes of the file.
const MOST_BYTES: u64 = 64 << 10;
/// The fields of which one names the CVM.
const IDENTIFIERS: [&str; 5] = ["id", "uuid", "app_id", "instance_id", "name"];

/// What the file says. A blank field counts as missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) cvm: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) api_version: Option<String>,
}

impl Project {
    /// Reads the file; without one nothing is named.
    ///
    /// # Errors
    ///
    /// One sentence that names the file, for one that cannot be read or has a field that cannot be used.
    pub(super) fn read() -> Result<Self, String> {
        Self::read_from(Path::new(FILE))
    }

    fn read_from(path: &Path) -> Result<Self, String> {
        let project = match input::contents(path, MOST_BYTES) {
            Ok(contents) => Self::parse(&contents),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        project.map_err(|problem| format!("{FILE} {problem}"))
    }

    fn parse(contents: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(contents).map_err(|_| "is not UTF-8".to_owned())?;
        // Some editors put a byte order mark first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let table: Table = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            match before.map(|before| before.matches('\n').count() + 1) {
                Some(line) => format!("is not valid TOML (line {line})"),
                None => "is not valid TOML".to_owned(),
            }
        })?;
        let mut named = Vec::new();
        for field in IDENTIFIERS {
            named.extend(text_of(&table, field)?.map(|id| (field, id)));
        }
        if let [(first, _), (second, _), ..] = named.as_slice() {
            return Err(format!("has both \"{first}\" and \"{second}\"; name the CVM by one of them"));
        }
        let (profile, api_version) = (text_of(&table, "profile")?, text_of(&table, "api_version")?);
        Ok(Self { cvm: named.pop().map(|(_, id)| id), profile, api_version })
    }
}

/// The text of a field, trimmed; `None` if it is blank or missing.
fn text_of(table: &Table, field: &str) -> Result<Option<String>, String> {
    match table.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => {
            let text = text.trim();
            if text.contains(char::is_control) {
                return Err(format!("has a control character in \"{field}\"; remove it"));
            }
            Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
        }
        Some(other) => {
            Err(format!("has the type {} in \"{field}\", where text in quotes is expected", other.type_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(contents: &str) -> Result<Project, String> {
        Project::parse(contents.as_bytes())
    }

    #[test]
    fn each_identifier_names_the_cvm() {
        for field in IDENTIFIERS {
            let project = parse(&format!("{field} = \" web \"")).unwrap();
            assert_eq!(project.cvm.as_deref(), Some("web"), "{field}");
        }
        let contents = "\u{feff}# the shop\r\nname = 'web'\r\nid = \"\"\r\nprofile = \"work\"\r\napi_version = \
                        \"2026-05-22\"\r\nregion = 5\r\n[build]\r\nname = \"other\"\r\n";
        let text = |text: &str| Some(text.to_owned());
        let expected = Project { cvm: text("web"), profile: text("work"), api_version: text("2026-05-22") };
        assert_eq!(parse(contents).unwrap(), expected);
        assert_eq!(parse("").unwrap(), Project::default());
        assert_eq!(parse("name = \" \"\nprofile = \"\"\napi_version = \"\\t\"").unwrap(), Project::default());
    }

    #[test]
    fn what_cannot_be_used_is_one_sentence_that_names_the_field() {
        let deep = format!("name = {}", "[".repeat(60_000));
        for (contents, expected) in [
            ("name = \"a\"\nid = \"b\"", r#"has both "id" and "name"; name the CVM by one of them"#),
            ("id = 5", r#"has the type integer in "id", where text in quotes is expected"#),
            ("profile = true", r#"has the type boolean in "profile", where text in quotes is expected"#),
            ("api_version = 2026-05-22", r#"has the type datetime in "api_version", where text in quotes is expected"#),
            ("[name]", r#"has the type table in "name", where text in quotes is expected"#),
            ("name = [\"a\"]", r#"has the type array in "name", where text in quotes is expected"#),
            ("name = \"a\\nb\"", r#"has a control character in "name"; remove it"#),
            ("profile = \"a\\u001b[2J\"", r#"has a control character in "profile"; remove it"#),
            ("# a\nname = hunter2", "is not valid TOML (line 2)"),
            ("name = \"a\"\nname = \"b\"", "is not valid TOML (line 2)"),
            ("{}", "is not valid TOML (line 1)"),
            (&deep, "is not valid TOML (line 1)"),
        ] {
            let shown: String = contents.chars().take(40).collect();
            assert_eq!(parse(contents).unwrap_err(), expected, "{shown}");
        }
        assert_eq!(Project::parse(b"name = \"\xff\"").unwrap_err(), "is not UTF-8");
    }

    #[test]
    fn a_missing_file_names_nothing_and_a_directory_is_none() {
        let folder = std::env::temp_dir();
        let missing = folder.join(format!("cvm-watch-{}-no-such.toml", std::process::id()));
        assert_eq!(Project::read_from(&missing).unwrap(), Project::default());
        assert_eq!(Project::read_from(&folder).unwrap_err(), "phala.toml cannot be read: it is not a file");
    }
}
