//! Reads the parameters of a question strictly: every fault is named, none is guessed away.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Timelike as _, Utc};
use url::form_urlencoded;
use weir::{
    contract::reporting::v1::GroupBy,
    event::{EventType, FunnelStage, Source},
};

use crate::problem::{ParameterViolation, Problem};

const MAX_LIMIT: u32 = 1000;
/// As long as the text of an event may be.
const MAX_CHARACTERS: usize = 256;

/// The parameters of one question and what is wrong with them.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    violations: Vec<ParameterViolation>,
}

/// `[from, to)`; an absent end is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Option<DateTime<Utc>>,
    pub(super) to: Option<DateTime<Utc>>,
}

impl<'a> Query<'a> {
    /// A parameter that is not `known`, or that stands there twice, is a fault.
    pub(super) fn parse(query: Option<&'a str>, known: &[&str]) -> Self {
        let pairs: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        let mut query = Self { pairs: Vec::new(), violations: Vec::new() };
        for (name, value) in pairs {
            if !known.contains(&&*name) {
                query.violate(&name, format!("is not known; known are {}", known.join(", ")));
            } else if query.pairs.iter().any(|(other, _)| *other == name) {
                query.violate(&name, "must stand there once");
            } else {
                query.pairs.push((name, value));
            }
        }
        query
    }

    pub(super) fn range(&mut self) -> Range {
        let range = Range { from: self.value("from", instant), to: self.value("to", instant) };
        if let (Some(from), Some(to)) = (range.from, range.to)
            && from > to
        {
            self.violate("from", "must not be after to");
        }
        range
    }

    pub(super) fn source(&mut self) -> Option<Source> {
        self.value("source", |text| Source::from_name(text).ok_or_else(|| one_of(Source::ALL)))
    }

    pub(super) fn funnel_stage(&mut self) -> Option<FunnelStage> {
        self.value("funnelStage", |text| FunnelStage::from_name(text).ok_or_else(|| one_of(FunnelStage::ALL)))
    }

    pub(super) fn event_type(&mut self) -> Option<EventType> {
        self.value("eventType", |text| EventType::from_name(text).ok_or_else(|| one_of(EventType::ALL)))
    }

    pub(super) fn group_by(&mut self) -> Option<GroupBy> {
        self.value("groupBy", |text| match text {
            "hour" => Ok(GroupBy::Hour),
            "day" => Ok(GroupBy::Day),
            _ => Err("must be one of hour, day".into()),
        })
    }

    pub(super) fn limit(&mut self) -> Option<u32> {
        let limit = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|number| digits && (1..=MAX_LIMIT).contains(number));
            number.ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
        };
        self.value("limit", limit)
    }

    pub(super) fn campaign_id(&mut self) -> Option<String> {
        self.value("campaignId", |text| {
            let length = text.chars().count();
            let valid = (1..=MAX_CHARACTERS).contains(&length) && !text.trim().is_empty();
            valid
                .then(|| text.to_owned())
                .ok_or_else(|| format!("must have 1 to {MAX_CHARACTERS} characters and not be blank"))
        })
    }

    /// # Errors
    /// There is a fault.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.violations.is_empty() {
            return Ok(());
        }
        Err(Problem::bad_request("the parameters have faults").violations(self.violations))
    }

    fn value<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (_, text) = self.pairs.iter().find(|(known, _)| known == name)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.violate(name, message);
                None
            }
        }
    }

    fn violate(&mut self, parameter: &str, message: impl Into<String>) {
        let violation = ParameterViolation { parameter: parameter.to_owned(), message: message.into() };
        self.violations.push(violation);
    }
}

fn one_of<T: ToString>(members: &[T]) -> String {
    let names: Vec<String> = members.iter().map(T::to_string).collect();
    format!("must be one of {}", names.join(", "))
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let instant = date(text).or_else(|| date_time(text));
    instant
        .filter(|instant| (1..=9999).contains(&instant.year()))
        .ok_or_else(|| "must be RFC 3339, such as 2025-09-14T07:00:00Z, or a date, such as 2025-09-14".into())
}

/// The beginning of a day in UTC.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let shaped = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let day = shaped.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()?;
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

/// A `+` that nobody escaped arrives as a space. chrono besides takes a space for the `T`, and leap seconds.
fn date_time(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || !matches!(bytes.get(10), Some(b'T' | b't')) {
        return None;
    }
    let instant = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok()?;
    (instant.nanosecond() < 1_000_000_000).then(|| instant.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 8] =
        ["from", "to", "source", "funnelStage", "eventType", "groupBy", "limit", "campaignId"];

    /// Reads everything and returns the parameters at fault.
    fn faults(query: &str) -> Vec<String> {
        let mut query = Query::parse(Some(query), &ALL);
        query.range();
        query.source();
        query.funnel_stage();
        query.event_type();
        query.group_by();
        query.limit();
        query.campaign_id();
        query.violations.into_iter().map(|violation| violation.parameter).collect()
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(
            faults(
                "from=x&to=&source=meta&funnelStage=mid&eventType=x&groupBy=week&limit=0&campaignId=&what=1"
            ),
            ["what", "from", "to", "source", "funnelStage", "eventType", "groupBy", "limit", "campaignId"]
        );
        assert_eq!(faults("source=tiktok&source=tiktok"), ["source"]);
        assert_eq!(faults("from=2025-09-15&to=2025-09-14"), ["from"]);
        for limit in ["1001", "-1", "%2B5", "1.0", "1e2", "99999999999"] {
            assert_eq!(faults(&format!("limit={limit}")), ["limit"]);
        }
    }

    #[test]
    fn what_is_right_is_read() {
        assert!(faults("").is_empty());
        assert!(
            faults("from=2025-09-14&to=2025-09-14&groupBy=day&limit=1000&eventType=video.view").is_empty()
        );
        let mut query = Query::parse(Some("campaignId=a%2Bb%20c"), &ALL);
        assert_eq!(query.campaign_id().as_deref(), Some("a+b c"));
    }

    #[test]
    fn a_time_is_read_with_any_offset_even_an_unescaped_one() {
        let expected = "2025-09-14T05:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for text in [
            "2025-09-14T05:00:00Z",
            "2025-09-14t05:00:00z",
            "2025-09-14T07:00:00+02:00",
            "2025-09-14T07:00:00%2B02:00",
            "2025-09-14T07:00:00%2002:00",
            "2025-09-14T03:00:00.000-02:00",
        ] {
            let query = format!("from={text}");
            assert_eq!(Query::parse(Some(&query), &ALL).range().from, Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "2025-09-14%2007:00:00Z",
            "2025-09-14T07:00:00",
            "2025-9-14",
            "2025-02-30",
            "20250914",
            "2025-12-31T23:59:60Z",
            "0000-01-01",
            "9999-12-31T23:59:59-01:00",
            "1757834505",
            "now",
        ] {
            assert_eq!(faults(&format!("from={text}")), ["from"], "{text}");
        }
    }
}
