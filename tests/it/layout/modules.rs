//! The modules of a crate and what each of them takes from the others, read from the syntax of its files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Item, ItemUse, UseTree, visit::Visit};

/// A module's path from the root of its crate; empty for the root.
pub(super) type ModulePath = Vec<String>;

/// One use of a name: the path as it is written, in the module that writes it.
type WrittenPath = Vec<String>;

/// The modules of one crate, without those of its tests.
#[derive(Debug)]
pub(super) struct Crate {
    modules: BTreeMap<ModulePath, Module>,
}

#[derive(Debug, Default)]
struct Module {
    /// Names that `use` binds, public or not, and the path behind each.
    imports: BTreeMap<String, WrittenPath>,
    /// Modules whose names `use …::*` binds.
    globs: Vec<WrittenPath>,
    /// Every path that its code writes, those of `use` among them.
    paths: BTreeSet<WrittenPath>,
}

/// A module takes a name from another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrow {
    pub(super) from: ModulePath,
    pub(super) to: ModulePath,
}

impl Crate {
    /// Reads every module below `root`, a `lib.rs` or `main.rs`.
    pub(super) fn read(root: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let folder = root.parent().expect("a file lies in a folder");
        read_file(root, folder, Vec::new(), &mut modules);
        Self { modules }
    }

    /// Every name that a module takes from another one, without those between a module and one inside it.
    pub(super) fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (from, module) in &self.modules {
            for to in module.paths.iter().filter_map(|path| self.resolve(from, path, 0)) {
                if !from.starts_with(&to) && !to.starts_with(from) {
                    arrows.insert(Arrow { from: from.clone(), to });
                }
            }
        }
        arrows
    }

    /// The first segments of every path: other crates among them.
    pub(super) fn first_segments(&self) -> BTreeSet<&str> {
        let paths = self.modules.values().flat_map(|module| &module.paths);
        paths.filter_map(|path| path.first()).map(String::as_str).collect()
    }

    /// The module that defines the thing behind a path; `None` where another crate does.
    fn resolve(&self, from: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        // Only a `use` that names itself goes deeper.
        if depth > 16 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.walk(Vec::new(), rest, depth),
            "self" => self.walk(from.clone(), rest, depth),
            "super" => {
                let mut parent = from.clone();
                parent.pop();
                match rest.first() {
                    Some(next) if next == "super" => self.resolve(&parent, rest, depth),
                    _ => self.walk(parent, rest, depth),
                }
            }
            _ if self.binds(from, first) => self.walk(from.clone(), path, depth),
            _ => None,
        }
    }

    fn binds(&self, module: &ModulePath, name: &str) -> bool {
        let child = [module.as_slice(), &[name.to_owned()]].concat();
        self.modules.contains_key(&child)
            || self.modules.get(module).is_some_and(|module| module.imports.contains_key(name))
    }

    /// Follows `path` from `module`, through what its `use` declarations bind.
    fn walk(&self, module: ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let Some((name, rest)) = path.split_first() else { return Some(module) };
        let child = [module.as_slice(), std::slice::from_ref(name)].concat();
        if self.modules.contains_key(&child) {
            return self.walk(child, rest, depth);
        }
        let Some(found) = self.modules.get(&module) else { return Some(module) };
        if let Some(target) = found.imports.get(name) {
            let target = [target.as_slice(), rest].concat();
            return self.resolve(&module, &target, depth + 1);
        }
        let through_globs = found.globs.iter().find_map(|glob| {
            let target = self.resolve(&module, glob, depth + 1)?;
            self.binds(&target, name).then(|| self.walk(target, path, depth + 1))?
        });
        Some(through_globs.unwrap_or(module))
    }
}

fn read_file(file: &Path, folder: &Path, module: ModulePath, modules: &mut BTreeMap<ModulePath, Module>) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read_items(&syntax.items, folder, module, modules);
}

fn read_items(items: &[Item], folder: &Path, module: ModulePath, modules: &mut BTreeMap<ModulePath, Module>) {
    let mut reader = Reader::default();
    for item in items {
        match item {
            Item::Mod(inner) if is_for_tests(&inner.attrs) => {}
            Item::Mod(inner) => {
                let name = inner.ident.to_string();
                let path = [module.as_slice(), std::slice::from_ref(&name)].concat();
                let inside = folder.join(&name);
                match &inner.content {
                    Some((_, items)) => read_items(items, &inside, path, modules),
                    None => read_file(&file_of(folder, &name), &inside, path, modules),
                }
            }
            item if is_for_tests(attributes(item)) => {}
            item => reader.visit_item(item),
        }
    }
    modules.insert(module, reader.module);
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.rs"))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`: a test may look wherever it must.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = |list: &syn::MetaList| list.tokens.to_string() == "test";
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(is_test)
    })
}

/// Collects the paths of one module's items.
#[derive(Debug, Default)]
struct Reader {
    module: Module,
}

impl Reader {
    fn use_tree(&mut self, before: &[String], tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                self.use_tree(&before, &path.tree);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(before, tree)),
            UseTree::Glob(_) => {
                self.module.globs.push(before.to_vec());
                self.module.paths.insert(before.to_vec());
            }
            UseTree::Name(name) => self.bind(before, &name.ident.to_string(), &name.ident.to_string()),
            UseTree::Rename(rename) => {
                self.bind(before, &rename.ident.to_string(), &rename.rename.to_string());
            }
        }
    }

    fn bind(&mut self, before: &[String], name: &str, bound: &str) {
        // `use a::{self}` binds `a`.
        let path = if name == "self" { before.to_vec() } else { [before, &[name.to_owned()]].concat() };
        let bound = if bound == "self" { path.last().cloned().unwrap_or_default() } else { bound.to_owned() };
        // `use serde_json;`, or a `use` of a name that stands in this module already, binds nothing anew.
        if path.len() > 1 {
            self.module.imports.insert(bound, path.clone());
        }
        self.module.paths.insert(path);
    }
}

impl<'syntax> Visit<'syntax> for Reader {
    fn visit_item_use(&mut self, item: &'syntax ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'syntax syn::Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.module.paths.insert(segments);
        }
        syn::visit::visit_path(self, path);
    }

    /// The syntax of a macro's arguments is its own: paths are found as tokens.
    fn visit_macro(&mut self, call: &'syntax syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

impl Reader {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: WrittenPath = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(name) if colons == 2 && !path.is_empty() => {
                    path.push(name.to_string());
                    colons = 0;
                }
                other => {
                    self.end_of_path(&mut path);
                    colons = 0;
                    match other {
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.end_of_path(&mut path);
    }

    fn end_of_path(&mut self, path: &mut WrittenPath) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.module.paths.insert(path);
        }
    }
}
