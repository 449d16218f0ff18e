//! Everything that a command says, on standard output and standard error, and how tables and numbers look there.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write as _},
    sync::OnceLock,
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Why the first output that is missing could not be written.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Writes a line to standard output; [`ended`] tells where that is not possible.
pub(crate) fn say(line: impl Display) {
    note(writeln!(io::stdout().lock(), "{line}"));
}

/// Writes a line to standard error. Nothing is left to tell that this is not possible, and the exit code still counts.
pub(crate) fn complain(line: impl Display) {
    let _untold = writeln!(io::stderr().lock(), "{line}");
}

/// Keeps the failure of a write to standard output. A reader that closed its pipe wants no more, which is no failure.
pub(crate) fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _first_counts = UNWRITTEN.set(error);
    }
}

/// Flushes standard output, and returns the failure of the first write to it, if any.
pub(crate) fn flush() -> Option<&'static io::Error> {
    note(io::stdout().flush());
    UNWRITTEN.get()
}

/// A table, text to the left and numbers to the right: `numbers` columns from the right.
pub(crate) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    numbers: usize,
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(COLUMNS - numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// `1234567` as `1,234,567`.
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
