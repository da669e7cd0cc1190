//! The core and the driver depend on no runtime and no HTTP library.

use std::process::Command;

#[test]
fn core_and_driver_have_no_runtime_and_no_http_library_in_their_trees() {
    for package in ["cvm-watch-core", "cvm-watch-driver"] {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "--package",
                package,
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).unwrap();
        let names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(names.contains(&package), "{tree}");
        for foreign in
            ["tokio", "async-std", "smol", "hyper", "hyper-util", "surf", "reqwest", "http", "http-body", "rustls"]
        {
            assert!(!names.contains(&foreign), "{package} brings {foreign}:\n{tree}");
        }
    }
}
