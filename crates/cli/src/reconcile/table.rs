//! The findings as text and tables.

use std::fmt::{self, Write as _};

use weir_collectors::reconcile::{Difference, Measures, Subject};
use weir_event::Source;

use super::{findings::ReconcileFindings, labels};
use crate::output::{grouped, table};

/// Formats the findings.
pub(super) fn shown(findings: &ReconcileFindings) -> String {
    let mut text = String::new();
    write(&mut text, findings).expect("a string takes everything");
    text.truncate(text.trim_end().len());
    text
}

fn write(text: &mut String, findings: &ReconcileFindings) -> fmt::Result {
    if !findings.shown.is_empty() {
        let header = ["grain", "bucket", "kind, campaign or people", "written", "expected", "told by"];
        writeln!(text, "{}", table(header, 0, findings.shown.iter().map(row)))?;
    }
    let unnamed = findings.found - findings.shown.len() as u64;
    if unnamed > 0 {
        writeln!(text, "and {} more (--limit names more of them)", grouped(unnamed))?;
    }
    writeln!(text, "{} days compared, {} differences", grouped(findings.days), grouped(findings.found))?;
    if findings.repairs {
        let (repaired, left) = (grouped(findings.repaired), grouped(findings.left));
        writeln!(text, "{repaired} set right; compared again, {left} differences are left")?;
    }
    if findings.contradicted > 0 {
        let contradicted = grouped(findings.contradicted);
        writeln!(
            text,
            "{contradicted} of them can't be set right: rows are gone, and minutes, hours and days contradict each other"
        )?;
    }
    for (source, complete_from) in &findings.complete_from {
        let reached = complete_from.filter(|horizon| findings.period.from.is_none_or(|from| from < *horizon));
        if let (Some(source), Some(complete_from)) = (Source::from_number(*source), reached) {
            write_horizon(text, source, complete_from)?;
        }
    }
    if let Some(day) = findings.interrupted_at {
        writeln!(text, "interrupted: nothing from {} on was compared to its end", labels::time(day))?;
    }
    Ok(())
}

fn write_horizon(text: &mut String, source: Source, complete_from: i64) -> fmt::Result {
    let (source, complete_from) = (source.name(), labels::time(complete_from));
    writeln!(
        text,
        "{source}: rows are complete from {complete_from}; before it hours and days were compared with minutes, and \
         minutes with nothing"
    )
}

fn row(difference: &Difference) -> [String; 6] {
    let (written, expected) = (&difference.written, &difference.expected);
    [
        difference.grain.name().to_owned(),
        labels::time(difference.bucket),
        subject(difference),
        figures(written, expected),
        figures(expected, written),
        labels::evidence(difference.evidence).to_owned(),
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
fn figures(these: &Measures, others: &Measures) -> String {
    let differing = these.iter().zip(others.iter()).filter(|(this, other)| this != other);
    let text =
        differing.map(|((figure, value), _)| format!("{} {}", figure.name(), labels::figure(figure, value)));
    text.collect::<Vec<_>>().join("\n")
}
