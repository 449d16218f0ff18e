//! Names of the contract's values in an answer.

use chrono::{DateTime, SecondsFormat};
use prost_types::Timestamp;
use weir_event::{EventType, FunnelStage, Gender, Source, TiktokDevice};

/// The name of a member that only a newer contract knows.
const UNKNOWN: &str = "unknown";

pub(crate) fn source(number: i32) -> &'static str {
    Source::from_number(number).map_or(UNKNOWN, Source::name)
}

pub(super) fn funnel_stage(number: i32) -> &'static str {
    FunnelStage::from_number(number).map_or(UNKNOWN, FunnelStage::name)
}

pub(super) fn event_type(number: i32) -> &'static str {
    EventType::from_number(number).map_or(UNKNOWN, EventType::name)
}

pub(super) fn gender(number: i32) -> &'static str {
    Gender::from_number(number).map_or(UNKNOWN, Gender::name)
}

pub(super) fn device(number: i32) -> &'static str {
    TiktokDevice::from_number(number).map_or(UNKNOWN, TiktokDevice::name)
}

/// RFC 3339 in UTC; `None` if the answer has no time.
pub(crate) fn time(timestamp: Option<Timestamp>) -> Option<String> {
    let timestamp = timestamp?;
    let time = DateTime::from_timestamp(timestamp.seconds, u32::try_from(timestamp.nanos).ok()?)?;
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
