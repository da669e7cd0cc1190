//! Help and version.

use std::collections::BTreeSet;
use std::fs;

use crate::program::cvm_watch;

#[test]
fn help_teaches_by_example_and_names_every_exit_code_and_variable() {
    let help = cvm_watch("wait --help").run();
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for part in [
        "Examples:",
        "cvm-watch wait my-cvm --deadline 10m",
        "Exit codes:",
        "  143  SIGTERM",
        "PHALA_CLOUD_API_KEY",
        "PHALA_CLOUD_API_PREFIX",
        "PHALA_CLOUD_DIR",
        "GITHUB_OUTPUT",
        "NO_COLOR",
        "RUST_LOG",
        "--backoff-max <TIME>",
    ] {
        assert!(help.stdout.contains(part), "{part} in {}", help.stdout);
    }
    assert!(!help.stdout.contains('\x1b'));
    for command in ["", "state", "demo", "sim", "decode", "replay", "completions", "man"] {
        let help = cvm_watch(&format!("{command} --help")).run();
        assert!(help.code == Some(0) && help.stdout.contains("Examples:"), "{command}");
    }
}

#[test]
fn no_command_at_all_is_bad_usage_that_shows_the_help() {
    let finished = cvm_watch("").run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""));
    assert!(finished.stderr.contains("Examples:"), "{finished:?}");
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(cvm_watch("--version").run().stdout, concat!("cvm-watch ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// The words in `text` that are long flags.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !(char.is_ascii_lowercase() || char == '-'))
        .filter(|word| word.strip_prefix("--").is_some_and(|name| name.starts_with(|char: char| char != '-')))
}

#[test]
fn the_documentation_has_every_flag_and_no_other() {
    let Ok(page) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/command-line.md")) else {
        println!("skipped: this is the packaged crate, without the repository's documentation");
        return;
    };
    let mut known = BTreeSet::new();
    for command in ["wait", "state", "demo", "sim", "decode", "replay", "completions", "man"] {
        let help = cvm_watch(&format!("{command} -h")).run().stdout;
        let (_, options) = help.split_once("Options:").unwrap();
        known.extend(options.lines().filter(|line| line.starts_with("  ")).flat_map(flags).map(str::to_owned));
    }
    known.remove("--version");
    let documented: BTreeSet<_> = flags(&page).map(str::to_owned).collect();
    assert_eq!(documented, known);
}
