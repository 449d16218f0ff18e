//! Which series an expression of PromQL selects: enough of its grammar for that, and no more. Whether it is
//! well-formed is Prometheus' to say.

use std::{iter::Peekable, str::Chars};

/// Words that stand where a name could, and name no metric.
const OPERATORS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];
/// Words that a list of labels follows.
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// A metric's name and its matchers in braces, as they stand in the expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) matchers: String,
}

impl Selector {
    /// The instant selector, without window and offset.
    pub(super) fn query(&self) -> String {
        format!("{}{}", self.name, self.matchers)
    }
}

/// Every selector, in order.
pub(super) fn selectors(expression: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            '"' => drop(quoted(&mut rest)),
            '[' => drop(rest.by_ref().find(|letter| *letter == ']')),
            _ if next.is_ascii_digit() => drop(word(&mut rest)),
            _ if is_of_word(next) => found.extend(named(&mut rest)),
            _ => drop(rest.next()),
        }
    }
    found
}

/// What begins with a word: a selector, unless the word is a function's or the grammar's.
fn named(rest: &mut Peekable<Chars<'_>>) -> Option<Selector> {
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

/// Followed by `by` or `without`, which a metric's name never is.
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
fn selectors_are_told_from_functions_labels_and_numbers() {
    let expression = r#"sum by (le, source) (rate(a:b_bucket{x="}(c",y!~"d.."}[5m] offset 1h)) > bool 14.4 * on (z) e
        unless ignoring(f) max(g{}) / 1e3 or vector(0)"#;
    let queries: Vec<_> = selectors(expression).iter().map(Selector::query).collect();
    assert_eq!(queries, [r#"a:b_bucket{x="}(c",y!~"d.."}"#, "e", "g{}"]);
}
