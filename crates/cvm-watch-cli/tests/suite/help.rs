//! Help and version.

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
        "NO_COLOR",
        "RUST_LOG",
        "--backoff-max <DURATION>",
    ] {
        assert!(help.stdout.contains(part), "{part} in {}", help.stdout);
    }
    assert!(!help.stdout.contains('\x1b'));
    for command in ["", "demo", "sim", "decode"] {
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
