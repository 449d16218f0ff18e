//! Escapes for text that strangers send. A terminal carries out some characters in place of showing them, and
//! others change the order in which it shows the text around them. An escape shows that they are there.

use std::{borrow::Cow, fmt::Write as _};

/// Escapes text for one line of a terminal or a log: the text stays on the line, and steers nothing. Controls
/// (C0, DEL, C1), line and paragraph separators and bidirectional controls become `\u{1b}`.
///
/// ```
/// use weir_process::escape;
///
/// assert_eq!(escape::line("Côte d'Ivoire"), "Côte d'Ivoire");
/// assert_eq!(escape::line("a\u{1b}]0;b\nc"), r"a\u{1b}]0;b\u{a}c");
/// ```
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_active, |shown, letter| write!(shown, "{}", letter.escape_unicode()))
}

/// Escapes text that is JSON already, so that it means the same: `\u001b`. JSON itself escapes the controls of
/// C0 in strings. Those between its tokens are blanks and stay.
///
/// ```
/// use weir_process::escape;
///
/// assert_eq!(escape::json("{\n  \"a\": \"\u{9b}2J\"\n}"), "{\n  \"a\": \"\\u009b2J\"\n}");
/// ```
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    // Most lines of a log are ASCII, and JSON escapes the control characters below space itself.
    if text.is_ascii() && !text.contains('\u{7f}') {
        return Cow::Borrowed(text);
    }
    let is_escaped = |letter: char| is_active(letter) && !letter.is_ascii_whitespace();
    // Every active character is one unit of UTF-16, as JSON counts them.
    escaped(text, is_escaped, |shown, letter| write!(shown, "\\u{:04x}", u32::from(letter)))
}

/// Whether a terminal acts on the character.
fn is_active(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    write_escape: impl Fn(&mut String, char) -> std::fmt::Result,
) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_escaped(letter) {
            write_escape(&mut shown, letter).expect("a string takes everything");
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that a terminal acts on.
    fn active() -> impl Iterator<Item = char> {
        let ranges = [
            '\0'..='\u{1f}',
            '\u{7f}'..='\u{9f}',
            '\u{61c}'..='\u{61c}',
            '\u{200e}'..='\u{200f}',
            '\u{2028}'..='\u{202e}',
            '\u{2066}'..='\u{2069}',
        ];
        ranges.into_iter().flatten()
    }

    #[test]
    fn a_line_keeps_what_can_be_read_and_escapes_what_acts() {
        for letter in active() {
            assert_eq!(line(&format!("a{letter}b")), format!("a\\u{{{:x}}}b", u32::from(letter)));
        }
        let names = "Ça va, Ελλάδα, Україна, السعودية, 日本, 👩‍👩‍👧, \u{200d}\u{200c}\u{fe0f}";
        assert!(matches!(line(names), Cow::Borrowed(_)) && line(names) == names);
        assert!((' '..='\u{10ffff}').filter(|letter| !active().any(|one| one == *letter)).all(|letter| {
            let text = letter.to_string();
            line(&text) == text && json(&text) == text
        }));
    }

    #[test]
    fn json_means_the_same_and_shows_nothing_that_acts() {
        let value = serde_json::Value::from(active().collect::<String>());
        let (plain, indented) = (value.to_string(), format!("{:#}", serde_json::json!({ "a": value })));
        let shown = json(&plain);
        assert!(!shown.contains(is_active), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        let shown = json(&indented);
        assert!(shown.lines().count() == 3 && !shown.replace('\n', "").contains(is_active), "{shown}");
    }
}
