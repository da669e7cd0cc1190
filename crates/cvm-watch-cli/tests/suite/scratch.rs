//! Files of a test's own.

use std::fs;
use std::path::{Path, PathBuf};

/// A file that is removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// `name` must be the test's own.
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Scratch {
    /// What is in it now.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

/// An empty folder that is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// `name` must be the test's own.
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A home directory with what the `phala` command line keeps there; removed at the end.
pub(crate) struct Home(PathBuf);

impl Home {
    /// `name` must be the test's own.
    pub(crate) fn new(name: &str, credentials: &str) -> Self {
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-home-{name}", std::process::id()));
        fs::create_dir_all(home.join(".phala-cloud")).unwrap();
        fs::write(home.join(".phala-cloud/credentials.json"), credentials).unwrap();
        Self(home)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The profiles' file.
    pub(crate) fn file(&self) -> String {
        format!("{}/.phala-cloud/credentials.json", self.path())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
