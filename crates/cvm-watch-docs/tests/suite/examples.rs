//! The examples that the documents quote or name.

use std::fs;

use crate::repository::{document, root};

fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<_> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| (name.clone(), document(&name)))
        .collect();
    for name in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        pages.push((name.to_owned(), fs::read_to_string(root().join(name)).unwrap()));
    }
    pages
}

/// Code that is not compiled in its place is quoted from a file that is.
#[test]
fn code_that_is_no_doctest_is_quoted_from_a_file() {
    for (page, text) in pages() {
        for (before, after) in text.match_indices("```rust,ignore\n").map(|(at, _)| text.split_at(at)) {
            let path = before.trim_end().strip_suffix(" -->").and_then(|text| text.rsplit_once("<!-- from "));
            let (_, path) = path.unwrap_or_else(|| panic!("{page} has code from nowhere: {after:.80}"));
            let (code, _) = after["```rust,ignore\n".len()..].split_once("```").unwrap();
            let file = fs::read_to_string(root().join(path)).unwrap();
            assert!(file.contains(code), "{page} quotes what is not in {path}: {code}");
        }
    }
}

/// The gate runs each example and test program; here: that those which the documents name exist.
#[test]
fn each_cargo_command_names_a_package_and_a_target_that_exist() {
    let crates: Vec<_> = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut checked = 0;
    for (page, text) in pages() {
        let words: Vec<_> = text.split(|char: char| char.is_whitespace() || "`…,;:()".contains(char)).collect();
        for pair in words.windows(2) {
            let [flag, name] = pair else { continue };
            let exists = match *flag {
                "-p" if name.starts_with("cvm-watch") => crates.iter().any(|path| path.ends_with(name)),
                "--example" | "--test" => crates.iter().any(|path| {
                    let folder = path.join(if *flag == "--test" { "tests" } else { "examples" });
                    folder.join(format!("{name}.rs")).exists() || folder.join(name).join("main.rs").exists()
                }),
                _ => continue,
            };
            assert!(exists, "{page}: {flag} {name} does not exist");
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} were found");
}
