//! Files of the repository that stories read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The path of a file in `deploy/`.
pub fn deploy(file: &str) -> PathBuf {
    repository("deploy").join(file)
}

/// The path of a file of the repository.
pub fn repository(file: &str) -> PathBuf {
    root().join(file)
}

/// The content of a YAML file; fails if it is no YAML.
pub fn yaml(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The root of the repository.
pub fn root() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    folder.expect("this crate lies in crates/testkit")
}
