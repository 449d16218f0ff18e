//! The measured report requests: over all time and parts of it, with whole days and ragged ends, with filters and with
//! series.

use chrono::{DateTime, TimeDelta, Utc};

/// One of the three reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportKind {
    Events,
    Revenue,
    Demographics,
}

/// One report request.
#[derive(Clone, Debug)]
pub(super) struct ReportRequest {
    pub(super) kind: ReportKind,
    pub(super) name: &'static str,
    pub(super) parameters: Vec<(&'static str, String)>,
}

impl ReportKind {
    pub(super) const ALL: [Self; 3] = [Self::Events, Self::Revenue, Self::Demographics];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Revenue => "revenue",
            Self::Demographics => "demographics",
        }
    }
}

impl ReportRequest {
    /// Every request of one report for the thirty days from `first` on.
    pub(super) fn all(kind: ReportKind, first: DateTime<Utc>) -> Vec<Self> {
        let range = |from: TimeDelta, to: TimeDelta| {
            vec![("from", (first + from).to_rfc3339()), ("to", (first + to).to_rfc3339())]
        };
        let days = TimeDelta::days;
        let ragged =
            |days: i64| TimeDelta::days(days) + TimeDelta::minutes(437) + TimeDelta::microseconds(12_345_678);
        let with = |mut parameters: Vec<_>, name, value: &str| {
            parameters.push((name, value.to_owned()));
            parameters
        };
        let week = || range(days(23), days(30));
        let of_all = [
            ("everything", Vec::new()),
            ("thirty days", range(days(0), days(30))),
            ("the last seven days", week()),
            ("ragged ends", range(ragged(3), ragged(26))),
            ("one source", vec![("source", "facebook".to_owned())]),
            ("one source, seven days", with(week(), "source", "tiktok")),
        ];
        let series = [
            ("by day", with(range(days(0), days(30)), "groupBy", "day")),
            ("seven days by hour", with(week(), "groupBy", "hour")),
        ];
        let of_events =
            [("one type, by day", with(vec![("groupBy", "day".to_owned())], "eventType", "video.view"))];
        let of_revenue = [
            ("one campaign", vec![("campaignId", "camp-00007".to_owned())]),
            ("a hundred campaigns", vec![("limit", "100".to_owned())]),
        ];
        let mut all: Vec<(&'static str, Vec<(&'static str, String)>)> = of_all.into();
        match kind {
            ReportKind::Events => all.extend(series.into_iter().chain(of_events)),
            ReportKind::Revenue => all.extend(series.into_iter().chain(of_revenue)),
            ReportKind::Demographics => {}
        }
        all.into_iter().map(|(name, parameters)| Self { kind, name, parameters }).collect()
    }
}
