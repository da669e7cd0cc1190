//! That this crate brings no runtime along.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::Path;
use std::process::Command;

#[test]
fn no_runtime_is_in_the_tree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !folder.join("../../Cargo.lock").exists() {
        // A packaged crate has no lock file of the workspace.
        return;
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder).args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--all-features"]);
    let output = cargo.args(["--package", "cvm-watch-http1", "--format", "{p}|{f}"]).output().unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && tree.contains("hyper v"), "{}", String::from_utf8_lossy(&output.stderr));
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let runtimes =
            ["async-std", "async-io", "async-executor", "smol", "mio", "tower", "hyper-util", "tokio-rustls"];
        assert!(!runtimes.contains(&name), "{line}");
        // hyper depends on tokio for its channels, which need no runtime.
        if name == "tokio" {
            let features = line.split('|').nth(1).unwrap().trim_end_matches(" (*)");
            assert!(features.split(',').all(|feature| ["default", "sync"].contains(&feature)), "{line}");
        }
    }
}
