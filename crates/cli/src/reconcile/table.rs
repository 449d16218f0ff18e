//! The findings as text and tables.

use weir_collectors::reconcile::{Difference, Measures, Subject};
use weir_event::Source;

use super::{findings::ReconcileFindings, labels};
use crate::output::{Cell, Page, grouped, table};

/// The findings as a table of the differences, and sums.
pub(super) fn page(findings: &ReconcileFindings) -> Page {
    let mut page = Page::default();
    if !findings.shown.is_empty() {
        let header = ["grain", "bucket", "kind, campaign or people", "written", "expected", "told by"];
        page.table(&table(header, 0, findings.shown.iter().map(row)));
    }
    let unnamed = findings.found - findings.shown.len() as u64;
    if unnamed > 0 {
        page.line(format_args!("and {} more (--limit names more of them)", grouped(unnamed)));
    }
    let (days, found) = (grouped(findings.days), grouped(findings.found));
    page.line(format_args!("{days} days compared, {found} differences"));
    if findings.repairs {
        let (repaired, left) = (grouped(findings.repaired), grouped(findings.left));
        page.line(format_args!("{repaired} set right; compared again, {left} differences are left"));
    }
    if findings.contradicted > 0 {
        page.line(format_args!(
            "{} of them can't be set right: rows are gone, and minutes, hours and days contradict each other",
            grouped(findings.contradicted)
        ));
    }
    for (source, complete_from) in &findings.complete_from {
        let reached = complete_from.filter(|horizon| findings.period.from.is_none_or(|from| from < *horizon));
        if let (Some(source), Some(complete_from)) = (Source::from_number(*source), reached) {
            page.line(horizon(source, complete_from));
        }
    }
    if let Some(day) = findings.interrupted_at {
        let day = labels::time(day);
        page.line(format_args!("interrupted: nothing from {day} on was compared to its end"));
    }
    page
}

fn horizon(source: Source, complete_from: i64) -> String {
    let (source, complete_from) = (source.name(), labels::time(complete_from));
    format!(
        "{source}: rows are complete from {complete_from}; before it hours and days were compared with minutes, and \
         minutes with nothing"
    )
}

fn row(difference: &Difference) -> [Cell; 6] {
    let (written, expected) = (&difference.written, &difference.expected);
    [
        difference.grain.name().to_owned().into(),
        labels::time(difference.bucket).into(),
        subject(difference).into(),
        figures(written, expected),
        figures(expected, written),
        labels::evidence(difference.evidence).to_owned().into(),
    ]
}

fn subject(difference: &Difference) -> String {
    let source = difference.source.name();
    match &difference.subject {
        Subject::EventKind { funnel_stage, event_type } => {
            let (stage, event_type) = (labels::funnel_stage(*funnel_stage), labels::event_type(*event_type));
            format!("{source} {stage} {event_type}")
        }
        Subject::Campaign(campaign_id) => format!("{source} campaign {campaign_id}"),
        Subject::People => format!("{source} people"),
        Subject::Ranking => format!("{source} ranking of campaigns"),
    }
}

/// The values that differ from the others, one per line.
fn figures(these: &Measures, others: &Measures) -> Cell {
    let differing = these.iter().zip(others.iter()).filter(|(this, other)| this != other);
    let text =
        differing.map(|((figure, value), _)| format!("{} {}", figure.name(), labels::figure(figure, value)));
    Cell::lines(text.collect::<Vec<_>>().iter().map(String::as_str))
}
