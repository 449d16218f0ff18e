//! The selectors in an expression of PromQL. This parser knows just enough of the grammar for that; Prometheus checks
//! whether an expression is well-formed.

use std::{iter::Peekable, str::Chars};

/// Words of the grammar at places where a metric's name could stand.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];
/// Words that are followed by a list of labels.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// A metric's name and its matchers in braces, as written in the expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) matchers: String,
}

impl Selector {
    /// The selector without window and offset.
    pub(super) fn query(&self) -> String {
        format!("{}{}", self.name, self.matchers)
    }
}

/// Every selector of an expression, in order.
pub(super) fn selectors(expression: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            '"' => drop(quoted(&mut rest)),
            '[' => drop(rest.by_ref().find(|letter| *letter == ']')),
            _ if next.is_ascii_digit() => drop(word(&mut rest)),
            _ if is_of_word(next) => found.extend(selector(&mut rest)),
            _ => drop(rest.next()),
        }
    }
    found
}

/// Reads a word: a selector, unless the word is a function or part of the grammar.
fn selector(rest: &mut Peekable<Chars<'_>>) -> Option<Selector> {
    let name = word(rest);
    if OPERATORS.contains(&name.as_str()) {
        return None;
    }
    while rest.next_if(|letter| letter.is_whitespace()).is_some() {}
    if GROUPINGS.contains(&name.as_str()) {
        rest.by_ref().find(|letter| *letter == ')');
        return None;
    }
    match rest.peek() {
        Some('(') => None,
        Some('{') => Some(Selector { name, matchers: braces(rest) }),
        Some('b' | 'w') if is_aggregation(&name) => None,
        _ => Some(Selector { name, matchers: String::new() }),
    }
}

/// Whether an aggregation: only such a word is followed by `by` or `without`.
fn is_aggregation(name: &str) -> bool {
    ["sum", "max", "min", "avg", "count"].contains(&name)
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    std::iter::from_fn(|| rest.next_if(|letter| is_of_word(*letter) || *letter == '.')).collect()
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

fn quoted(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text: String = rest.next().into_iter().collect();
    while let Some(letter) = rest.next() {
        text.push(letter);
        match letter {
            '"' => break,
            '\\' => text.extend(rest.next()),
            _ => {}
        }
    }
    text
}

fn braces(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(&letter) = rest.peek() {
        if letter == '"' {
            text.push_str(&quoted(rest));
            continue;
        }
        text.extend(rest.next());
        if letter == '}' {
            break;
        }
    }
    text
}

#[test]
fn selectors_are_distinguished_from_functions_labels_and_numbers() {
    let expression = r#"sum by (le, source) (rate(a:b_bucket{x="}(c",y!~"d.."}[5m] offset 1h)) > bool 14.4 * on (z) e
        unless ignoring(f) max(g{}) / 1e3 or vector(0)"#;
    let queries: Vec<_> = selectors(expression).iter().map(Selector::query).collect();
    assert_eq!(queries, [r#"a:b_bucket{x="}(c",y!~"d.."}"#, "e", "g{}"]);
}
