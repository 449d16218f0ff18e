//! The house keeps its shape: small files, and arrows that point one way. cargo-deny watches the arrows between
//! the crates; these tests watch those inside them, which no tool sees.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Nobody reads a longer file to its end.
const MOST_LINES: usize = 400;

/// Folders with Rust of ours, from the root of the workspace.
const ROOTS: [&str; 6] = ["build.rs", "src", "crates", "examples", "tests", "benches"];

#[test]
fn no_file_is_too_long_to_be_read() {
    let long: Vec<_> = sources(&ROOTS)
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "files over {MOST_LINES} lines: {long:?}");
}

#[test]
fn every_file_says_at_its_top_what_it_is_for() {
    let silent = paths(sources(&ROOTS), |file| !file.text.starts_with("//!"));
    assert!(silent.is_empty(), "files without a `//!` at the top: {silent:?}");
}

#[test]
fn no_module_is_named_for_nothing() {
    const NAMELESS: [&str; 6] = ["common", "util", "utils", "helpers", "types", "mod"];
    let nameless = paths(sources(&ROOTS), |file| {
        file.path.file_stem().is_some_and(|stem| NAMELESS.iter().any(|name| stem == *name))
    });
    assert!(nameless.is_empty(), "files whose name says nothing: {nameless:?}");
}

#[test]
fn only_the_journal_speaks_to_nats() {
    let offending = paths(sources(&["src", "crates"]), |file| {
        let inside = file.path.starts_with("crates/journal") || is_of_tests(&file.path);
        !inside && file.text.contains("async_nats::")
    });
    assert!(offending.is_empty(), "async_nats outside crates/journal: {offending:?}");
}

#[test]
fn the_environment_is_read_by_args_alone() {
    // clippy.toml bans reading it; this finds who lifts the ban.
    let of_args = Path::new("crates/process/src/args/environment.rs");
    let offending = paths(sources(&["src", "crates"]), |file| {
        file.path != of_args && !is_of_tests(&file.path) && file.text.contains("env::var")
    });
    assert!(offending.is_empty(), "the environment is read outside clap's arguments: {offending:?}");
}

#[test]
fn every_http_client_knows_whom_it_asks_without_a_proxy() {
    let builder = Path::new("crates/process/src/http_client.rs");
    let offending = paths(sources(&["src", "crates"]), |file| {
        let is_test =
            is_of_tests(&file.path) || file.path.components().any(|part| part.as_os_str() == "tests");
        let makes = ["reqwest::get(", "reqwest::Client::", "blocking::Client::", " Client::builder()"];
        file.path != builder && !is_test && makes.iter().any(|call| file.text.contains(call))
    });
    assert!(offending.is_empty(), "clients beside crates/process/src/http_client.rs: {offending:?}");
}

/// The tests' own ground, which stands beside the crates that it tests.
fn is_of_tests(path: &Path) -> bool {
    path.starts_with("crates/testkit")
}

/// One Rust file.
struct Source {
    /// From the root of the workspace.
    path: PathBuf,
    text: String,
}

fn paths(files: Vec<Source>, wanted: impl Fn(&Source) -> bool) -> Vec<PathBuf> {
    files.into_iter().filter(wanted).map(|file| file.path).collect()
}

fn sources(roots: &[&str]) -> Vec<Source> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for root in roots {
        collect(workspace, &workspace.join(root), &mut files);
    }
    assert!(!files.is_empty(), "nothing is left of {roots:?}: this test looks in the wrong place");
    files
}

fn collect(workspace: &Path, path: &Path, files: &mut Vec<Source>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder of the repository can be listed");
        for entry in entries {
            collect(workspace, &entry.expect("its entries can be read").path(), files);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(path).expect("a source file is text");
        let path = path.strip_prefix(workspace).expect("it lies in the workspace").to_owned();
        files.push(Source { path, text });
    }
}
