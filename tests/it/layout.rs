//! The house keeps its shape: arrows that point one way, no circles, small files, headers and comments that lead somewhere.
//!
//! cargo-deny watches the dependencies that manifests declare; these tests read the `use` trees of the code itself.

mod circles;
mod modules;
mod prose;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use self::modules::{Arrow, Crate};

/// A longer file has more than one reason to change.
const MAX_LINES: usize = 400;

/// Folders with Rust, from the root of the repository.
const ROOTS: [&str; 6] = ["build.rs", "src", "crates", "examples", "tests", "benches"];

/// Each crate with its root file and the crates of the workspace that it may name, in the order of the flow.
const CRATES: [(&str, &str, &[&str]); 12] = [
    ("weir", "src/lib.rs", &[]),
    ("weir_process", "crates/process/src/lib.rs", &[]),
    ("weir_event", "crates/event/src/lib.rs", &["weir", "weir_process"]),
    ("weir_journal", "crates/journal/src/lib.rs", &["weir", "weir_process", "weir_event"]),
    ("weir_edge", "crates/edge/src/lib.rs", &["weir", "weir_process", "weir_event"]),
    ("weir_ingest", "crates/ingest/src/lib.rs", &["weir", "weir_process", "weir_event", "weir_journal"]),
    ("weir_migration", "crates/migration/src/lib.rs", &[]),
    ("weir_database", "crates/database/src/lib.rs", &["weir_migration"]),
    (
        "weir_collectors",
        "crates/collectors/src/lib.rs",
        &["weir", "weir_process", "weir_event", "weir_journal", "weir_database"],
    ),
    ("weir_reporting", "crates/reporting/src/lib.rs", &["weir", "weir_process", "weir_database"]),
    (
        "weir_cli",
        "crates/cli/src/main.rs",
        &[
            "weir",
            "weir_process",
            "weir_event",
            "weir_journal",
            "weir_edge",
            "weir_ingest",
            "weir_database",
            "weir_collectors",
            "weir_reporting",
        ],
    ),
    (
        "weir_testkit",
        "crates/testkit/src/lib.rs",
        &["weir", "weir_process", "weir_event", "weir_journal", "weir_database"],
    ),
];

#[test]
fn every_arrow_between_crates_is_allowed() {
    let ours: BTreeSet<&str> = CRATES.iter().map(|(name, ..)| *name).collect();
    for (name, root, allowed) in CRATES {
        let named = Crate::read(&repository().join(root));
        let named = named.first_segments();
        let crates: Vec<&&str> = ours.intersection(&named).collect();
        let forbidden: Vec<_> =
            crates.iter().filter(|found| ***found != name && !allowed.contains(**found)).collect();
        assert!(forbidden.is_empty(), "{name} names {forbidden:?}");
        let unused: Vec<_> = allowed.iter().filter(|allowed| !named.contains(**allowed)).collect();
        assert!(unused.is_empty(), "{name} may name {unused:?}, and does not: take them off the list");
    }
}

#[test]
fn only_the_journal_uses_the_nats_client() {
    for (name, root, _) in CRATES {
        let uses = Crate::read(&repository().join(root)).first_segments().contains("async_nats");
        let may = ["weir_journal", "weir_testkit"].contains(&name);
        assert!(may || !uses, "{name} names async_nats");
    }
}

#[test]
fn modules_of_a_crate_form_no_circle() {
    let roots = CRATES.iter().map(|(_, root, _)| *root);
    for root in roots.chain(["benches/load/main.rs", "benches/steps/main.rs", "tests/it/main.rs"]) {
        let arrows = Crate::read(&repository().join(root)).arrows();
        let circles = circles::circles(&arrows);
        assert!(circles.is_empty(), "circles below {root}: {}", explained(&circles, &arrows));
    }
}

/// Each circle with the arrows that close it.
fn explained(circles: &[Vec<String>], arrows: &BTreeSet<Arrow>) -> String {
    let mut text = String::new();
    for circle in circles {
        text.push_str(&format!("\n{circle:?}"));
        let inside =
            |path: &[String]| circle.iter().position(|name| path.join("::").starts_with(name.as_str()));
        for Arrow { from, to } in arrows {
            if inside(from).is_some() && inside(to).is_some() && inside(from) != inside(to) {
                text.push_str(&format!("\n    {} -> {}", from.join("::"), to.join("::")));
            }
        }
    }
    text
}

#[test]
fn no_header_asks_a_question() {
    let asking = paths(sources(&ROOTS), |file| prose::asks(&file.text));
    assert!(asking.is_empty(), "headers that name no thing: {asking:?}");
}

#[test]
fn comments_cite_files_of_the_repository_alone() {
    let files = prose::files(repository());
    let missing: Vec<_> = sources(&ROOTS)
        .into_iter()
        .map(|file| (prose::missing_citations(repository(), &files, &file.text), file.path))
        .filter(|(missing, _)| !missing.is_empty())
        .collect();
    assert!(missing.is_empty(), "cited and not there: {missing:#?}");
}

#[test]
fn links_of_documents_lead_somewhere() {
    let documents = prose::files(repository());
    let documents = documents.iter().filter(|file| file.extension().is_some_and(|kind| kind == "md"));
    let broken: Vec<_> = documents
        .map(|document| (document, prose::broken_links(repository(), document)))
        .filter(|(_, broken)| !broken.is_empty())
        .collect();
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long: Vec<_> = sources(&ROOTS)
        .into_iter()
        .map(|file| (file.text.lines().count(), file.path))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "files over {MAX_LINES} lines: {long:?}");
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
fn the_environment_is_read_by_args_alone() {
    // clippy.toml bans reading it; this finds who lifts the ban.
    let of_args = Path::new("crates/process/src/args/environment.rs");
    let offending = paths(sources(&["src", "crates"]), |file| {
        file.path != of_args && !is_of_tests(&file.path) && file.text.contains("env::var")
    });
    assert!(offending.is_empty(), "the environment is read outside clap's arguments: {offending:?}");
}

#[test]
fn commands_write_through_one_module() {
    // It escapes what strangers sent. Log lines have a module of their own, which does the same.
    let writers = ["crates/cli/src/output.rs", "crates/process/src/logging.rs"].map(Path::new);
    let streams = ["io::stdout", "io::stderr", "println!(", "print!("];
    let offending = paths(sources(&["src", "crates"]), |file| {
        let may = writers.contains(&file.path.as_path()) || is_of_tests(&file.path);
        !may && streams.iter().any(|stream| file.text.contains(stream))
    });
    assert!(offending.is_empty(), "output beside {writers:?}: {offending:?}");
    let tables = Path::new("crates/cli/src/output/page.rs");
    let tabulating =
        paths(sources(&["crates"]), |file| file.path != tables && file.text.contains("comfy_table"));
    assert!(tabulating.is_empty(), "tables beside {tables:?}: {tabulating:?}");
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

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The testkit stands among the crates, and holds tests' code.
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
    let workspace = repository();
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
