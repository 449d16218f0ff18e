//! Circles in the arrows between modules.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::{Arrow, ModulePath};

/// The modules of one folder, or of a crate's root, and the arrows between them: what is inside a module counts as it.
type Siblings = BTreeMap<String, BTreeSet<String>>;

/// Circles, each as the names that it goes through; one for each folder that has any.
pub(super) fn circles(arrows: &BTreeSet<Arrow>) -> Vec<Vec<String>> {
    let mut folders: BTreeMap<ModulePath, Siblings> = BTreeMap::new();
    for Arrow { from, to } in arrows {
        let together = from.iter().zip(to).take_while(|(from, to)| from == to).count();
        let siblings = folders.entry(from[..together].to_vec()).or_default();
        siblings.entry(from[together].clone()).or_default().insert(to[together].clone());
    }
    let circles = folders.iter().filter_map(|(folder, siblings)| {
        let circle = circle(siblings)?;
        Some(circle.into_iter().map(|name| [folder.as_slice(), &[name]].concat().join("::")).collect())
    });
    circles.collect()
}

/// One circle, if there is any.
fn circle(arrows: &Siblings) -> Option<Vec<String>> {
    let mut left = arrows.clone();
    // Takes off whatever leads nowhere: only circles, and what leads to them, are left.
    loop {
        let before = left.len();
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, targets| targets.iter().any(|target| names.contains(target)));
        if left.len() == before {
            break;
        }
    }
    let mut way: Vec<String> = vec![left.keys().next()?.clone()];
    loop {
        let here = way.last().expect("it has a first");
        let next = left[here].iter().find(|target| left.contains_key(*target)).expect("it leads on");
        if let Some(start) = way.iter().position(|name| name == next) {
            return Some(way.split_off(start));
        }
        way.push(next.clone());
    }
}

#[test]
fn a_circle_is_found_and_named_and_a_line_is_none() {
    let arrow = |from: &[&str], to: &[&str]| {
        let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Arrow { from: path(from), to: path(to) }
    };
    let line = BTreeSet::from([arrow(&["a"], &["b"]), arrow(&["b", "x"], &["c"]), arrow(&["a"], &["c"])]);
    assert!(circles(&line).is_empty());
    let mut round = line;
    round.insert(arrow(&["c"], &["b", "y"]));
    assert_eq!(circles(&round), [["b", "c"]]);
    let inside = BTreeSet::from([arrow(&["a", "x"], &["a", "y"]), arrow(&["a", "y"], &["a", "x"])]);
    assert_eq!(circles(&inside), [["a::x", "a::y"]]);
}
