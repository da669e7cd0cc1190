//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A document in `docs/`.
pub(crate) fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Compares a document, or a part of one, with what a program makes of it; with `GENERATE` set, writes it.
pub(crate) fn check_generated(name: &str, current: &str, generated: &str) {
    if current == generated {
        return;
    }
    if std::env::var_os("GENERATE").is_some() {
        let path = root().join("docs").join(name);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let text = if text.is_empty() { generated.to_owned() } else { text.replacen(current, generated, 1) };
        fs::write(path, text).unwrap();
        return;
    }
    let line = current.lines().zip(generated.lines()).position(|(one, other)| one != other);
    let line = line.unwrap_or_else(|| current.lines().count().min(generated.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    panic!(
        "docs/{name} is not what the code makes; run .ci/generate\nis:        {}\nshould be: {}",
        at(current),
        at(generated)
    );
}
