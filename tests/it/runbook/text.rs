//! The code in a page of Markdown: the text between backticks, and the lines of code blocks.

use std::fs;

use weir_testkit::repository::repository;

/// One piece of code of a page.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// The file and the line.
    pub(crate) place: String,
    pub(crate) text: String,
    /// The language of the block; `None` between backticks.
    pub(crate) block: Option<String>,
    /// The number of the block, counted from 0.
    pub(crate) number: usize,
}

/// Every piece of code of a page, in order. A block of SQL is one piece; of other blocks each line is one.
pub(crate) fn codes(page: &str) -> Vec<Code> {
    let text = fs::read_to_string(repository(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (mut found, mut prose, mut began) = (Vec::new(), String::new(), 1);
    let (mut fence, mut number): (Option<(String, usize, String)>, usize) = (None, 0);
    for (line, content) in text.lines().enumerate().map(|(index, content)| (index + 1, content)) {
        let trimmed = content.trim();
        match (trimmed.strip_prefix("```"), fence.take()) {
            (Some(language), None) => {
                inline(page, began, &std::mem::take(&mut prose), &mut found);
                fence = Some((language.to_owned(), line + 1, String::new()));
            }
            (Some(_), Some((language, first, lines))) => {
                block(page, first, &language, &lines, number, &mut found);
                (number, began) = (number + 1, line + 1);
            }
            (None, Some((language, first, lines))) => {
                fence = Some((language, first, format!("{lines}{trimmed}\n")));
            }
            (None, None) if trimmed.is_empty() => {
                inline(page, began, &std::mem::take(&mut prose), &mut found);
                began = line + 1;
            }
            (None, None) => prose = format!("{prose}{trimmed}\n"),
        }
    }
    inline(page, began, &prose, &mut found);
    found
}

/// The text between single backticks of a paragraph, which may continue over the end of a line.
fn inline(page: &str, first: usize, prose: &str, found: &mut Vec<Code>) {
    let mut line = first;
    for (index, part) in prose.split('`').enumerate() {
        if index % 2 == 1 {
            let text = part.split_whitespace().collect::<Vec<_>>().join(" ");
            found.push(Code { place: format!("{page}:{line}"), text, block: None, number: 0 });
        }
        line += part.matches('\n').count();
    }
}

fn block(page: &str, first: usize, language: &str, lines: &str, number: usize, found: &mut Vec<Code>) {
    let code = |line: usize, text: &str| Code {
        place: format!("{page}:{line}"),
        text: text.to_owned(),
        block: Some(language.to_owned()),
        number,
    };
    if language == "sql" {
        return found.push(code(first, lines));
    }
    let mut joined = String::new();
    for (index, line) in lines.lines().enumerate() {
        let line = line.split_once(" #").map_or(line, |(before, _)| before).trim();
        if let Some(begun) = line.strip_suffix('\\') {
            joined.push_str(begun);
        } else if !line.is_empty() && !line.starts_with('#') {
            found.push(code(first + index, &format!("{}{line}", std::mem::take(&mut joined))));
        }
    }
}

/// The words of a shell command, without their quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![None::<String>], None);
    for letter in line.chars() {
        let last = words.last_mut().expect("there is always a last word");
        match (letter, quote) {
            ('\'' | '"', None) => {
                quote = Some(letter);
                last.get_or_insert_default();
            }
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => {
                if last.is_some() {
                    words.push(None);
                }
            }
            (letter, _) => last.get_or_insert_default().push(letter),
        }
    }
    words.into_iter().flatten().collect()
}

#[test]
fn a_line_is_split_as_a_shell_splits_it() {
    assert_eq!(words("grep  -E 'a b|c' \"d\" ''"), ["grep", "-E", "a b|c", "d", ""]);
}
