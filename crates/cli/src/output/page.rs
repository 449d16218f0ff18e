//! Pages of lines and tables. A value that a stranger sent stays on its line and in its cell, because lines and
//! cells escape what they are made of.

use std::fmt::{self, Display};

use comfy_table::{CellAlignment, ContentArrangement, presets};
use weir_process::escape;

/// Lines and tables, one below the other.
#[derive(Debug, Default)]
pub(crate) struct Page(Vec<String>);

/// A table of text.
#[derive(Debug)]
pub(crate) struct Table(comfy_table::Table);

/// The text of a cell.
#[derive(Debug)]
pub(crate) struct Cell(String);

impl Page {
    /// Adds one line.
    pub(crate) fn line(&mut self, line: impl Display) {
        self.0.push(escape::line(&line.to_string()).into_owned());
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, table: &Table) {
        self.0.push(table.0.to_string());
    }
}

impl Display for Page {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl From<&Table> for Page {
    fn from(table: &Table) -> Self {
        let mut page = Self::default();
        page.table(table);
        page
    }
}

impl Table {
    /// Whether the table has a header only.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Cell {
    /// A cell of several lines, whose breaks are Weir's own.
    pub(crate) fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let lines: Vec<_> = lines.into_iter().map(escape::line).collect();
        Self(lines.join("\n"))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self(escape::line(&text).into_owned())
    }
}

/// Makes a table with text to the left. The last `numbers` columns are aligned to the right.
pub(crate) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    numbers: usize,
    rows: impl IntoIterator<Item = [impl Into<Cell>; COLUMNS]>,
) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header).add_rows(rows.into_iter().map(|row| row.map(|cell| cell.into().0)));
    for column in table.column_iter_mut().skip(COLUMNS - numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Table(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_in_its_line_and_in_its_cell() {
        let value = "fb-1\u{1b}]52;c;aGk=\u{7}\nfb-2: stored\u{202e}";
        let shown = r"fb-1\u{1b}]52;c;aGk=\u{7}\u{a}fb-2: stored\u{202e}";
        let mut page = Page::default();
        page.line(format_args!("{value}: unknown"));
        page.table(&table(["event"], 0, [[value.to_owned()]]));
        let text = page.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], format!("{shown}: unknown"));
        assert!(lines.len() == 6 && lines[4].contains(shown), "{text}");
        let own = table(["figures"], 0, [[Cell::lines(["events 1", "people\t2"])]]);
        let text = Page::from(&own).to_string();
        assert!(
            text.contains("events 1") && text.contains(r"people\u{9}2") && text.lines().count() == 6,
            "{text}"
        );
    }
}
