//! Values that several answers have: times, ranges and the names of enum members.

use chrono::SecondsFormat;
use prost_types::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use weir::contract::{instant, reporting::v1};

/// Half-open, in UTC; null is unbounded.
#[derive(Debug, Serialize, ToSchema)]
pub struct DateRange {
    #[schema(example = "2025-09-14T00:00:00Z")]
    from: Option<String>,
    #[schema(example = "2025-09-15T00:00:00Z")]
    to: Option<String>,
}

impl From<v1::DateRange> for DateRange {
    fn from(range: v1::DateRange) -> Self {
        Self { from: range.from.map(rfc3339), to: range.to.map(rfc3339) }
    }
}

/// RFC 3339 in UTC, with 0, 3, 6 or 9 digits of the second, as few as keep the value.
pub(super) fn rfc3339(timestamp: Timestamp) -> String {
    instant(timestamp).unwrap_or_default().to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_in_utc_with_the_digits_that_it_needs() {
        let written = |seconds, nanos| rfc3339(Timestamp { seconds, nanos });
        assert_eq!(written(1_757_833_200, 0), "2025-09-14T07:00:00Z");
        assert_eq!(written(1_757_833_200, 5_000), "2025-09-14T07:00:00.000005Z");
    }
}
