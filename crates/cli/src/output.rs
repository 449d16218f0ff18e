//! The output of commands on standard output and standard error. Everything that a command writes passes through
//! this module, which lets no character of a stranger steer the terminal or begin a line.

mod page;

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write as _},
    sync::OnceLock,
};

use clap::error::ContextValue;
use weir_process::{escape, redact};

pub(crate) use self::page::{Cell, Page, Table, table};

/// The first failure of a write to standard output.
static FIRST_FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes one line to standard output. [`flush`] returns a failure.
pub(crate) fn print_line(line: impl Display) {
    print(&escape::line(&line.to_string()));
}

/// Writes lines and tables to standard output.
pub(crate) fn print_page(page: &Page) {
    print(&page.to_string());
}

/// Writes a table to standard output.
pub(crate) fn print_table(table: &Table) {
    print_page(&table.into());
}

/// Writes JSON to standard output, indented if it is a value. It stays valid and means the same.
pub(crate) fn print_json(json: impl Display) {
    print(&escape::json(&format!("{json:#}")));
}

/// Writes lines of this program's own, without a value of anybody else, to standard output.
pub(crate) fn print_own_lines(lines: &str) {
    lines.lines().for_each(print_line);
}

/// Writes one line to standard error, without the logins of URLs. A failure can't be reported, and the exit
/// code still counts.
pub(crate) fn eprint_line(line: impl Display) {
    let line = line.to_string();
    let _unreported = writeln!(io::stderr().lock(), "{}", escape::line(&redact::logins(&line)));
}

/// Writes the lines of a text whose breaks are Weir's own to standard error.
pub(crate) fn eprint_lines(text: &str) {
    text.split('\n').for_each(eprint_line);
}

/// Writes the answer of clap, help or a mistake. A mistake repeats arguments, which are escaped and without the
/// logins of URLs.
pub(crate) fn print_usage(mut answer: clap::Error) {
    let shown = |text: &String| escape::line(&redact::logins(text)).into_owned();
    let repeated = answer.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(shown(text)))),
        ContextValue::Strings(texts) => {
            Some((kind, ContextValue::Strings(texts.iter().map(shown).collect())))
        }
        _ => None,
    });
    for (kind, value) in repeated.collect::<Vec<_>>() {
        answer.insert(kind, value);
    }
    let printed = answer.print();
    if !answer.use_stderr() {
        keep_failure(printed);
    }
}

/// Flushes standard output, and returns the failure of the first write to it, if any.
pub(crate) fn flush() -> Option<&'static io::Error> {
    keep_failure(io::stdout().flush());
    FIRST_FAILURE.get()
}

/// Formats `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn print(text: &str) {
    keep_failure(writeln!(io::stdout().lock(), "{text}"));
}

/// Keeps the failure of a write to standard output. A closed pipe is not a failure, because its reader wants
/// no more.
fn keep_failure(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _first_counts = FIRST_FAILURE.set(error);
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
