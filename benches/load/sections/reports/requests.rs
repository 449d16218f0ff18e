//! The measured report requests: over all time and parts of it, with whole days and ragged ends, with filters and with
//! series.

use chrono::{DateTime, TimeDelta, Utc};

/// The name of the request whose range begins and ends within a minute.
pub(super) const RAGGED_ENDS: &str = "ragged ends";

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
    /// Every request of one report for so many days from `first` on.
    pub(super) fn all(kind: ReportKind, first: DateTime<Utc>, number_of_days: i64) -> Vec<Self> {
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
        let all_days = || range(days(0), days(number_of_days));
        let week = || range(days(number_of_days - 7), days(number_of_days));
        let of_all = [
            ("everything", Vec::new()),
            ("all days", all_days()),
            ("the last seven days", week()),
            (RAGGED_ENDS, range(ragged(3), ragged(number_of_days - 4))),
            ("one source", vec![("source", "facebook".to_owned())]),
            ("one source, seven days", with(week(), "source", "tiktok")),
        ];
        let series = [
            ("by day", with(all_days(), "groupBy", "day")),
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
