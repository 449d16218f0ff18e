//! The findings as JSON.

use serde_json::{Map, Value, json};
use weir_collectors::reconcile::{Difference, Measure, Measures, Subject};
use weir_event::Source;

use super::{findings::ReconcileFindings, labels};

pub(super) fn shown(findings: &ReconcileFindings) -> Value {
    let complete_from = findings.complete_from.iter().filter_map(|(source, complete_from)| {
        Some((Source::from_number(*source)?.name().to_owned(), json!(complete_from.map(labels::time))))
    });
    json!({
        "from": findings.period.from.map(labels::time),
        "to": findings.period.to.map(labels::time),
        "days": findings.days,
        "completeFrom": complete_from.collect::<Map<_, _>>(),
        "found": findings.found,
        "repaired": findings.repaired,
        "left": findings.left,
        "contradicted": findings.contradicted,
        "interruptedAt": findings.interrupted_at.map(labels::time),
        "differences": findings.shown.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference(difference: &Difference) -> Value {
    let written = match difference.subject {
        Subject::People => "sets",
        Subject::Ranking => "ranking",
        Subject::EventKind { .. } | Subject::Campaign(_) => "rollups",
    };
    let mut shown = json!({
        "source": difference.source.name(),
        "grain": difference.grain.name(),
        "bucket": labels::time(difference.bucket),
        written: figures(&difference.written),
        "expected": figures(&difference.expected),
        "toldBy": labels::evidence(difference.evidence),
    });
    match &difference.subject {
        Subject::EventKind { funnel_stage, event_type } => {
            shown["funnelStage"] = labels::funnel_stage(*funnel_stage).into();
            shown["eventType"] = labels::event_type(*event_type).into();
        }
        Subject::Campaign(campaign_id) => shown["campaignId"] = campaign_id.as_str().into(),
        Subject::People | Subject::Ranking => {}
    }
    shown
}

/// Counts are numbers. Sums are strings, because readers of JSON round large numbers.
fn figures(figures: &Measures) -> Value {
    let shown = figures.iter().map(|(figure, value)| {
        let shown = match figure {
            Measure::Events
            | Measure::Measured
            | Measure::Transactions
            | Measure::Users
            | Measure::Observations
            | Measure::Misplaced => {
                i64::try_from(value).map_or_else(|_| json!(value.to_string()), Value::from)
            }
            Measure::MeasureSum | Measure::Amount => json!(labels::figure(figure, value)),
        };
        (figure.name().to_owned(), shown)
    });
    Value::Object(shown.collect())
}
