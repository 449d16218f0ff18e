//! Files of the repository, beside which the tests run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// A file of `deploy/`.
pub fn deploy(file: &str) -> PathBuf {
    repository("deploy").join(file)
}

/// A file of the repository.
pub fn repository(file: &str) -> PathBuf {
    root().join(file)
}

/// A file of YAML, read.
pub fn yaml(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The folder of the repository.
pub fn root() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    folder.expect("this crate lies in crates/testkit")
}
