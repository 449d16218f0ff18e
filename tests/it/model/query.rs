//! The parameters of a report.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The parameters of a report, each optional.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
    pub(crate) source: Option<String>,
    pub(crate) funnel_stage: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) campaign_id: Option<String>,
    pub(crate) group_by: Option<Width>,
    pub(crate) limit: Option<usize>,
}

/// The width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Hour,
    Day,
}

impl Width {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    pub(super) fn duration(self) -> Duration {
        match self {
            Self::Hour => Duration::hours(1),
            Self::Day => Duration::days(1),
        }
    }
}

impl Query {
    /// The parameters of the HTTP request.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let parameters = [
            ("from", self.from.map(instant)),
            ("to", self.to.map(instant)),
            ("source", self.source.clone()),
            ("funnelStage", self.funnel_stage.clone()),
            ("eventType", self.event_type.clone()),
            ("campaignId", self.campaign_id.clone()),
            ("groupBy", self.group_by.map(|width| width.name().to_owned())),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    pub(super) fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(10)
    }

    pub(super) fn date_range(&self) -> Value {
        json!({"from": self.from.map(instant), "to": self.to.map(instant)})
    }
}

/// An instant as the model writes it.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
