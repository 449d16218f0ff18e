//! Rules for the words of a file: its header, and the files that its comments cite.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A sentence that begins so has a question for its subject.
const QUESTIONS: [&str; 9] = ["What", "Who", "Whoever", "Whether", "How", "Why", "Where", "When", "Which"];

/// Kinds of files that a comment may send its reader to.
const CITED: [&str; 8] = ["md", "rs", "toml", "proto", "yaml", "yml", "jsonl", "svg"];

/// Whether the header of a file begins with a question instead of the name of its thing.
pub(super) fn asks(text: &str) -> bool {
    let header = text.strip_prefix("//!").unwrap_or_default();
    let first = header.split_whitespace().next().unwrap_or_default();
    QUESTIONS.contains(&first.trim_end_matches(|character: char| !character.is_alphanumeric()))
}

/// Folders that hold no file of the repository.
const FOREIGN: [&str; 3] = [".git", "target", "data"];

/// The files of the repository, from its root.
pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository can be listed") {
            let path = entry.expect("its entries can be read").path();
            let is_foreign = FOREIGN.iter().any(|name| path == root.join(name));
            if path.is_dir() && !is_foreign {
                folders.push(path);
            } else if !is_foreign {
                files.push(path.strip_prefix(root).expect("it lies below the root").to_owned());
            }
        }
    }
    files
}

/// Files and headings that the comments of `text` cite and the repository does not have.
pub(super) fn missing_citations(root: &Path, files: &[PathBuf], text: &str) -> Vec<String> {
    let comments = text.lines().filter_map(|line| line.split_once("//")).map(|(_, comment)| comment);
    comments.flat_map(citations).filter(|citation| !is_there(root, files, citation)).collect()
}

/// Links of a Markdown document that lead to no file or heading of the repository. `document` is a path from `root`.
pub(super) fn broken_links(root: &Path, document: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join(document)).expect("a document can be read");
    let folder = root.join(document.parent().unwrap_or(Path::new("")));
    let leads_somewhere = |link: &str| {
        let (name, heading) =
            link.split_once('#').map_or((link, None), |(name, heading)| (name, Some(heading)));
        let target = if name.is_empty() { root.join(document) } else { folder.join(name) };
        target.exists() && heading.is_none_or(|heading| has_heading(&target, heading))
    };
    links(&text).filter(|link| !leads_somewhere(link)).map(str::to_owned).collect()
}

/// The targets of links within the repository, outside blocks of code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|prose| prose.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://"))
}

fn has_heading(document: &Path, heading: &str) -> bool {
    let text = fs::read_to_string(document).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading)
}

/// Names of files in a comment, with the heading behind `#` where one is named.
fn citations(comment: &str) -> Vec<String> {
    let is_part = |character: char| character.is_alphanumeric() || "._-/#".contains(character);
    let words = comment.split(|character| !is_part(character));
    let is_citation = |word: &&str| {
        let file = word.split('#').next().unwrap_or_default();
        let file = file.trim_end_matches('.');
        file.rsplit_once('.').is_some_and(|(stem, kind)| {
            CITED.contains(&kind) && stem.chars().last().is_some_and(char::is_alphanumeric)
        })
    };
    words.filter(is_citation).map(|word| word.trim_end_matches(['.', '-']).to_owned()).collect()
}

fn is_there(root: &Path, files: &[PathBuf], citation: &str) -> bool {
    let (name, heading) =
        citation.split_once('#').map_or((citation, None), |(name, heading)| (name, Some(heading)));
    let Some(file) = files.iter().find(|file| file.ends_with(name.trim_start_matches("./"))) else {
        return false;
    };
    heading.is_none_or(|heading| has_heading(&root.join(file), heading))
}

/// The anchor of a Markdown heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}

#[test]
fn a_header_that_asks_is_told_from_one_that_names() {
    assert!(asks("//! What a bucket tells of its people."));
    assert!(asks("//! Who.\n"));
    assert!(!asks("//! The observations of one bucket."));
    assert!(!asks("//! Whitespace in names."));
}

#[test]
fn a_comment_that_cites_an_absent_file_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files(root);
    let missing = |comment: &str| missing_citations(root, &files, &format!("let x = 1; //{comment}"));
    assert!(missing("/ See docs/upgrades.md, and Cargo.toml.").is_empty());
    assert!(missing(" docs/reliability.md#the-promise has the reason").is_empty());
    for absent in ["absent.md", "docs/reliability.md#no-such-heading"] {
        assert_eq!(missing(&format!(" as {absent}, says")), [absent]);
    }
    assert!(missing_citations(root, &files, "let name = \"absent.md\";").is_empty());
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "[a](b.md) and\n[c](#d), [e](https://f.example/g)\n```\n[h](i)\n```\n[j](k/l#m)";
    assert_eq!(links(text).collect::<Vec<_>>(), ["b.md", "#d", "k/l#m"]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(has_heading(&root.join("README.md"), "two-commands"));
    assert!(!has_heading(&root.join("README.md"), "layout"));
}
