//! The output of commands on standard output and standard error, and the format of tables and numbers.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write as _},
    sync::OnceLock,
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// The first failure of a write to standard output.
static FIRST_FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes a line to standard output. [`flush`] returns a failure.
pub(crate) fn print_line(line: impl Display) {
    keep_failure(writeln!(io::stdout().lock(), "{line}"));
}

/// Writes a line to standard error. A failure can't be reported, and the exit code still counts.
pub(crate) fn eprint_line(line: impl Display) {
    let _unreported = writeln!(io::stderr().lock(), "{line}");
}

/// Keeps the failure of a write to standard output. A closed pipe is not a failure, because its reader wants
/// no more.
pub(crate) fn keep_failure(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _first_counts = FIRST_FAILURE.set(error);
    }
}

/// Flushes standard output, and returns the failure of the first write to it, if any.
pub(crate) fn flush() -> Option<&'static io::Error> {
    keep_failure(io::stdout().flush());
    FIRST_FAILURE.get()
}

/// Makes a table with text to the left. The last `numbers` columns are aligned to the right.
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
