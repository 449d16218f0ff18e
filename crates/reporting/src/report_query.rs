//! Reports, and the parser of their requests: it finds every invalid field, not only the first.

use std::future::Future;

use prost_types::Timestamp;
use weir::contract::{
    event::v1::{EventType, FunnelStage, Source},
    reporting::v1::GroupBy,
};

use crate::{
    error::{FieldError, ReportError},
    metrics::ReportType,
    store::Snapshot,
    time_range::{self, RequestedRange},
};

const DEFAULT_LIMIT: u32 = 10;
const LIMITS: std::ops::RangeInclusive<u32> = 1..=1_000;
/// Unicode scalar values of a stored string; a longer string matches no row.
const MAX_CHARACTERS: usize = 256;

/// A valid request that the service answers from a snapshot. There is one for each rpc: three are measured reports,
/// three look rows up by id.
pub(crate) trait ReportQuery: Sized + Send {
    type Request: Send;
    type Response: Send;
    /// Kept by the service between two reports of this kind; `()` where there is nothing to keep.
    type Cache: Sync;
    /// The label of its metrics; `None` where it is not measured.
    const REPORT_TYPE: Option<ReportType>;

    /// # Errors
    /// Every invalid field.
    fn parse(request: Self::Request) -> Result<Self, ReportError>;

    /// The response from one state of the store.
    ///
    /// # Errors
    /// The store can't be read, or the series is too long.
    fn answer(
        self,
        snapshot: &Snapshot,
        cache: &Self::Cache,
    ) -> impl Future<Output = Result<Self::Response, ReportError>> + Send;
}

/// Parses the fields of one request and collects their errors.
#[derive(Debug, Default)]
pub(crate) struct RequestParser {
    errors: Vec<FieldError>,
}

impl RequestParser {
    /// Returns the report unless a field was invalid.
    ///
    /// # Errors
    /// Every invalid field.
    pub(crate) fn finish<R>(self, report: R) -> Result<R, ReportError> {
        if self.errors.is_empty() { Ok(report) } else { Err(ReportError::InvalidRequest(self.errors)) }
    }

    pub(crate) fn range(&mut self, from: Option<Timestamp>, to: Option<Timestamp>) -> RequestedRange {
        let (from, to) = (self.timestamp("from", from), self.timestamp("to", to));
        let order = |timestamp: Timestamp| (timestamp.seconds, timestamp.nanos);
        if let (Some(from), Some(to)) = (from, to)
            && order(from) > order(to)
        {
            self.error("from", "must not be after to");
        }
        RequestedRange::new(from, to)
    }

    pub(crate) fn source(&mut self, number: i32) -> Option<Source> {
        self.member("source", number)
    }

    /// The source of a request that must name one.
    pub(crate) fn required_source(&mut self, number: i32) -> Option<Source> {
        if number == 0 {
            self.error("source", "must be named");
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
            self.error("limit", format!("must be from {} to {}", LIMITS.start(), LIMITS.end()));
        }
        limit.into()
    }

    /// A string under the rules of stored strings. PostgreSQL does not even compare with a NUL.
    pub(crate) fn campaign_id(&mut self, campaign_id: Option<String>) -> Option<String> {
        let campaign_id = campaign_id?;
        if campaign_id.trim().is_empty() {
            self.error("campaign_id", "must not be blank");
        } else if campaign_id.chars().count() > MAX_CHARACTERS {
            self.error("campaign_id", format!("must have at most {MAX_CHARACTERS} characters"));
        } else if campaign_id.chars().any(char::is_control) {
            self.error("campaign_id", "must have no control character");
        }
        Some(campaign_id)
    }

    fn timestamp(&mut self, field: &'static str, timestamp: Option<Timestamp>) -> Option<Timestamp> {
        let valid = timestamp.filter(time_range::is_valid);
        if valid != timestamp {
            self.error(field, "must lie from 0001-01-01 to 9999-12-31, with 0 to 999999999 nanos");
        }
        valid
    }

    /// A member of a closed set; `None` for UNSPECIFIED, which matches every member.
    fn member<E: TryFrom<i32>>(&mut self, field: &'static str, number: i32) -> Option<E> {
        if number == 0 {
            return None;
        }
        let member = E::try_from(number).ok();
        if member.is_none() {
            self.error(field, format!("has no value with the number {number}"));
        }
        member
    }

    fn error(&mut self, field: &'static str, description: impl Into<String>) {
        self.errors.push(FieldError::new(field, description));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(parse: impl FnOnce(&mut RequestParser)) -> Vec<&'static str> {
        let mut parser = RequestParser::default();
        parse(&mut parser);
        parser.errors.iter().map(|error| error.field).collect()
    }

    fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos })
    }

    #[test]
    fn a_range_may_be_open_or_empty_but_not_reversed() {
        for (from, to) in [(None, None), (at(5, 0), None), (None, at(5, 0)), (at(5, 1), at(5, 1))] {
            assert!(invalid(|parser| _ = parser.range(from, to)).is_empty());
        }
        assert_eq!(invalid(|parser| _ = parser.range(at(5, 2), at(5, 1))), ["from"]);
    }

    #[test]
    fn a_timestamp_outside_the_range_of_protobuf_is_invalid() {
        let (early, late) = (at(-62_135_596_801, 0), at(253_402_300_800, 0));
        assert_eq!(invalid(|parser| _ = parser.range(early, late)), ["from", "to"]);
        assert_eq!(invalid(|parser| _ = parser.range(at(0, -1), at(0, 1_000_000_000))), ["from", "to"]);
    }

    #[test]
    fn every_invalid_field_is_found() {
        let named = invalid(|parser| {
            parser.source(3);
            parser.funnel_stage(-1);
            parser.event_type(99);
            parser.group_by(7);
            parser.limit(Some(0));
            parser.limit(Some(1_001));
            parser.campaign_id(Some(" \u{a0}".into()));
            parser.campaign_id(Some("x".repeat(257)));
            parser.campaign_id(Some("a\0b".into()));
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
    fn an_absent_or_unspecified_field_matches_everything() {
        let mut parser = RequestParser::default();
        assert_eq!((parser.source(0), parser.event_type(0), parser.campaign_id(None)), (None, None, None));
        assert_eq!((parser.limit(None), parser.limit(Some(1)), parser.limit(Some(1_000))), (10, 1, 1_000));
        assert_eq!(parser.campaign_id(Some("é".repeat(256))), Some("é".repeat(256)));
        assert!(parser.finish(()).is_ok());
    }
}
