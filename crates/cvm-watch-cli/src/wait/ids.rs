//! Which CVMs to wait for: ids on the command line, in files and on stdin.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::Read;

use cvm_watch_core::{CvmId, printable};

use super::project::{FILE, Project};
use crate::{duration, output};

/// The most bytes of one list of ids.
const MOST_BYTES: u64 = 1 << 20;

/// The CVMs that were asked for, at least one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ids {
    /// As they were given, each CVM once.
    pub(super) ids: Vec<String>,
    /// The second form of each CVM that was given again, with its first one.
    repeated: Vec<(String, String)>,
    /// Whether the only one is that of `phala.toml`.
    is_of_project: bool,
    /// Whether some may come from a list, so that their number is not known beforehand.
    are_listed: bool,
}

/// Why nothing can be waited for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The id that is no good; empty if the trouble is another one.
    pub(super) id: String,
    pub(super) message: String,
}

/// An id, and where it stands if that is in a file.
struct Given {
    id: String,
    at: Option<String>,
}

/// What the arguments name.
pub(super) struct Named {
    /// Ids; `-` is a list on stdin.
    pub(super) ids: Vec<String>,
    /// Files with lists of ids.
    pub(super) files: Vec<String>,
    /// Whether `--after-change` is given, whose value may be taken for an id.
    pub(super) has_after_change: bool,
}

impl Ids {
    /// Reads the ids on the command line and in these files; without any, takes the CVM of the project.
    ///
    /// # Errors
    ///
    /// A list that cannot be read, no id at all, or an id that is none: the first one is named, with
    /// its place, and the others are counted.
    pub(super) fn collect(named: &Named, project: &Result<Project, String>) -> Result<Self, Refused> {
        let Named { ids, files, has_after_change } = named;
        if ids.is_empty() && files.is_empty() {
            return Self::of_project(project);
        }
        let mut stdin_is_read = false;
        let mut given = Vec::new();
        let named = ids.iter().map(|id| (id.as_str(), id == "-"));
        for (name, is_list) in named.chain(files.iter().map(|file| (file.as_str(), true))) {
            match (is_list, name) {
                (false, id) if *has_after_change && looks_like_a_duration(id) => {
                    let value = format!("\"{id}\" is taken for an id; a value of --after-change needs an equals sign");
                    return Err(Refused::of(&format!("{value}: --after-change={id}")));
                }
                (false, id) => given.push(Given { id: id.to_owned(), at: None }),
                (true, "-") => {
                    if std::mem::replace(&mut stdin_is_read, true) {
                        return Err(Refused::of("stdin can be read once only; leave out a -"));
                    }
                    given.extend(list("stdin", output::Input::lock())?);
                }
                (true, file) => {
                    let name = format!("\"{}\"", printable(file, 100));
                    let open = File::open(file);
                    let open = open.map_err(|error| Refused::of(&format!("cannot open {name}: {error}")))?;
                    given.extend(list(&name, open)?);
                }
            }
        }
        let are_listed = stdin_is_read || !files.is_empty();
        Ok(Self { are_listed, ..Self::check(given)? })
    }

    fn of_project(project: &Result<Project, String>) -> Result<Self, Refused> {
        let project = project.as_ref();
        let project = project.map_err(|problem| Refused::of(&format!("no id is given, and {problem}")))?;
        let Some(id) = project.cvm.clone() else {
            let ways = "name a CVM, give a list with --ids-from, or name one in phala.toml";
            return Err(Refused::of(&format!("no id is given; {ways}; try --help")));
        };
        Ok(Self { is_of_project: true, ..Self::check(vec![Given { id, at: Some(FILE.to_owned()) }])? })
    }

    /// What to report of an id that was not given.
    pub(super) fn note(&self, purpose: &str) -> Option<String> {
        let id = self.ids.first().filter(|_| self.is_of_project)?;
        Some(format!("{purpose} \"{}\" of {FILE}", printable(id, 100)))
    }

    /// The id, if one was named. A list is reported as one, however many ids it has.
    pub(super) fn only(&self) -> Option<&str> {
        match self.ids.as_slice() {
            [id] if !self.are_listed => Some(id),
            _ => None,
        }
    }

    /// What to report of ids that look like several, which the endpoint would not know.
    pub(super) fn doubt_of_separators(&self) -> Option<String> {
        let is_several = |id: &&String| id.contains([',', ';']) || id.contains(char::is_whitespace);
        let mut several = self.ids.iter().filter(is_several);
        let first = printable(several.next()?, 100);
        Some(match several.count() {
            0 => format!("id \"{first}\" is taken for one id; separate ids by spaces, or by lines in a list"),
            more => format!(
                "id \"{first}\" and {more} more are taken for one id each; separate ids by spaces, or by lines in a list"
            ),
        })
    }

    /// What to tell of ids that were given more than once.
    pub(super) fn doubt(&self) -> Option<String> {
        let ((again, first), others) = self.repeated.split_first()?;
        let is_same_form = again == first;
        let (again, first) = (printable(again, 100), printable(first, 100));
        Some(match others.len() {
            0 if !is_same_form => format!("id \"{again}\" is the same CVM as \"{first}\"; it counts once"),
            0 => format!("id \"{first}\" is given more than once; it counts once"),
            others => {
                format!("{} ids are given more than once, such as \"{again}\"; each counts once", others + 1)
            }
        })
    }

    fn check(given: Vec<Given>) -> Result<Self, Refused> {
        // Each CVM with its first form, until it is given again.
        let mut seen = HashMap::<CvmId, Option<String>>::new();
        let mut these = Self { ids: Vec::new(), repeated: Vec::new(), is_of_project: false, are_listed: false };
        let mut refused: Option<Refused> = None;
        let mut more = 0_usize;
        for Given { id, at } in given {
            match CvmId::new(&id).map(|cvm| seen.entry(cvm)) {
                Ok(Entry::Vacant(place)) => {
                    place.insert(Some(id.clone()));
                    these.ids.push(id);
                }
                Ok(Entry::Occupied(mut first)) => {
                    these.repeated.extend(first.get_mut().take().map(|first| (id, first)));
                }
                Err(_) if refused.is_some() => more += 1,
                Err(error) => {
                    let place = at.map(|at| format!("{at}: ")).unwrap_or_default();
                    refused = Some(Refused { id, message: format!("{place}{error}") });
                }
            }
        }
        match refused {
            Some(mut refused) => {
                match more {
                    0 => {}
                    1 => refused.message.push_str("; another id is refused too"),
                    more => refused.message.push_str(&format!("; {more} more ids are refused too")),
                }
                Err(refused)
            }
            None => Ok(these),
        }
    }
}

impl Refused {
    fn of(message: &str) -> Self {
        Self { id: String::new(), message: message.to_owned() }
    }
}

/// The ids of a list, one a line. Blank lines do not count, nor does what follows a `#` at the
/// beginning of a line or after a space.
fn list(name: &str, from: impl Read) -> Result<Vec<Given>, Refused> {
    let refused = |problem: &str| Refused::of(&format!("{name} {problem}"));
    let mut bytes = Vec::new();
    let read = from.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Refused::of(&format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refused("is larger than 1 MiB, which is no list of ids"));
    }
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let mut given = Vec::new();
    for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let text = std::str::from_utf8(text);
        let text = text.map_err(|_| Refused::of(&format!("{name}, line {line}: is not UTF-8")))?;
        let id = without_comment(text).trim();
        if !id.is_empty() {
            given.push(Given { id: id.to_owned(), at: Some(format!("{name}, line {line}")) });
        }
    }
    if given.is_empty() {
        return Err(refused("has no id; one is expected in each line"));
    }
    Ok(given)
}

/// A number alone may be an id.
fn looks_like_a_duration(id: &str) -> bool {
    id.ends_with(['s', 'm', 'h']) && duration::parse(id).is_ok()
}

fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, char)| {
        line.get(..*at).is_none_or(|before| !before.ends_with(|char: char| !char.is_whitespace()))
    };
    let at = line.char_indices().filter(|(_, char)| *char == '#').find(begins);
    at.and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Result<Vec<String>, String> {
        let given = list("\"hosts\"", text.as_bytes()).map_err(|refused| refused.message)?;
        Ids::check(given).map(|ids| ids.ids).map_err(|refused| refused.message)
    }

    #[test]
    fn a_list_has_an_id_a_line_and_comments() {
        let text = "\u{feff}a\r\n\n  b  \n# all of it\n\t#c\nd # behind\ne#f\ng\t#h";
        assert_eq!(ids(text).unwrap(), ["a", "b", "d", "e#f", "g"]);
    }

    #[test]
    fn what_is_no_list_is_refused_by_name() {
        for (text, expected) in [
            ("", "\"hosts\" has no id; one is expected in each line"),
            ("\n# a\n", "\"hosts\" has no id; one is expected in each line"),
            ("a\n\n..\nb", "\"hosts\", line 3: id \"..\" is a path"),
            ("a\nb\tc\n", r#""hosts", line 2: id "b\tc" has the control byte 0x09"#),
            ("a\n..\n.\n", "; another id is refused too"),
            ("..\n..\n.\n", "; 2 more ids are refused too"),
        ] {
            let message = ids(text).unwrap_err();
            assert!(message.starts_with(expected) || message.ends_with(expected), "{text:?}: {message}");
        }
        assert_eq!(list("stdin", &b"a\n\xff\n"[..]).err(), Some(Refused::of("stdin, line 2: is not UTF-8")));
        let endless = std::io::repeat(b'a');
        assert_eq!(
            list("stdin", endless).err(),
            Some(Refused::of("stdin is larger than 1 MiB, which is no list of ids"))
        );
    }

    /// Each of them costs the same, however many there are.
    #[test]
    fn a_long_list_of_repeated_ids_is_checked_in_no_time() {
        let given = |number: usize| Given { id: format!("cvm-{}", number % 100_000), at: None };
        let started = std::time::Instant::now();
        let ids = Ids::check((0..300_000).map(given).collect()).unwrap();
        assert_eq!((ids.ids.len(), ids.repeated.len()), (100_000, 100_000));
        // It took minutes when each was compared with all before it.
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn a_cvm_that_is_given_again_in_any_form_counts_once() {
        let given = |ids: &[&str]| ids.iter().map(|id| Given { id: (*id).to_owned(), at: None }).collect::<Vec<_>>();
        let dashed = "550e8400-e29b-41d4-a716-446655440000";
        let ids = Ids::check(given(&["b", dashed, "a", "550e8400e29b41d4a716446655440000"])).unwrap();
        assert_eq!(ids.ids, ["b", dashed, "a"]);
        let expected =
            format!("id \"550e8400e29b41d4a716446655440000\" is the same CVM as \"{dashed}\"; it counts once");
        assert_eq!(ids.doubt(), Some(expected));
        let ids = Ids::check(given(&["a", "b", "a", "a", "b"])).unwrap();
        let expected = "2 ids are given more than once, such as \"a\"; each counts once";
        assert_eq!((ids.ids.len(), ids.doubt().as_deref()), (2, Some(expected)));
        assert_eq!(Ids::check(given(&["a", "b"])).unwrap().doubt(), None);
    }

    #[test]
    fn an_id_that_looks_like_several_leaves_a_doubt() {
        let given = |ids: &[&str]| ids.iter().map(|id| Given { id: (*id).to_owned(), at: None }).collect::<Vec<_>>();
        let doubt = |ids: &[&str]| Ids::check(given(ids)).unwrap().doubt_of_separators();
        let is_one = "is taken for one id; separate ids by spaces, or by lines in a list";
        assert_eq!(doubt(&["web,db", "c"]), Some(format!("id \"web,db\" {is_one}")));
        assert_eq!(doubt(&["web db"]), Some(format!("id \"web db\" {is_one}")));
        assert!(doubt(&["a;b", "c", "d,e"]).unwrap().starts_with("id \"a;b\" and 1 more are taken"));
        assert_eq!(doubt(&["my-cvm", "app_1", "v1.2"]), None);
    }
}
