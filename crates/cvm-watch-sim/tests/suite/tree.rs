//! What the simulator brings along.

use std::process::Command;

#[test]
fn by_default_it_depends_on_no_other_crate_of_ours() {
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
            "cvm-watch-sim",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let ours: Vec<_> = tree.lines().filter(|line| line.starts_with("cvm-watch")).collect();
    assert!(ours.iter().all(|line| line.starts_with("cvm-watch-sim ")) && !ours.is_empty(), "{tree}");
}
