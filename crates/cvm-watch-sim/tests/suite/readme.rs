//! The README's table against the code.

use cvm_watch_sim::scenarios;

#[test]
fn the_readme_lists_every_scenario_and_no_other() {
    let readme = include_str!("../../README.md");
    let table = readme.lines().filter(|line| line.starts_with('|')).skip(2).collect::<Vec<_>>();
    let expected =
        scenarios().map(|scenario| format!("| `{}` | {} |", scenario.prefix, scenario.description)).collect::<Vec<_>>();
    assert_eq!(table, expected, "the table should be:\n{}", expected.join("\n"));
}
