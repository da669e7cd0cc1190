//! What this crate must and must not share with the rest of the workspace.

use std::fs;
use std::path::Path;

/// A file of the workspace; none in a packaged crate.
fn file(path: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} is not there", path.display());
    }
    text
}

#[test]
fn no_back_end_of_surfs_own_is_in_the_lock_file() {
    let Some(lock) = file("Cargo.lock") else { return };
    assert!(lock.contains("name = \"surf\"\n"));
    for name in ["isahc", "curl", "curl-sys", "async-h1", "async-tls", "async-native-tls", "hyper-tls"] {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name} is in the lock file");
    }
    assert!(!lock.contains("name = \"hyper\"\nversion = \"0."), "an old hyper is in the lock file");
}

/// The names of the crate and the runtime apart.
#[test]
fn the_example_is_that_of_the_hyper_crate() {
    let lines = |text: String| {
        let text = text.replace("#[tokio::main(flavor = \"current_thread\")]", "#[async_std::main]");
        let mut lines: Vec<_> = text.replace("hyper", "surf").lines().map(str::to_owned).collect();
        // Imports are sorted by name.
        lines.sort_unstable();
        lines
    };
    let [ours, theirs] = ["surf", "hyper"].map(|name| file(&format!("crates/cvm-watch-{name}/examples/watch.rs")));
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        assert_eq!(lines(ours), lines(theirs));
    }
}
