//! Builds the page: the wasm, and the JavaScript beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasm_bindgen_cli_support::Bindgen;

/// The folder of the page, complete; `None` where the target cannot be had.
pub fn page() -> Option<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = scratch.join("wasm");
    let installed = Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        println!("skipped: browser: the target wasm32-unknown-unknown cannot be installed");
        return None;
    }
    let status = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--lib", "--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(package)
        .status()
        .unwrap();
    assert!(status.success(), "the page does not build");

    let page = scratch.join("page");
    let _ = std::fs::remove_dir_all(&page);
    std::fs::create_dir_all(&page).unwrap();
    let wasm = target.join("wasm32-unknown-unknown/debug/cvm_watch_browser.wasm");
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).web(true).unwrap().omit_default_module_path(false).generate(&page).unwrap();
    for file in ["index.html", "page.js"] {
        std::fs::copy(package.join("page").join(file), page.join(file)).unwrap();
    }
    Some(page)
}
