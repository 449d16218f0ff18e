//! Strict parsing of query parameters: the response names every fault, and the edge guesses no value.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use percent_encoding::{PercentDecode, percent_decode_str};
use weir::contract::reporting::v1::GroupBy;
use weir_event::{EventType, FunnelStage, Source};
use weir_process::args::{instant, whole_number};

use crate::problem::{MAX_VIOLATIONS, ParameterViolation, Problem};

const MAX_LIMIT: u32 = 1000;
/// The most characters of a text in an event.
const MAX_CHARACTERS: usize = 256;
/// The characters of a parameter's name in a violation. Every known name is shorter; a longer one is cut.
const MAX_NAME_CHARACTERS: usize = 64;
const INVALID_ENCODING: &str = "must be percent-encoded UTF-8";

/// The parameters of one request and their violations.
#[derive(Debug)]
pub(super) struct Parameters {
    /// Names and values; `None` for a value that is no UTF-8.
    pairs: Vec<(String, Option<String>)>,
    violations: Vec<ParameterViolation>,
    /// The number of violations beyond [`MAX_VIOLATIONS`], which are not listed.
    unlisted: usize,
}

/// `[from, to)`; an absent end is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QueryRange {
    pub(super) from: Option<DateTime<Utc>>,
    pub(super) to: Option<DateTime<Utc>>,
}

impl Parameters {
    /// Parses a query string. A parameter outside `known`, a repeated one, or one that is no UTF-8 is a violation.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Self {
        let mut parameters = Self { pairs: Vec::new(), violations: Vec::new(), unlisted: 0 };
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            parameters.add(pair, known);
        }
        parameters
    }

    fn add(&mut self, pair: &str, known: &[&str]) {
        // A query string is an encoded form, in which a plus is a space.
        let pair = pair.replace('+', " ");
        let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
        let name = percent_decode_str(name);
        let Some(text) = text(name.clone()) else {
            return self.violate(&name.decode_utf8_lossy(), || INVALID_ENCODING.into());
        };
        if !known.contains(&text.as_str()) {
            self.violate(&text, || format!("is not known; known are {}", known.join(", ")));
        } else if self.pairs.iter().any(|(other, _)| *other == text) {
            self.violate(&text, || "must be given once".into());
        } else {
            let value = self::text(percent_decode_str(value));
            if value.is_none() {
                self.violate(&text, || INVALID_ENCODING.into());
            }
            self.pairs.push((text, value));
        }
    }

    pub(super) fn time_range(&mut self) -> QueryRange {
        let range = QueryRange { from: self.value("from", instant), to: self.value("to", instant) };
        if let (Some(from), Some(to)) = (range.from, range.to)
            && from > to
        {
            self.violate("from", || "must not be after to".into());
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
        self.value("limit", |text| whole_number(text, 1..=MAX_LIMIT))
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

    /// Ends the parsing.
    ///
    /// # Errors
    /// A 400 with the violations, where there is one. It tells how many more there are than it lists.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.violations.is_empty() {
            return Ok(());
        }
        let detail = match self.unlisted {
            0 => "the parameters are invalid".to_owned(),
            more => format!("the parameters are invalid; {more} more violations are not listed"),
        };
        Err(Problem::bad_request(detail).violations(self.violations))
    }

    fn value<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (_, text) = self.pairs.iter().find(|(known, _)| known == name)?;
        match read(text.as_deref()?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.violate(name, || message);
                None
            }
        }
    }

    /// A query may have thousands of violations, so one that is not listed costs no message.
    fn violate(&mut self, parameter: &str, message: impl FnOnce() -> String) {
        if self.violations.len() == MAX_VIOLATIONS {
            self.unlisted += 1;
            return;
        }
        let parameter = match parameter.char_indices().nth(MAX_NAME_CHARACTERS) {
            Some((end, _)) => format!("{}…", &parameter[..end]),
            None => parameter.to_owned(),
        };
        self.violations.push(ParameterViolation { parameter, message: message() });
    }
}

/// The decoded text; `None` where the bytes are no UTF-8.
fn text(bytes: PercentDecode<'_>) -> Option<String> {
    bytes.decode_utf8().ok().map(Cow::into_owned)
}

fn one_of<T: ToString>(members: &[T]) -> String {
    let names: Vec<String> = members.iter().map(T::to_string).collect();
    format!("must be one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 8] =
        ["from", "to", "source", "funnelStage", "eventType", "groupBy", "limit", "campaignId"];

    /// Reads every parameter and returns the invalid ones.
    fn invalid(query: &str) -> Vec<String> {
        let mut parameters = Parameters::parse(Some(query), &ALL);
        parameters.time_range();
        parameters.source();
        parameters.funnel_stage();
        parameters.event_type();
        parameters.group_by();
        parameters.limit();
        parameters.campaign_id();
        parameters.violations.into_iter().map(|violation| violation.parameter).collect()
    }

    #[test]
    fn every_invalid_parameter_is_named() {
        assert_eq!(
            invalid(
                "from=x&to=&source=meta&funnelStage=mid&eventType=x&groupBy=week&limit=0&campaignId=&what=1"
            ),
            ["what", "from", "to", "source", "funnelStage", "eventType", "groupBy", "limit", "campaignId"]
        );
        assert_eq!(invalid("source=tiktok&source=tiktok"), ["source"]);
        assert_eq!(invalid("from=2025-09-15&to=2025-09-14"), ["from"]);
        for limit in ["1001", "-1", "%2B5", "1.0", "1e2", "99999999999"] {
            assert_eq!(invalid(&format!("limit={limit}")), ["limit"]);
        }
    }

    #[test]
    fn valid_parameters_are_read() {
        assert!(invalid("").is_empty());
        assert!(
            invalid("from=2025-09-14&to=2025-09-14&groupBy=day&limit=1000&eventType=video.view").is_empty()
        );
        let mut parameters = Parameters::parse(Some("campaignId=a%2Bb%20c"), &ALL);
        assert_eq!(parameters.campaign_id().as_deref(), Some("a+b c"));
    }

    #[test]
    fn bytes_that_are_no_utf_8_make_their_parameter_invalid() {
        for bytes in ["%FF", "a%C3", "%ED%A0%80", "%C0%AF", "%F4%90%80%80"] {
            for name in ALL {
                assert_eq!(invalid(&format!("{name}={bytes}")), [name], "{bytes}");
            }
        }
        assert_eq!(invalid("campaignId=%FF&campaignId=a"), ["campaignId", "campaignId"]);
        assert_eq!(invalid("%FF=a"), ["\u{FFFD}"]);
        assert_eq!(invalid("from%FF"), ["from\u{FFFD}"]);
        let mut parameters = Parameters::parse(Some("campaignId=%EF%BF%BD%C3%A9"), &ALL);
        assert_eq!(parameters.campaign_id().as_deref(), Some("\u{FFFD}é"));
    }

    #[test]
    fn a_response_stays_small_for_a_long_query() {
        let query = "a&".repeat(30_000);
        assert_eq!(invalid(&query).len(), MAX_VIOLATIONS);
        let problem = Parameters::parse(Some(&query), &ALL).finish().unwrap_err();
        assert!(problem.detail().contains("29980 more violations"), "{}", problem.detail());
        assert_eq!(
            invalid(&format!("&&{}&=", "é".repeat(65))),
            [format!("{}…", "é".repeat(64)), String::new()]
        );
    }

    #[test]
    fn an_offset_with_an_unescaped_plus_is_read() {
        let expected = "2025-09-14T05:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for offset in ["+02:00", "%2B02:00", "%2002:00"] {
            let query = format!("from=2025-09-14T07:00:00{offset}");
            assert_eq!(Parameters::parse(Some(&query), &ALL).time_range().from, Some(expected), "{offset}");
        }
        for text in ["2025-09-14%2007:00:00Z", "2025-09-14T07:00:00%E2%88%9202:00", "2025-09-14%0D"] {
            assert_eq!(invalid(&format!("from={text}")), ["from"], "{text}");
        }
    }
}
