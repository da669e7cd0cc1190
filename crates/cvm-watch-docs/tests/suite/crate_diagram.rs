//! The diagram of the crates in `ARCHITECTURE.md`, drawn from their manifests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::repository::{check_generated, root};

/// Which crates of the workspace each published crate depends on, tests aside, and whether optionally.
fn dependencies() -> BTreeMap<String, Vec<(String, bool)>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if manifest.contains("publish = false") {
            continue;
        }
        let (_, section) = manifest.split_once("\n[dependencies]\n").unwrap();
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        let ours = lines.filter(|line| line.starts_with("cvm-watch-"));
        let dependency = |line: &str| {
            let name = line.split(['.', ' ']).next().unwrap();
            (name.to_owned(), line.contains("optional = true"))
        };
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        all.insert(name, ours.map(dependency).collect());
    }
    all
}

#[test]
fn the_diagram_of_the_crates_is_that_of_their_manifests() {
    let short = |name: &str| name.trim_start_matches("cvm-watch-").to_owned();
    let mut diagram = "flowchart TD\n".to_owned();
    for (name, dependencies) in dependencies() {
        let name = short(&name);
        writeln!(diagram, "    {name}[cvm-watch-{name}]").unwrap();
        for (dependency, is_optional) in dependencies {
            let arrow = if is_optional { "-.->" } else { "-->" };
            writeln!(diagram, "    {name} {arrow} {}", short(&dependency)).unwrap();
        }
    }
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once("```mermaid\n").unwrap();
    let (drawn, _) = rest.split_once("```").unwrap();
    let [drawn, diagram] = [drawn, &diagram].map(|lines| format!("```mermaid\n{lines}```"));
    check_generated("ARCHITECTURE.md", &drawn, &diagram);
}
