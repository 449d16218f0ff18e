//! Filters as people write them, as the contract's values. The reporting service judges what they mean together.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use prost_types::Timestamp;
use weir::{
    contract::reporting::v1::GroupBy,
    event::{EventType, FunnelStage, Source},
};

/// Reads RFC 3339, or a date, which is its midnight in UTC.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let time = DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .or_else(|_| text.parse::<NaiveDate>().map(midnight))
        .map_err(|_| format!("'{text}' is no time such as 2025-09-14T07:00:00Z or 2025-09-14"))?;
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0);
    Ok(Timestamp { seconds: time.timestamp(), nanos })
}

/// The number of a source; absent is any.
pub(crate) fn source(name: Option<&str>) -> Result<i32, String> {
    member(name, Source::ALL, Source::name, Source::number)
}

/// The number of a stage; absent is any.
pub(super) fn funnel_stage(name: Option<&str>) -> Result<i32, String> {
    member(name, FunnelStage::ALL, FunnelStage::name, FunnelStage::number)
}

/// The number of a type; absent is any.
pub(super) fn event_type(name: Option<&str>) -> Result<i32, String> {
    member(name, EventType::ALL, EventType::name, EventType::number)
}

fn member<Set: Copy>(
    name: Option<&str>,
    all: &[Set],
    name_of: fn(Set) -> &'static str,
    number_of: fn(Set) -> i32,
) -> Result<i32, String> {
    let Some(name) = name else { return Ok(0) };
    let found = all.iter().copied().find(|member| name_of(*member) == name).map(number_of);
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().copied().map(name_of).collect();
        format!("'{name}' is none of {}", names.join(", "))
    })
}

/// The number of a bucket's width; absent is no buckets.
pub(super) fn group_by(name: Option<&str>) -> Result<i32, String> {
    match name {
        None => Ok(GroupBy::Unspecified.into()),
        Some("hour") => Ok(GroupBy::Hour.into()),
        Some("day") => Ok(GroupBy::Day.into()),
        Some(other) => Err(format!("'{other}' is none of hour, day")),
    }
}

pub(super) fn limit(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("'{text}' is no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_dates_are_read_as_instants() {
        let midnight = Timestamp { seconds: 1_757_808_000, nanos: 0 };
        assert_eq!(time("2025-09-14"), Ok(midnight));
        assert_eq!(time("2025-09-14T05:30:00+05:30"), Ok(midnight));
        assert_eq!(time("2025-09-14T00:00:00.5Z").map(|time| time.nanos), Ok(500_000_000));
        assert!(time("yesterday").is_err());
    }

    #[test]
    fn a_name_that_is_none_is_told_the_right_ones() {
        assert_eq!((source(None), source(Some("tiktok"))), (Ok(0), Ok(2)));
        assert_eq!(source(Some("TikTok")), Err("'TikTok' is none of facebook, tiktok".into()));
        assert_eq!(group_by(Some("week")), Err("'week' is none of hour, day".into()));
    }
}
