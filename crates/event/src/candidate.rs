//! The candidate: an item before the gate, as loosely typed as senders are.
//!
//! It holds every key of every source. The gate never reads a key that the item's own source does not have, so such a
//! key may have any type. Scalars keep the sender's own text, so that `41.0` differs from `41` and no number loses
//! digits in a float.

pub(crate) mod decode;
mod from_message;
pub(crate) mod json;

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound as _, Utc};
use prost_types::Timestamp;
use weir::contract;

/// The value of a key that expects a string, a number or null.
#[derive(Debug, Default)]
pub(crate) enum Scalar<'a> {
    #[default]
    Absent,
    /// The JSON text of any value.
    Json(&'a str),
    /// The key occurs more than once: the JSON text of its first string, or of its last value if it has no string.
    Repeated(&'a str),
    Null,
    Text(Cow<'a, str>),
    Integer(u64),
    Number(f64),
    /// Seconds and nanoseconds since the Unix epoch.
    Instant(i64, i32),
}

/// The value of a key that expects an object.
#[derive(Debug, Default)]
pub(crate) enum Object<T> {
    #[default]
    Absent,
    /// Another kind of value, such as `an array`.
    Other(&'static str),
    Present(T),
    /// The key occurs more than once.
    Repeated,
}

#[derive(Debug, Default)]
pub(crate) struct Candidate<'a> {
    pub(crate) event_id: Scalar<'a>,
    pub(crate) timestamp: Scalar<'a>,
    pub(crate) source: Scalar<'a>,
    pub(crate) funnel_stage: Scalar<'a>,
    pub(crate) event_type: Scalar<'a>,
    pub(crate) data: Object<Data<'a>>,
}

#[derive(Debug, Default)]
pub(crate) struct Data<'a> {
    pub(crate) user: Object<User<'a>>,
    pub(crate) engagement: Object<Engagement<'a>>,
}

#[derive(Debug, Default)]
pub(crate) struct User<'a> {
    pub(crate) user_id: Scalar<'a>,
    pub(crate) name: Scalar<'a>,
    pub(crate) age: Scalar<'a>,
    pub(crate) gender: Scalar<'a>,
    pub(crate) location: Object<Location<'a>>,
    pub(crate) username: Scalar<'a>,
    pub(crate) followers: Scalar<'a>,
}

#[derive(Debug, Default)]
pub(crate) struct Location<'a> {
    pub(crate) country: Scalar<'a>,
    pub(crate) city: Scalar<'a>,
}

#[derive(Debug, Default)]
pub(crate) struct Engagement<'a> {
    pub(crate) action_time: Scalar<'a>,
    pub(crate) referrer: Scalar<'a>,
    pub(crate) video_id: Scalar<'a>,
    pub(crate) ad_id: Scalar<'a>,
    pub(crate) campaign_id: Scalar<'a>,
    pub(crate) click_position: Scalar<'a>,
    pub(crate) device: Scalar<'a>,
    pub(crate) browser: Scalar<'a>,
    pub(crate) purchase_amount: Scalar<'a>,
    pub(crate) watch_time: Scalar<'a>,
    pub(crate) percentage_watched: Scalar<'a>,
    pub(crate) country: Scalar<'a>,
    pub(crate) profile_id: Scalar<'a>,
    pub(crate) purchased_item: Scalar<'a>,
}

impl<'a> Scalar<'a> {
    /// A text of a message. protobuf can't leave out a string, so an absent one is the empty text.
    fn borrowed(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A member of a closed set, by its name. UNSPECIFIED and numbers of newer contracts have none: they become a name
    /// that is in no closed set, which the gate refuses.
    fn member(name: Option<&'static str>) -> Self {
        Self::borrowed(name.unwrap_or("UNSPECIFIED"))
    }

    /// Whether the key is present with the value null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Json("null"))
    }

    /// The first string of the key, even where the key occurs more than once.
    pub(crate) fn first_text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Json(raw) | Self::Repeated(raw) if raw.starts_with('"') => unquote(raw).ok(),
            _ => None,
        }
    }

    pub(crate) fn text(self) -> Result<Cow<'a, str>, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Json(raw) if raw.starts_with('"') => unquote(raw),
            other => Err(other.mismatch("a string")),
        }
    }

    /// An integer without fraction and exponent, from 0 to `max`.
    pub(crate) fn integer(self, max: u64) -> Result<u64, String> {
        let rule = || format!("must be an integer from 0 to {max}, without fraction or exponent");
        let integer = match self {
            Self::Integer(integer) => Some(integer),
            Self::Json(raw) if kind(raw) == NUMBER => raw.parse().ok(),
            other => return Err(other.mismatch("an integer")),
        };
        integer.filter(|integer| *integer <= max).ok_or_else(rule)
    }

    /// A number from 0 to `max`; without a `max` any number of 0 or more that a float holds.
    pub(crate) fn number(self, max: Option<f64>) -> Result<f64, String> {
        let number = match self {
            Self::Number(number) => number,
            Self::Json(raw) if kind(raw) == NUMBER => raw.parse().unwrap_or(f64::NAN),
            other => return Err(other.mismatch("a number")),
        };
        let range = 0.0..=max.unwrap_or(f64::MAX);
        let rule = || match max {
            Some(max) => format!("must be a number from 0 to {max}"),
            None => "must be a number of 0 or more".into(),
        };
        if range.contains(&number) { Ok(number) } else { Err(rule()) }
    }

    /// A point in time, cut to the microsecond.
    pub(crate) fn instant(self) -> Result<DateTime<Utc>, String> {
        let rule = "must be an RFC 3339 date-time with a time zone, without leap seconds";
        match self {
            Self::Instant(seconds, nanos) => instant(seconds, nanos).ok_or_else(|| rule.to_owned()),
            Self::Absent | Self::Null => Err(self.mismatch("a date-time")),
            other => parse_rfc3339(&other.text()?).ok_or_else(|| rule.to_owned()),
        }
    }

    fn mismatch(&self, expected: &str) -> String {
        let found = match self {
            Self::Absent => return "is required".into(),
            Self::Repeated(_) => return REPEATED.into(),
            Self::Json(raw) => kind(raw),
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Integer(_) | Self::Number(_) => NUMBER,
            Self::Instant(..) => "a date-time",
        };
        format!("must be {expected}, not {found}")
    }
}

const NUMBER: &str = "a number";
/// The rule for a key that occurs more than once in its object. JSON readers differ in the value that they take.
pub(crate) const REPEATED: &str = "must stand there once";

/// The most Unicode scalar values of a text.
pub(crate) const MAX_CHARACTERS: usize = 256;

/// Checks the rules of a text: 1 to 256 Unicode scalar values, not blank, no control character. The text itself stays
/// as the sender wrote it.
///
/// # Errors
/// The broken rule, without the text.
pub fn check_text(text: &str) -> Result<(), String> {
    // Nearly every text is a short one of printable ASCII. The compiler vectorises this one pass.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    if is_plain && text.len() <= MAX_CHARACTERS && text.bytes().any(|byte| byte != b' ') {
        return Ok(());
    }
    if text.trim().is_empty() {
        return Err("must not be blank".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold a control character".into());
    }
    // A character has at least one byte, so a text with few bytes needs no count.
    if text.len() > MAX_CHARACTERS && text.chars().count() > MAX_CHARACTERS {
        return Err(format!("must have at most {MAX_CHARACTERS} characters"));
    }
    Ok(())
}

/// The kind of a well-formed JSON text, by its first byte.
fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => NUMBER,
    }
}

/// The text of a JSON string. Without an escape it is borrowed from between the quotes.
fn unquote(raw: &str) -> Result<Cow<'_, str>, String> {
    if raw.contains('\\') {
        return serde_json::from_str(raw)
            .map(Cow::Owned)
            .map_err(|_| "must be Unicode text: it holds a lone surrogate".into());
    }
    Ok(Cow::Borrowed(&raw[1..raw.len() - 1]))
}

/// The range covers every year that RFC 3339 can write in any zone, with a day to spare, and protobuf's years.
fn instant(seconds: i64, nanos: i32) -> Option<DateTime<Utc>> {
    const YEAR_MINUS_1: i64 = -62_198_755_200;
    const YEAR_10001: i64 = 253_433_923_200;
    if !(YEAR_MINUS_1..YEAR_10001).contains(&seconds) {
        return None;
    }
    let instant = contract::instant(Timestamp { seconds, nanos })?;
    (nanos < 1_000_000_000).then(|| instant.trunc_subsecs(6))
}

/// Refuses three things that chrono accepts: a space for the `T`, leap seconds, and a minus sign that is not ASCII.
fn parse_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let shaped = text.is_ascii()
        && matches!(bytes.get(10), Some(b'T' | b't'))
        && bytes.get(17..19).is_some_and(|seconds| seconds != b"60");
    let instant = shaped.then(|| DateTime::parse_from_rfc3339(text).ok()).flatten()?;
    Some(instant.to_utc().trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<String> {
        parse_rfc3339(text).map(|instant| instant.to_rfc3339())
    }

    #[test]
    fn date_times_are_rfc_3339_and_nothing_else() {
        assert_eq!(time("2025-09-14t07:21:45z").unwrap(), "2025-09-14T07:21:45+00:00");
        assert_eq!(time("2025-09-14T12:51:45.318274915+05:30").unwrap(), "2025-09-14T07:21:45.318274+00:00");
        for bad in [
            "2025-09-14 07:21:45Z",
            "2025-09-14T07:21:60Z",
            "2025-09-14T07:21:45",
            "2025-09-14T07:21:45.Z",
            "2025-09-14T07:21:45+0530",
            "2025-09-14T24:00:00Z",
            "2025-09-14T07:21:45\u{2212}05:30",
            "2025-09-14T07:21:45Z ",
            "+2025-09-14T07:21:45Z",
            "",
        ] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn integers_have_no_fraction_and_no_exponent() {
        assert_eq!(Scalar::Json("41").integer(150), Ok(41));
        for bad in ["41.0", "4e1", "-1", "151", "18446744073709551616", "\"41\"", "null"] {
            assert!(Scalar::Json(bad).integer(150).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_that_no_float_holds_is_refused() {
        assert_eq!(Scalar::Json("12.75").number(None), Ok(12.75));
        for bad in ["1e400", "-0.1", "100.1", "true"] {
            assert!(Scalar::Json(bad).number(Some(100.0)).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_is_counted_in_characters() {
        assert!(check_text(&"é".repeat(256)).is_ok());
        assert!(check_text(&"é".repeat(257)).is_err());
        assert!(check_text("\u{a0}\u{3000}").is_err());
        assert!(check_text("a\u{85}b").is_err());
    }

    #[test]
    fn a_lone_surrogate_is_named_in_the_message() {
        assert_eq!(Scalar::Json(r#""\u00e9""#).text().unwrap(), "é");
        assert!(Scalar::Json(r#""\ud800""#).text().unwrap_err().contains("surrogate"));
    }
}
