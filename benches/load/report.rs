//! The report of a measurement, as Markdown.

use std::{
    fmt::{self, Display},
    time::{Duration, Instant},
};

/// The figures of a section, printed when it ends.
#[derive(Debug)]
pub(crate) struct Report {
    title: &'static str,
    begun: Instant,
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    measured: String,
    figure: String,
    beside: String,
    bar: String,
}

impl Report {
    pub(crate) fn begin(title: &'static str) -> Self {
        progress(title);
        Self { title, begun: Instant::now(), rows: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        progress(&row);
        self.rows.push(row);
    }

    /// A sentence below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn print(self) {
        print_line(format!(
            "\n### {}\n\n| measured | figure | beside it | bar |\n|---|--:|---|---|",
            self.title
        ));
        self.rows.iter().for_each(print_line);
        print_line("");
        self.notes.iter().for_each(print_line);
        print_line(format!("Took {} s.", self.begun.elapsed().as_secs()));
    }
}

impl Row {
    pub(crate) fn new(measured: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { measured: measured.into(), figure: figure.into(), beside: String::new(), bar: String::new() }
    }

    /// Adds another figure for comparison.
    pub(crate) fn beside(self, text: impl Into<String>) -> Self {
        Self { beside: text.into(), ..self }
    }

    /// Adds the target of the figure, and whether the figure meets it.
    pub(crate) fn bar(self, text: impl Display, is_met: bool) -> Self {
        let verdict = if is_met { "met" } else { "**missed**" };
        Self { bar: format!("{text}: {verdict}"), ..self }
    }
}

impl Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measured, figure, beside, bar } = self;
        write!(formatter, "| {measured} | {figure} | {beside} | {bar} |")
    }
}

/// Events, rows or posts a second.
pub(crate) fn rate(per_second: f64) -> String {
    // Three digits, because the fourth differs in the next run.
    let magnitude = 10_f64.powi(((per_second.max(1.0).log10().floor() as i32) - 2).max(0));
    format!("{}/s", grouped((per_second / magnitude).round() * magnitude))
}

/// A number with commas between thousands.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    let digits = if milliseconds < 100.0 { 1 } else { 0 };
    format!("{milliseconds:.digits$} ms")
}

pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Prints a line of the report, on standard output.
#[expect(clippy::print_stdout, reason = "the report goes to standard output")]
pub(crate) fn print_line(line: impl Display) {
    println!("{line}");
}

/// Prints the progress, on standard error.
pub(crate) fn progress(text: impl Display) {
    eprintln!("load: {text}");
}
