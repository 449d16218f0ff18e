//! Names of the contract's values in an answer.

use chrono::SecondsFormat;
use prost_types::Timestamp;
use weir::contract::instant;
use weir_event::{EventType, FunnelStage, Gender, Source, TiktokDevice};

pub(crate) fn source(number: i32) -> &'static str {
    Source::name_of(number)
}

pub(super) fn funnel_stage(number: i32) -> &'static str {
    FunnelStage::name_of(number)
}

pub(super) fn event_type(number: i32) -> &'static str {
    EventType::name_of(number)
}

pub(super) fn gender(number: i32) -> &'static str {
    Gender::name_of(number)
}

pub(super) fn device(number: i32) -> &'static str {
    TiktokDevice::name_of(number)
}

/// RFC 3339 in UTC; `None` if the answer has no time.
pub(crate) fn time(timestamp: Option<Timestamp>) -> Option<String> {
    let time = instant(timestamp?)?;
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
