//! That the documents name what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A document of the repository; `None` in a packaged crate, which has none.
fn document(name: &str) -> Option<String> {
    let path = repository().join("docs").join(name);
    let text = fs::read_to_string(path).ok();
    if text.is_none() {
        println!("docs/{name} is not here; nothing to check");
    }
    text
}

/// Every test function in the workspace.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![repository().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(tests_in(&fs::read_to_string(&path).unwrap()));
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

/// The tests that a row of a table names: what stands in backticks in its last cell.
fn named(row: &str) -> Vec<&str> {
    let cell = row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_row_of_the_contract_names_tests_that_exist() {
    let Some(text) = document("semantics.md") else { return };
    let tests = tests();
    for row in 1..=26 {
        let start = format!("| {row} |");
        let line = text.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no row {row}"));
        let named = named(line);
        assert!(!named.is_empty(), "row {row} names no test");
        let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
        assert!(missing.is_empty(), "row {row} names tests that do not exist: {missing:?}");
    }
}

#[test]
fn each_table_of_semantics_names_tests_that_exist() {
    let Some(text) = document("semantics.md") else { return };
    let tests = tests();
    let beyond = text.split("## What a caller may ask for").nth(1).and_then(|text| text.split("## The event").next());
    let named: Vec<_> = beyond.unwrap().lines().filter(|line| line.starts_with('|')).flat_map(named).collect();
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(named.len() > 20 && missing.is_empty(), "it names tests that do not exist: {missing:?}");
}

#[test]
fn conformance_names_tests_that_exist() {
    let Some(text) = document("conformance.md") else { return };
    let tests = tests();
    let named: Vec<_> = text.lines().filter(|line| line.starts_with('|')).flat_map(named).collect();
    assert!(!named.is_empty(), "it names no test");
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "it names tests that do not exist: {missing:?}");
}
