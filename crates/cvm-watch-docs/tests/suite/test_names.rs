//! The tests that the documents name: that they exist, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use crate::repository::{check_generated, document, root};

/// Every test function in the workspace, with the files that have one of that name.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut names: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut folders = vec!["crates".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                for name in tests_in(&fs::read_to_string(entry.path()).unwrap()) {
                    names.entry(name).or_default().insert(path.clone());
                }
            }
        }
    }
    names
}

/// The names of functions that a test attribute stands before.
fn tests_in(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.contains("test]") || line.contains("test(");
        } else if let Some((_, rest)) = line.split_once("fn ") {
            if is_test && let Some((name, _)) = rest.split_once('(') {
                found.push(name.to_owned());
            }
            is_test = false;
        }
    }
    found
}

/// What is in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// The rules of `semantics.md`: what each has in `semantics-tests.md` as its heading, in order.
fn rules(semantics: &str) -> Vec<String> {
    let section = |name: &str| {
        let (_, rest) =
            semantics.split_once(&format!("\n## {name}\n")).unwrap_or_else(|| panic!("no section {name:?}"));
        rest.split("\n## ").next().unwrap()
    };
    // The first table of a section, without its header.
    let table = |name: &str| -> Vec<Vec<String>> {
        let rows =
            section(name).lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        rows.skip(2).map(|row| cells(row).into_iter().map(str::to_owned).collect()).collect()
    };
    let mut rules: Vec<_> = table("The decisions").iter().map(|row| format!("Row {}", row[0])).collect();
    rules.push("When several things are true at once".to_owned());
    for name in ["What a caller may ask for beyond the rows", "Many watches over few connections"] {
        rules.extend(table(name).iter().map(|row| row[0].clone()));
    }
    rules.push("How long a fleet takes".to_owned());
    rules
}

const PREFACE: &str = "\
# The tests of each rule

Each rule of [semantics.md](semantics.md), with the tests that hold it. To add a test, add a line with its name in
backticks below the rule, and run `.ci/generate`, which sorts the names by file. A test of `cvm-watch-docs` fails
when a rule has no test, when a test does not exist and when this page is out of date.
";

#[test]
fn each_rule_of_semantics_has_tests_that_exist() {
    let tests = tests();
    let rules = rules(&document("semantics.md"));
    let page = document("semantics-tests.md");
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        let lines = body.lines().filter_map(|line| line.strip_prefix("- "));
        // The path before the names is a link, and not in backticks.
        named.insert(heading.trim(), lines.flat_map(quoted).collect());
    }
    let mut generated = PREFACE.to_owned();
    for rule in &rules {
        write!(generated, "\n## {rule}\n\n").unwrap();
        let names = named.remove(rule.as_str()).unwrap_or_default();
        assert!(!names.is_empty(), "docs/semantics-tests.md has no test for {rule:?}");
        let mut by_file: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for name in names {
            let files = tests.get(name).unwrap_or_else(|| panic!("{rule:?} names {name}, which is no test"));
            for file in files {
                by_file.entry(file).or_default().insert(name);
            }
        }
        for (file, names) in by_file {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let short = file.trim_start_matches("crates/cvm-watch-");
            writeln!(generated, "- [{short}](../{file}): {}", names.join(", ")).unwrap();
        }
    }
    assert!(named.is_empty(), "docs/semantics-tests.md has rules that docs/semantics.md does not: {:?}", named.keys());
    check_generated("docs/semantics-tests.md", &page, &generated);
}

#[test]
fn conformance_names_tests_that_exist() {
    let tests = tests();
    let page = document("conformance.md");
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let named: Vec<_> = rows.flat_map(|row| quoted(cells(row).last().unwrap()).collect::<Vec<_>>()).collect();
    assert!(named.len() > 50, "it names only {} tests", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains_key(**name)).collect();
    assert!(missing.is_empty(), "it names tests that do not exist: {missing:?}");
}
