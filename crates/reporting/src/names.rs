//! Names of the contract's closed sets: rows with equal figures are ordered by them, as on the wire, and not by number.
//!
//! A number of a newer contract has no name here. Its rows are counted all the same and come first among equals.

use weir::contract::enums::{EventType, FunnelStage, Gender, Source, TiktokDevice};

pub(crate) fn source(number: i32) -> &'static str {
    Source::from_number(number).map_or("", Source::name)
}

pub(crate) fn funnel_stage(number: i32) -> &'static str {
    FunnelStage::from_number(number).map_or("", FunnelStage::name)
}

pub(crate) fn event_type(number: i32) -> &'static str {
    EventType::from_number(number).map_or("", EventType::name)
}

pub(crate) fn gender(number: i32) -> &'static str {
    Gender::from_number(number).map_or("", Gender::name)
}

pub(crate) fn tiktok_device(number: i32) -> &'static str {
    TiktokDevice::from_number(number).map_or("", TiktokDevice::name)
}
