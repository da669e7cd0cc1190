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

/// Compares a part of a file with what a program makes of it; with `GENERATE` set, writes it.
pub(crate) fn check_generated(path: &str, current: &str, generated: &str) {
    if current == generated {
        return;
    }
    if std::env::var_os("GENERATE").is_some() {
        let text = fs::read_to_string(root().join(path)).unwrap();
        fs::write(root().join(path), text.replacen(current, generated, 1)).unwrap();
        return;
    }
    let line = current.lines().zip(generated.lines()).position(|(one, other)| one != other);
    let line = line.unwrap_or_else(|| current.lines().count().min(generated.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    panic!("{path} is out of date; run .ci/generate\nis:        {}\nshould be: {}", at(current), at(generated));
}
