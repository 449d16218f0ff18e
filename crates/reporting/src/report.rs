//! Reading a request: every field that is at fault is found, not only the first.

use std::future::Future;

use prost_types::Timestamp;
use weir::contract::{
    event::v1::{EventType, FunnelStage, Source},
    reporting::v1::GroupBy,
};

use crate::{
    error::{Fault, ReportError},
    metrics::ReportType,
    store::Snapshot,
    time_range::{self, Bounds},
};

const DEFAULT_LIMIT: u32 = 10;
const LIMITS: std::ops::RangeInclusive<u32> = 1..=1_000;
/// Unicode scalar values of a stored string: a longer one matches nothing that can be stored.
const MAX_CHARACTERS: usize = 256;

/// One of the questions: three reports, and the one after an event.
pub(crate) trait Question: Sized + Send {
    type Request: Send;
    type Answer: Send;
    /// What it is measured as; `None` where it is no report.
    const REPORT_TYPE: Option<ReportType>;

    /// # Errors
    /// Every field that is at fault.
    fn read(request: Self::Request) -> Result<Self, ReportError>;

    /// The answer from one state of the store.
    ///
    /// # Errors
    /// The store can't be read, or the series is too long.
    fn answer(self, snapshot: &Snapshot) -> impl Future<Output = Result<Self::Answer, ReportError>> + Send;
}

/// Reads the fields of one request and gathers what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    faults: Vec<Fault>,
}

impl Reader {
    /// The question, unless a field was at fault.
    ///
    /// # Errors
    /// Every field that was at fault.
    pub(crate) fn finish<Q>(self, question: Q) -> Result<Q, ReportError> {
        if self.faults.is_empty() { Ok(question) } else { Err(ReportError::Question(self.faults)) }
    }

    pub(crate) fn bounds(&mut self, from: Option<Timestamp>, to: Option<Timestamp>) -> Bounds {
        let (from, to) = (self.timestamp("from", from), self.timestamp("to", to));
        let order = |timestamp: Timestamp| (timestamp.seconds, timestamp.nanos);
        if let (Some(from), Some(to)) = (from, to)
            && order(from) > order(to)
        {
            self.fault("from", "must not be after to");
        }
        Bounds::new(from, to)
    }

    pub(crate) fn source(&mut self, number: i32) -> Option<Source> {
        self.member("source", number)
    }

    /// Where any source is no answer.
    pub(crate) fn required_source(&mut self, number: i32) -> Option<Source> {
        if number == 0 {
            self.fault("source", "must be named");
        }
        self.source(number)
    }

    pub(crate) fn funnel_stage(&mut self, number: i32) -> Option<FunnelStage> {
        self.member("funnel_stage", number)
    }

    pub(crate) fn event_type(&mut self, number: i32) -> Option<EventType> {
        self.member("event_type", number)
    }

    pub(crate) fn group_by(&mut self, number: i32) -> Option<GroupBy> {
        self.member("group_by", number)
    }

    pub(crate) fn limit(&mut self, limit: Option<u32>) -> u64 {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !LIMITS.contains(&limit) {
            self.fault("limit", format!("must be from {} to {}", LIMITS.start(), LIMITS.end()));
        }
        limit.into()
    }

    /// The rule of every string that is stored. PostgreSQL does not even take a NUL as a value to compare with.
    pub(crate) fn campaign_id(&mut self, campaign_id: Option<String>) -> Option<String> {
        let campaign_id = campaign_id?;
        if campaign_id.trim().is_empty() {
            self.fault("campaign_id", "must not be blank");
        } else if campaign_id.chars().count() > MAX_CHARACTERS {
            self.fault("campaign_id", format!("must have at most {MAX_CHARACTERS} characters"));
        } else if campaign_id.chars().any(char::is_control) {
            self.fault("campaign_id", "must have no control character");
        }
        Some(campaign_id)
    }

    fn timestamp(&mut self, field: &'static str, timestamp: Option<Timestamp>) -> Option<Timestamp> {
        let valid = timestamp.filter(time_range::is_valid);
        if valid != timestamp {
            self.fault(field, "must lie from 0001-01-01 to 9999-12-31, with 0 to 999999999 nanos");
        }
        valid
    }

    /// A member of a closed set; `None` where it does not matter, which is what UNSPECIFIED says.
    fn member<E: TryFrom<i32>>(&mut self, field: &'static str, number: i32) -> Option<E> {
        if number == 0 {
            return None;
        }
        let member = E::try_from(number).ok();
        if member.is_none() {
            self.fault(field, format!("has no value with the number {number}"));
        }
        member
    }

    fn fault(&mut self, field: &'static str, description: impl Into<String>) {
        self.faults.push(Fault::new(field, description));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_fault(read: impl FnOnce(&mut Reader)) -> Vec<&'static str> {
        let mut reader = Reader::default();
        read(&mut reader);
        reader.faults.iter().map(|fault| fault.field).collect()
    }

    fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos })
    }

    #[test]
    fn a_range_may_be_open_or_empty_but_not_reversed() {
        for (from, to) in [(None, None), (at(5, 0), None), (None, at(5, 0)), (at(5, 1), at(5, 1))] {
            assert!(at_fault(|reader| _ = reader.bounds(from, to)).is_empty());
        }
        assert_eq!(at_fault(|reader| _ = reader.bounds(at(5, 2), at(5, 1))), ["from"]);
    }

    #[test]
    fn a_timestamp_that_protobuf_does_not_allow_is_named() {
        let (early, late) = (at(-62_135_596_801, 0), at(253_402_300_800, 0));
        assert_eq!(at_fault(|reader| _ = reader.bounds(early, late)), ["from", "to"]);
        assert_eq!(at_fault(|reader| _ = reader.bounds(at(0, -1), at(0, 1_000_000_000))), ["from", "to"]);
    }

    #[test]
    fn every_field_at_fault_is_found() {
        let named = at_fault(|reader| {
            reader.source(3);
            reader.funnel_stage(-1);
            reader.event_type(99);
            reader.group_by(7);
            reader.limit(Some(0));
            reader.limit(Some(1_001));
            reader.campaign_id(Some(" \u{a0}".into()));
            reader.campaign_id(Some("x".repeat(257)));
            reader.campaign_id(Some("a\0b".into()));
        });
        assert_eq!(
            named,
            [
                "source",
                "funnel_stage",
                "event_type",
                "group_by",
                "limit",
                "limit",
                "campaign_id",
                "campaign_id",
                "campaign_id"
            ]
        );
    }

    #[test]
    fn what_is_absent_or_unspecified_means_any() {
        let mut reader = Reader::default();
        assert_eq!((reader.source(0), reader.event_type(0), reader.campaign_id(None)), (None, None, None));
        assert_eq!((reader.limit(None), reader.limit(Some(1)), reader.limit(Some(1_000))), (10, 1, 1_000));
        assert_eq!(reader.campaign_id(Some("é".repeat(256))), Some("é".repeat(256)));
        assert!(reader.finish(()).is_ok());
    }
}
