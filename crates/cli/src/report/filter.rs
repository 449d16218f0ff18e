//! Filters of reports, converted to the contract's values. The reporting service checks their combination.

use prost_types::Timestamp;
use weir::contract::{reporting::v1::GroupBy, timestamp};
use weir_event::{EventType, FunnelStage, Source};
use weir_process::args::{ConfigErrors, instant, whole_number};

/// The largest number of rows that a report over HTTP accepts too.
const MAX_LIMIT: u32 = 1000;

/// `[from, to)`; an absent end is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Range {
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
}

/// Reads `--from` and `--to`, with the same error messages as HTTP.
pub(crate) fn range(from: Option<&str>, to: Option<&str>, errors: &mut ConfigErrors) -> Option<Range> {
    let from = errors.check("--from", from.map(time).transpose());
    let to = errors.check("--to", to.map(time).transpose());
    let range = Range { from: from?, to: to? };
    let order = |time: Timestamp| (time.seconds, time.nanos);
    if range.from.zip(range.to).is_some_and(|(from, to)| order(from) > order(to)) {
        errors.add("--from: must not be after to");
        return None;
    }
    Some(range)
}

fn time(text: &str) -> Result<Timestamp, String> {
    instant(text).map(timestamp)
}

/// The number of a source; an absent one is 0, which matches every source.
pub(crate) fn source(name: Option<&str>) -> Result<i32, String> {
    member(name, Source::ALL, Source::name, Source::number)
}

/// The number of a stage; an absent one is 0, which matches every stage.
pub(super) fn funnel_stage(name: Option<&str>) -> Result<i32, String> {
    member(name, FunnelStage::ALL, FunnelStage::name, FunnelStage::number)
}

/// The number of a type; an absent one is 0, which matches every type.
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

/// The number of a bucket width; an absent one means no buckets.
pub(super) fn group_by(name: Option<&str>) -> Result<i32, String> {
    match name {
        None => Ok(GroupBy::Unspecified.into()),
        Some("hour") => Ok(GroupBy::Hour.into()),
        Some("day") => Ok(GroupBy::Day.into()),
        Some(other) => Err(format!("'{other}' is none of hour, day")),
    }
}

pub(super) fn limit(text: &str) -> Result<u32, String> {
    whole_number(text, 1..=MAX_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: Option<&str>, to: Option<&str>) -> Result<Range, String> {
        let mut errors = ConfigErrors::default();
        let range = range(from, to, &mut errors);
        errors.into_result().map_err(|message| message.to_string())?;
        Ok(range.unwrap())
    }

    #[test]
    fn a_range_is_read_as_instants() {
        let midnight = Some(Timestamp { seconds: 1_757_808_000, nanos: 0 });
        let read = message(Some("2025-09-14"), Some("2025-09-14T05:30:00+05:30"));
        assert_eq!(read, Ok(Range { from: midnight, to: midnight }));
        assert_eq!(message(None, None), Ok(Range::default()));
    }

    #[test]
    fn every_mistake_of_a_range_is_reported() {
        let both = message(Some("2025-9-1"), Some("2025-09-14 00:00:00Z")).unwrap_err();
        for end in ["--from: must be RFC 3339", "--to: must be RFC 3339"] {
            assert!(both.contains(end), "{both}");
        }
        let reversed = message(Some("2025-09-15"), Some("2025-09-14T23:59:59.999999999Z")).unwrap_err();
        assert!(reversed.contains("--from: must not be after to"), "{reversed}");
    }

    #[test]
    fn the_error_for_an_unknown_name_lists_the_known_ones() {
        assert_eq!((source(None), source(Some("tiktok"))), (Ok(0), Ok(2)));
        assert_eq!(source(Some("TikTok")), Err("'TikTok' is none of facebook, tiktok".into()));
        assert_eq!(group_by(Some("week")), Err("'week' is none of hour, day".into()));
    }
}
